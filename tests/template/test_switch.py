"""A living project: answers change, a second template moves in, the project is one folder of many."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import copier
import pytest
import yaml

from tests.pipeline.test_run import STAGES, small
from tests.support import scene
from tests.support.depth import DEEP, examples
from tests.support.edits import edit, lost
from tests.support.projects import borrowed, run
from tests.support.releases import RELEASES, commit, git
from tests.template.test_update import CONFLICTS, PACKAGE, conflicts, contents, make, update

pytestmark = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")

FOREIGN = {
    "copier.yml": "_answers_file: .copier-answers.docs.yml\ntitle:\n  type: str\n  default: Manual\n",
    "manual.md.jinja": "# {{ title }}\n",
    "{{_copier_conf.answers_file}}.jinja": "{{ _copier_answers|to_nice_yaml }}",
}


@pytest.fixture
def project(tagged, tmp_path) -> Path:
    folder = make(tagged, tmp_path / "project", "HEAD")
    git(folder, "init", "--quiet")
    commit(folder, "Start")
    return folder


@pytest.fixture
def foreign(tmp_path) -> Path:
    """Somebody else's template, with two releases."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name, text in FOREIGN.items():
        (folder / name).write_text(text)
    git(folder, "init", "--quiet")
    commit(folder, "First", tag="v1.0.0")
    (folder / "manual.md.jinja").write_text("# {{ title }}\n\nSecond edition.\n")
    commit(folder, "Second", tag="v2.0.0")
    return folder


@pytest.mark.parametrize(
    ("off", "folder", "table"),
    [
        ({"with_orchestration": False}, "dags", None),
        ({"with_serving": False, "with_monitoring": False}, f"src/{PACKAGE}/replay.py", "serving"),
        ({"with_monitoring": False}, None, "monitoring"),
        ({"tier": "quick"}, "docs", None),
        ({"ci_provider": "none"}, ".github", None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_feature_goes_and_comes_back(project, off, folder, table):
    new = contents(project)
    on = {"tier": "standard", "ci_provider": "github"}
    on = {name: on.get(name, True) for name in off}
    for answers, there in ((off, False), (on, True)) * examples(1, 2):
        update(project, **answers)
        commit(project, "Switched")
        assert folder is None or (project / folder).exists() == there
        assert table is None or (table in tomllib.loads((project / "mlops.toml").read_text())) == there
    assert contents(project) == new


def test_a_switch_leaves_edits_alone(project):
    edits = edit(project, PACKAGE)
    schedule = f"dags/{PACKAGE}_dags.py"
    edits.pop(schedule)
    git(project, "checkout", "--", schedule)  # its next line is the monitoring's: the test below
    commit(project, "Mine")
    for answers in ({"with_monitoring": False}, {"with_monitoring": True}, {"framework": "torch"}):
        update(project, **answers)
        assert conflicts(project) == set()
        commit(project, "Switched")
    assert lost(project, edits) == {}


def test_a_switch_beside_an_edited_line_is_a_conflict_and_drops_nothing(project):
    edits = edit(project, PACKAGE)
    commit(project, "Mine")
    update(project, with_monitoring=False)
    assert conflicts(project) == {f"dags/{PACKAGE}_dags.py"}
    assert lost(project, edits) == {}


def test_a_changed_framework_reaches_the_extras_and_the_settings(project, tagged, tmp_path):
    update(project, framework="mlx")
    new = make(tagged, tmp_path / "new", "HEAD", framework="mlx")
    git(new, "init", "--quiet")
    assert contents(project) == contents(new)
    assert "data,tracking,mlx," in (project / "pyproject.toml").read_text()


@pytest.mark.parametrize("ours", [".copier-answers.yml", ".copier-answers.ml.yml"])
def test_a_second_template_lives_beside_this_one(tagged, foreign, tmp_path, ours):
    project, source = tmp_path / "both", f"v{RELEASES[-1][0]}"
    quietly = {"defaults": True, "overwrite": True, "quiet": True, "unsafe": False}
    answers = {"project_name": "late-flights"}
    copier.run_copy(str(tagged), project, data=answers, answers_file=ours, vcs_ref=source, **quietly)
    theirs = ".copier-answers.docs.yml"
    copier.run_copy(str(foreign), project, answers_file=theirs, vcs_ref="v1.0.0", **quietly)
    git(project, "init", "--quiet")
    commit(project, "Two templates")

    copier.run_update(project, answers_file=theirs, **quietly)
    commit(project, "Their update")
    copier.run_update(project, answers_file=ours, vcs_ref="HEAD", **quietly)

    assert conflicts(project) == set()
    assert "Second edition." in (project / "manual.md").read_text()
    at = {name: yaml.safe_load((project / name).read_text())["_commit"] for name in (ours, theirs)}
    assert at[theirs] == "v2.0.0"
    assert at[ours] == git(tagged, "describe", "--tags", "--always")
    kept = scene.answers_of({".copier-answers.yml": (project / ours).read_bytes()})
    new = make(tagged, tmp_path / "new", "HEAD", **kept)
    git(new, "init", "--quiet")
    mine = {name: content for name, content in contents(new).items() if "answers" not in name}
    assert mine.items() <= contents(project).items()


@pytest.fixture
def monorepo(tagged, tmp_path) -> Path:
    """A repository in which the project is one folder of many; returns that folder."""
    top = tmp_path / "monorepo"
    (top / "other").mkdir(parents=True)
    (top / "other" / "README.md").write_text("# Something else\n")
    folder = make(tagged, top / "teams" / "flights", f"v{RELEASES[0][0]}", tier="quick")
    git(top, "init", "--quiet")
    commit(top, "Start")
    return folder


def test_a_project_in_a_folder_of_a_larger_repository_updates(monorepo):
    top = monorepo.parents[1]
    edits = edit(monorepo, PACKAGE)
    (top / "other" / "README.md").write_text("# Something else, edited\n")
    commit(top, "Mine")
    update(monorepo)
    assert conflicts(monorepo) == CONFLICTS.get(RELEASES[0][0], set())
    assert lost(monorepo, edits) == {}
    assert {name.split("/")[0] for name in _touched(top)} == {"teams"}


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_larger_repository_runs(render, tmp_path):
    top = tmp_path / "monorepo"
    new = render(tier="quick", framework="torch", with_serving=False, with_orchestration=False)
    (top / "teams").mkdir(parents=True)
    folder = new.rename(top / "teams" / "flights")
    git(top, "init", "--quiet")
    commit(top, "Start")
    env = {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    if DEEP:
        run(folder, "uv", "sync", "--quiet")
    else:
        commit(small(folder), "Small")
        env |= borrowed()
    run(folder, "uv", "run", "--no-sync", "ruff", "check", ".", **env)
    # What comes after the training reads no path of the repository.
    stages = () if DEEP else STAGES[: STAGES.index("train") + 1]
    run(folder, "uv", "run", "--no-sync", "mlops", "run", *(f"--stage={stage}" for stage in stages), **env)
    record = json.loads((folder / "models" / "record" / "record.json").read_text())
    assert record["tags"]["mlflow.source.git.commit"] == git(top, "rev-parse", "HEAD")
    assert (folder / "reports" / "promotion.json").is_file() == DEEP
    whole = ["teams/flights/uv.lock", "teams/flights/reports/promotion.json"]
    assert _touched(top) == {"teams/flights/dvc.lock", *(whole if DEEP else [])}


def _touched(top: Path) -> set[str]:
    """Files of a repository that are not as they were committed."""
    return set(git(top, "ls-files", "-z", "--modified", "--others", "--exclude-standard").split("\0")) - {""}
