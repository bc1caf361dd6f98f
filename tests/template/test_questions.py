"""Wrong answers are refused with a message that shows the value and says what to give instead."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

import copier
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]

REFUSED = [
    (
        {"project_name": "My Project!"},
        "2 to 40 lower-case letters, digits and single hyphens, a letter first, not 'My Project!'",
    ),
    ({"start": "csv"}, "'csv' is not in ['example', 'blank']"),
    ({"start": "earlier"}, "'earlier' is not in ['example', 'blank']"),  # for projects that are there already
    ({"example": "songs"}, "'songs' is not in ['flights', 'images']"),
    ({"start": "blank", "example": "images"}, "answer start=example with it, not start=blank"),
    ({"example": "images", "task_kind": "binary"}, "task_kind is multiclass, not 'binary'"),
    ({"task_kind": "ranking"}, "'ranking' is not in ['binary', 'multiclass', 'regression', 'quantile']"),
    ({"task_kind": "earlier"}, "'earlier' is not in ['binary', 'multiclass', 'regression', 'quantile']"),
    ({"project_name": "a\n"}, "a letter first, not 'a"),
    ({"project_name": "a--b"}, "single hyphens"),
    ({"project_name": "x" * 41}, "2 to 40"),
    ({"project_name": "mlflow"}, "the project installs or imports 'mlflow'"),
    ({"project_name": "runtime-lib"}, "Try 'runtime-lib-project'"),
    ({"project_package": "2fast"}, "a letter first, not '2fast'"),
    ({"project_package": "my-package"}, "lower-case letters, digits and underscores"),
    ({"project_package": "class"}, "Python or the project's imports have taken 'class'"),
    ({"project_package": "json"}, "Try 'json_project'"),
    ({"project_package": "torch"}, "Try 'torch_project'"),
    ({"project_package": "x" * 41}, "at most 40 characters, not 41"),
    ({"project_description": " "}, "Say in one line"),
    ({"project_description": "two\nlines"}, "line break"),
    ({"project_description": 'a "quote"'}, "double quote"),
    ({"project_description": "x" * 91}, "at most 90 characters, not 91"),
    ({"author_name": ""}, "Give a name"),
    ({"author_name": "Ada <ada@example.org>"}, "backslashes: 'Ada <ada@example.org>'"),
    ({"author_email": "ada at example"}, "'ada at example' is no e-mail address"),
    ({"project_license": "GPL"}, "'GPL' is not in"),
    ({"python_version": "3.9"}, "'3.9' is not in ['3.11', '3.12', '3.13']"),
    ({"framework": "jax"}, "'jax' is not in ['auto', 'mlx', 'torch']"),
    ({"torch_build": "rocm"}, "'rocm' is not in ['pypi', 'cpu']"),
    ({"torch_build": "cpu", "framework": "mlx"}, "MLX everywhere installs no PyTorch"),
    ({"data_remote": "ftp"}, "'ftp' is not in"),
    ({"data_remote": "s3"}, '"data_remote_url" is required'),
    (
        {"data_remote": "s3", "data_remote_url": "gs://bucket/x"},
        "Start with 's3://' and a bucket or container, not 'gs://bucket/x'",
    ),
    (
        {"data_remote": "azure", "data_remote_url": "azure://"},
        "Start with 'azure://' and a bucket or container",
    ),
    (
        {"data_remote": "ssh", "data_remote_url": "ssh://host"},
        "Add a folder on that machine, for instance /srv/dvc, to 'ssh://host'",
    ),
    ({"data_remote": "ssh", "data_remote_url": "ssh://me:pw@host/x"}, "password and key"),
    ({"data_remote": "s3", "data_remote_url": "s3://bucket/x?secret_key=abc"}, "password and key"),
    ({"data_remote_url": "s3://bucket/x"}, "choose another data_remote: 's3://bucket/x' is an address"),
    ({"data_remote_url": "."}, "Give a folder of its own, for instance '/srv/dvc', not '.'"),
    ({"data_remote_url": "~/dvc"}, "not '~/dvc'"),
    ({"data_remote": "folder", "data_remote_url": ""}, "Say where the versions of the data go"),
    ({"data_remote_url": "my data"}, "all but ASCII: 'my data'"),
    ({"tracking_uri": "mlflow.example.org"}, "https://mlflow.example.org, not 'mlflow.example.org'"),
    ({"tracking_uri": "sqlite:///"}, "Give sqlite:///var/mlflow.db"),
    ({"tracking_uri": "https://me:pw@mlflow.example.org"}, "set MLFLOW_TRACKING_USERNAME and …_PASSWORD"),
    ({"tracking_uri": 'sqlite:///a"b'}, "Leave out spaces, double quotes"),
    ({"with_serving": False, "with_monitoring": True}, "with_serving=true"),
    ({"ci_provider": "jenkins"}, "'jenkins' is not in"),
    ({"tier": "enterprise"}, "not available yet; choose 'standard'"),
    ({"library_source": "../checkout"}, "'../checkout' is neither an absolute path nor"),
    ({"library_source": "runtime-lib"}, "'runtime-lib' is neither"),
    ({"library_source": "/path with/space"}, "holds a space"),
    ({"library_source": "git+https://me:pw@example.org/a.git"}, "holds a password"),
    ({"library_source": "git+https://example.org/a.git"}, "only where the template is copied from git"),
    ({"library_source": ""}, "--data library_source=/absolute/path/to/checkout"),
]


TYPED = {
    name
    for name, question in yaml.safe_load((REPOSITORY / "copier.yml").read_text()).items()
    if isinstance(question, dict)
    and question.get("ask", True)
    and question.get("type") == "str"
    and "choices" not in question
}


@pytest.mark.parametrize(("answers", "message"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_a_wrong_answer_is_refused(render, answers, message, tmp_path_factory):
    before = set(tmp_path_factory.getbasetemp().rglob("pyproject.toml"))
    with pytest.raises(ValueError, match=r"(?s)question|choice|Question") as refusal:
        render(**answers)
    said = " ".join(str(refusal.value).split())
    assert message in said
    # At the prompt it has one line of the window, and what is too long is cut: what to do comes first.
    question, value = list(answers.items())[-1]
    if question in TYPED:
        assert len(said.partition("': ")[2].partition(f"'{str(value).strip()}")[0]) <= 80, said
    assert set(tmp_path_factory.getbasetemp().rglob("pyproject.toml")) == before


def test_every_refusal_is_tested():
    """Each question with a validator or choices stands in the list above."""
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    guarded = {
        name for name, q in questions.items() if isinstance(q, dict) and {"validator", "choices"} & set(q)
    }
    assert guarded <= {name for answers, _ in REFUSED for name in answers}


def test_reserved_names_hold_python_and_what_the_project_imports():
    reserved = set(
        yaml.safe_load((REPOSITORY / "copier.yml").read_text())["reserved_names"]["default"].split()
    )
    python = {name for name in sys.stdlib_module_names if not name.startswith("_")} | set(keyword.kwlist)
    assert {name for name in python if name.islower()} <= reserved
    assert {"runtime_lib", "mlflow", "ray", "dvc", "airflow", "torch", "mlx"} <= reserved


def test_nobody_has_to_trust_the_template(template, tmp_path):
    """No tasks, migrations or extensions: a plain copy works, and nothing asks for `--trust`."""
    config = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(config)
    answers = {"library_source": str(REPOSITORY)}
    copier.run_copy(
        str(template), tmp_path / "project", data=answers, defaults=True, quiet=True, unsafe=False
    )


def test_no_answer_is_a_secret_and_computed_values_are_not_stored(render):
    stored = set(yaml.safe_load((render() / ".copier-answers.yml").read_text()))
    questions = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    asked = {name for name, q in questions.items() if isinstance(q, dict) and q.get("when") is not False}
    assert stored - {"_src_path", "_commit"} == asked - {"_envops"}
    assert not any(isinstance(q, dict) and q.get("secret") for q in questions.values())
