"""What a project starts from: the example, blank stubs, or what a project made before that question has."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from runtime_lib.upgrade.answers import parse_answers
from runtime_lib.upgrade.render import render as render_for_upgrade
from runtime_lib.upgrade.versions import version_of
from tests.support import scene
from tests.support.edits import rewrite
from tests.support.projects import with_library
from tests.support.releases import RELEASES, commit, git
from tests.template.test_update import ANSWERS_FILE, PACKAGE, conflicts, contents, make, stored, update

QUIETLY = {"overwrite": True, "quiet": True, "unsafe": False}
released = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")


def answer(project: Path, question: str = "start") -> str:
    return str(yaml.safe_load((project / ANSWERS_FILE).read_text())[question])


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Path:
    """The file in which a user of copier answers questions of every template."""
    path = tmp_path / "settings.yml"
    path.write_text("{}\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(path))
    return path


# ---------------------------------------------------------------- a new project


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("churn", "churn"),
        ("Flight Delays (2)", "flight-delays-2"),
        ("2024_churn", "churn"),
        ("_", "my-project"),
        ("データ", "my-project"),
        ("mlflow", "mlflow-project"),
        ("x" * 39 + "-yz", "x" * 39),
    ],
)
def test_the_folder_gives_the_name(template, tmp_path, folder, name):
    answers = {"library_source": "/src"}
    copier.run_copy(str(template), tmp_path / folder, data=answers, defaults=True, **QUIETLY)
    assert yaml.safe_load((tmp_path / folder / ANSWERS_FILE).read_text())["project_name"] == name


def test_the_folder_one_stands_in_gives_the_name(template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copier.run_copy(str(template), ".", data={"library_source": "/src"}, defaults=True, **QUIETLY)
    stored = yaml.safe_load(Path(ANSWERS_FILE).read_text())
    assert stored["project_name"].startswith("test-the-folder-one-stands-in")


@pytest.mark.parametrize(("given", "start"), [(None, "example"), ("blank", "blank")])
def test_copiers_settings_answer_for_a_new_project(render, settings, given, start):
    settings.write_text(yaml.safe_dump({"defaults": {"start": given, "with_serving": True} if given else {}}))
    assert answer(render()) == start


@pytest.mark.parametrize(("start", "example"), [("example", "images"), ("blank", None)])
def test_copiers_settings_choose_the_example_where_there_is_one(render, settings, start, example):
    settings.write_text("defaults: {example: images}\n")
    project = render(start=start)
    stored = yaml.safe_load((project / ANSWERS_FILE).read_text())
    assert stored.get("example") == example
    assert ("load_digits" in (project / "src/flight_delays/data.py").read_text()) == (example is not None)


def test_the_example_of_images_decides_what_is_predicted(render):
    project = render(example="images")
    assert answer(project, "task_kind") == "multiclass"
    assert (project / "README.md").read_text().splitlines()[2] == (
        "Predicts which digit a handwritten picture shows."
    )


def test_defaults_of_a_program_are_no_answers_of_a_project(template, tmp_path):
    known = {"tier": "quick", "with_serving": False, "library_source": "/src"}
    copier.run_copy(str(template), tmp_path / "new", user_defaults=known, defaults=True, **QUIETLY)
    assert answer(tmp_path / "new") == "example"


def test_all_that_copier_asks_may_be_confirmed(template, tmp_path):
    with keys("\r" * 40):
        copier.run_copy(str(template), tmp_path / "churn", data={"library_source": "/src"}, **QUIETLY)
    stored = yaml.safe_load((tmp_path / "churn" / ANSWERS_FILE).read_text())
    assert (stored["start"], stored["example"], stored["project_name"]) == ("example", "flights", "churn")


def test_who_chooses_images_is_offered_classes_first(template, tmp_path):
    with keys("\r" + "\x1b[B\r" + "\r" * 40):  # the second of the examples, and what follows from it
        copier.run_copy(str(template), tmp_path / "churn", data={"library_source": "/src"}, **QUIETLY)
    stored = yaml.safe_load((tmp_path / "churn" / ANSWERS_FILE).read_text())
    assert (stored["example"], stored["task_kind"]) == ("images", "multiclass")


def keys(typed: str) -> Any:
    """A terminal on which somebody has typed."""
    stack = ExitStack()
    pipe = stack.enter_context(create_pipe_input())
    stack.enter_context(create_app_session(input=pipe, output=DummyOutput()))
    pipe.send_text(typed)
    return stack


# ---------------------------------------------------------------- a project made before


@pytest.fixture
def old(tagged, tmp_path) -> Path:
    """A project of the last release that did not ask."""
    before = [version for version, _ in RELEASES if version_of(version) < version_of("0.6.0")]
    return scene.make(tagged, f"v{before[-1]}", tmp_path / "project")


def interactively(project: Path) -> None:
    with keys("\r" * 40):
        copier.run_update(project, vcs_ref="HEAD", **QUIETLY)


WAYS = {
    "update": update,
    "with another answer": lambda project: update(project, tier="quick", framework="torch"),
    "asked": interactively,
    "recopy": lambda project: copier.run_recopy(project, vcs_ref="HEAD", defaults=True, **QUIETLY),
    "settings": update,
}


@released
@pytest.mark.parametrize("way", WAYS)
def test_a_project_made_before_keeps_what_is_its_owners(old, settings, way):
    if way == "settings":
        settings.write_text("defaults: {tier: quick, project_license: MIT}\n")
    owned = [*(f"src/{PACKAGE}/{name}.py" for name in ("data", "features", "model", "replay"))]
    owned += ["params.yaml", "mlops.toml", "tests/test_data.py", "tests/test_unit.py"]
    before = {name: content for name, content in contents(old).items() if name in owned}
    WAYS[way](old)
    assert (answer(old), answer(old, "task_kind")) == ("earlier", "earlier")
    after = contents(old)
    if way == "with another answer":
        before.pop("mlops.toml")
    assert {name: after[name] for name in before} == before


@released
@pytest.mark.parametrize("start", ["example", "blank"])
def test_a_project_made_before_tasks_keeps_what_is_its_owners(tagged, tmp_path, start):
    """In 0.6 it was asked what it starts from, and not what it predicts."""
    old = make(tagged, tmp_path / "project", "v0.6.0", start=start)
    scene.start_git(old)
    commit(old, "Start from the template")
    before = contents(old)
    update(old)
    assert (answer(old), answer(old, "task_kind")) == (start, "earlier")
    kept = [name for name in before if name.startswith(("src/", "tests/test_unit", "params", "dvc", "mlops"))]
    assert {name: contents(old)[name] for name in kept} == {name: before[name] for name in kept}


@released
@pytest.mark.parametrize("way", ["update", "asked", "recopy"])
def test_a_project_made_before_there_were_two_examples_keeps_the_flights(tagged, tmp_path, settings, way):
    old = make(tagged, tmp_path / "project", "v0.6.0")
    scene.start_git(old)
    commit(old, "Start from the template")
    before = contents(old)
    WAYS[way](old)
    assert answer(old, "example") == "flights"
    kept = [
        name for name in before if name.startswith(("src/", "tests/test_unit", "tests/test_data", "params"))
    ]
    assert {name: contents(old)[name] for name in kept} == {name: before[name] for name in kept}


@released
def test_copiers_settings_do_not_change_the_example_of_a_project(tagged, tmp_path, settings):
    old = make(tagged, tmp_path / "project", "v0.6.0")
    scene.start_git(old)
    commit(old, "Start from the template")
    settings.write_text("defaults: {example: images}\n")
    with pytest.raises(ValueError, match="--data example=flights keeps it as it is"):
        update(old)
    update(old, example="flights")
    assert answer(old, "example") == "flights"


@released
def test_a_project_may_switch_to_images(tagged, tmp_path):
    old = make(tagged, tmp_path / "project", "v0.6.0")
    scene.start_git(old)
    commit(old, "Start from the template")
    with pytest.raises(ValueError, match="task_kind is multiclass, not 'earlier'"):
        update(old, example="images")
    chosen = {"example": "images", "task_kind": "multiclass"}
    new = make(tagged, tmp_path / "new", "HEAD", **{**stored(old), **chosen})
    scene.start_git(new)
    update(old, **chosen)
    assert contents(old) == contents(new)


@released
def test_a_project_made_before_tasks_may_switch(tagged, tmp_path):
    old = make(tagged, tmp_path / "project", "v0.6.0")
    scene.start_git(old)
    commit(old, "Start from the template")
    new = make(tagged, tmp_path / "new", "HEAD", **{**stored(old), "task_kind": "regression"})
    scene.start_git(new)
    update(old, task_kind="regression")
    assert contents(old) == contents(new)


@released
def test_copiers_settings_do_not_turn_a_project_inside_out(old, settings):
    settings.write_text("defaults: {start: blank}\n")
    with pytest.raises(ValueError, match="--data start=earlier keeps it as it is"):
        update(old)
    assert git(old, "status", "--porcelain") == ""
    update(old, start="earlier")
    assert answer(old) == "earlier"
    commit(old, "Updated")
    update(old)  # the answer that is stored now is good for the next time
    assert answer(old) == "earlier"


@released
def test_a_project_made_before_may_switch(old, tagged, tmp_path):
    """Untouched, it becomes what a new one of its answers is."""
    new = make(tagged, tmp_path / "new", "HEAD", **{**stored(old), "start": "example"})
    scene.start_git(new)
    update(old, start="example")
    assert contents(old) == contents(new)


@released
def test_a_switch_over_features_of_ones_own_is_a_conflict(old):
    rewrite(old / "src" / PACKAGE / "features.py", "features")
    commit(old, "Mine")
    update(old, start="example")
    assert conflicts(old) == {f"src/{PACKAGE}/features.py"}


@released
def test_the_upgrades_render_keeps_it_too(old):
    before = parse_answers((old / ANSWERS_FILE).read_text(), ANSWERS_FILE)
    new = render_for_upgrade(before, ref="HEAD")
    features = f"src/{PACKAGE}/features.py"
    assert new[features] == (old / features).read_bytes()
    assert b"start: earlier" in new[ANSWERS_FILE]


# ---------------------------------------------------------------- blank

FUNCTIONS = [
    (
        "ingest",
        "data",
        "load",
        'pd.DataFrame({"day": pd.to_datetime([f"{month}-01"])})',
        "return the raw rows",
    ),
    (
        "validate",
        "data",
        "schema",
        '__import__("pandera.pandas").pandas.DataFrameSchema({})',
        "return a pandera",
    ),
    (
        "featurize",
        "features",
        "features",
        'raw.assign(id=["1"], time=raw["day"]).drop(columns="day").assign(x=1.0)',
        "return a table of id",
    ),
    ("featurize", "features", "label", "raw.index.to_series()", "return 1 or 0 for each row of raw"),
]


@pytest.fixture
def blank(render, monkeypatch) -> Path:
    project = render(start="blank", project_name="churn", with_orchestration=False)
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project / "src")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return project


def test_each_stub_says_in_one_line_what_to_write_until_all_are_there(blank, capsys):
    for name, module, function, returned, words in FUNCTIONS:
        assert stage(name) == 1
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith(f"Stage {name}: write {function}() in src/churn/{module}.py: {words}")
        write(blank / "src" / "churn" / f"{module}.py", function, returned)
        if function != "features":  # without label(), the stage is not done
            assert stage(name) == 0, capsys.readouterr().err


def test_an_error_that_is_no_stub_keeps_its_traceback(blank):
    write(
        blank / "src" / "churn" / "data.py", "load", "raw_rows()\n\ndef raw_rows(): raise KeyError('table')"
    )
    with pytest.raises(KeyError, match="table"):
        stage("ingest")
    (blank / "src" / "churn" / "data.py").write_text(
        "def load(month):\n    exec(compile('raise NotImplementedError', '/lib/package.py', 'exec'))\n"
    )
    with pytest.raises(NotImplementedError):
        stage("ingest")


@pytest.mark.parametrize(
    ("start", "words"), [("blank", "says what to write, function by function"), ("example", "the example;")]
)
def test_the_copy_ends_with_what_the_run_will_do(template, tmp_path, capsys, start, words):
    data = {"start": start, "library_source": "/src"}
    copier.run_copy(
        str(template), tmp_path / "new", data=data, **{**QUIETLY, "defaults": True, "quiet": False}
    )
    assert f"uv run mlops run                   # {words}" in capsys.readouterr().err


@pytest.mark.slow
def test_its_tests_guide(blank):
    env = {**os.environ, "PYTHONPATH": with_library("src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "write load() in src/churn/data.py: return the raw rows of one month" in done.stdout
    assert "failed" not in done.stdout


@pytest.mark.slow
def test_its_leak_test_finds_what_is_known_later(blank):
    module = blank / "src" / "churn"
    write(
        module / "data.py",
        "load",
        'pd.DataFrame({"at": pd.date_range(f"{month}-01", periods=40, freq="h"), "amount": range(40), '
        '"back": [True, False] * 20, "back_at": pd.Timestamp("2024-03-01")})',
    )
    write(
        module / "features.py",
        "features",
        'pd.DataFrame({"id": raw["amount"].astype(str), "time": raw["at"], "amount": raw["amount"]})',
    )
    write(module / "features.py", "label", 'raw["back"].map({True: 1, False: 0})')
    tests = blank / "tests" / "test_unit.py"
    tests.write_text(tests.read_text().replace("LATER = []", 'LATER = ["back", "back_at"]'))
    assert _tested(blank).returncode == 0, _tested(blank).stdout
    features = (module / "features.py").read_text()
    leaking = features.replace(', "amount": raw', ', "days": raw["back_at"].dt.day, "amount": raw')
    (module / "features.py").write_text(leaking)
    said = _tested(blank)
    assert said.returncode == 1
    assert "FAILED tests/test_unit.py::test_nothing_that_happens_later_gets_in" in said.stdout


def _tested(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_unit.py"]
    env = {**os.environ, "PYTHONPATH": with_library("src")}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


def write(file: Path, function: str, returned: str) -> None:
    """Let the stub return something."""
    before, after = file.read_text().split(f"def {function}(")
    head, tail = after.split("    raise NotImplementedError(", 1)
    file.write_text(f"{before}def {function}({head}    return {returned}\n{tail.split(chr(10), 1)[1]}")


def stage(name: str) -> int:
    """Run a stage as `python -m churn.stages` does, and return how it ends."""
    for module in [module for module in sys.modules if module.split(".")[0] == "churn"]:
        del sys.modules[module]
    try:
        runpy.run_module("churn.stages")["stage"].main([name])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
