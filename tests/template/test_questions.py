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
    ({"project_name": "My Project!"}, "'My Project!' is no usable name: 2 to 40 lower-case letters"),
    ({"start": "csv"}, "'csv' is not in ['example', 'blank']"),
    ({"start": "earlier"}, "'earlier' is not in ['example', 'blank']"),  # for projects that are there already
    ({"project_name": "a\n"}, "is no usable name"),
    ({"project_name": "a--b"}, "single hyphens"),
    ({"project_name": "x" * 41}, "2 to 40"),
    ({"project_name": "mlflow"}, "'mlflow' is the name of something the project installs"),
    ({"project_name": "runtime-lib"}, "for instance 'runtime-lib-project'"),
    ({"project_package": "2fast"}, "'2fast' is no Python package name"),
    ({"project_package": "my-package"}, "lower-case letters, digits and underscores"),
    ({"project_package": "class"}, "'class' is a keyword of Python"),
    ({"project_package": "json"}, "'json' is a keyword of Python, a module of its standard library"),
    ({"project_package": "torch"}, "for instance 'torch_project'"),
    ({"project_package": "x" * 41}, "has 41 characters"),
    ({"project_description": " "}, "Say in one line"),
    ({"project_description": "two\nlines"}, "line break"),
    ({"project_description": 'a "quote"'}, "double quote"),
    ({"project_description": "x" * 91}, "91 characters, at most 90"),
    ({"author_name": ""}, "Give a name"),
    ({"author_name": "Ada <ada@example.org>"}, "'Ada <ada@example.org>' holds"),
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
        "'gs://bucket/x' does not fit data_remote 's3'",
    ),
    (
        {"data_remote": "azure", "data_remote_url": "azure://"},
        "starts with 'azure://' and a bucket or container",
    ),
    ({"data_remote": "ssh", "data_remote_url": "ssh://host"}, "'ssh://host' names no folder"),
    ({"data_remote": "ssh", "data_remote_url": "ssh://me:pw@host/x"}, "password or key"),
    ({"data_remote": "s3", "data_remote_url": "s3://bucket/x?secret_key=abc"}, "password or key"),
    ({"data_remote_url": "s3://bucket/x"}, "'s3://bucket/x' is an address, not a folder"),
    ({"data_remote_url": "."}, "'.' cannot be the remote's folder"),
    ({"data_remote_url": "~/dvc"}, "'~/dvc' cannot be the remote's folder"),
    ({"data_remote_url": "my data"}, "'my data' is empty or holds a space"),
    ({"tracking_uri": "mlflow.example.org"}, "'mlflow.example.org' is no tracking store"),
    ({"tracking_uri": "sqlite:///"}, "'sqlite:///' is no tracking store"),
    ({"tracking_uri": "https://me:pw@mlflow.example.org"}, "MLFLOW_TRACKING_PASSWORD"),
    ({"tracking_uri": 'sqlite:///a"b'}, "holds a space, quote"),
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


@pytest.mark.parametrize(("answers", "message"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_a_wrong_answer_is_refused(render, answers, message, tmp_path_factory):
    before = set(tmp_path_factory.getbasetemp().rglob("pyproject.toml"))
    with pytest.raises(ValueError, match=r"(?s)question|choice|Question") as refusal:
        render(**answers)
    assert message in " ".join(str(refusal.value).split())
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
