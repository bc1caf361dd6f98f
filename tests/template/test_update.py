"""Plain `copier update`: a project made at an earlier release takes the newest template and loses no edit."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from runtime_lib.upgrade.migrations import pending, removals, renames
from tests.support import scene
from tests.support.edits import MARKED, edit, lost
from tests.support.projects import environment
from tests.support.releases import RELEASES, commit, git, pairs

PACKAGE = "late_flights"
ANSWERS: dict[str, dict[str, Any]] = {
    "all of it": {},
    "the least": {
        "tier": "quick",
        "ci_provider": "none",
        "framework": "torch",
        "project_license": "Proprietary",
        "with_orchestration": False,
        "with_serving": False,
    },
    "mlx on gitlab": {"framework": "mlx", "ci_provider": "gitlab", "with_monitoring": False},
    "servers": {
        "tier": "quick",
        "project_license": "MIT",
        "data_remote": "s3",
        "data_remote_url": "s3://bucket/flights",
        "tracking_uri": "https://mlflow.example.org",
    },
}
# 0.2.0 changed the docstring of `model`, a function that is its owner's. No release may do so again.
CONFLICTS = {"0.1.0": {"src/late_flights/model.py"}}

ANSWERS_FILE = ".copier-answers.yml"

pytestmark = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")


def make(source: Path, folder: Path, ref: str, **answers: Any) -> Path:
    data = {"project_name": "late-flights", **answers}
    copier.run_copy(str(source), folder, data=data, defaults=True, quiet=True, vcs_ref=ref, unsafe=False)
    return folder


def stored(project: Path) -> dict[str, Any]:
    """All answers of a project; `start` as it is for those made before that question."""
    return scene.answers_of({ANSWERS_FILE: (project / ANSWERS_FILE).read_bytes()})


def update(project: Path, **answers: Any) -> None:
    copier.run_update(
        project, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD", unsafe=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a project that git would see, and what is in it."""
    names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {name: (folder / name).read_bytes() for name in names if name and (folder / name).exists()}


def conflicts(project: Path) -> set[str]:
    """Files that are unmerged, hold markers, or have a rejected hunk beside them."""
    unmerged = {line.split("\t")[1] for line in git(project, "ls-files", "--unmerged").splitlines()}
    marked = {name for name, content in contents(project).items() if b"\n<<<<<<< " in b"\n" + content}
    rejected = {name for name in contents(project) if name.endswith(".rej")}
    return unmerged | marked | rejected


# In the order of the answers.
PAIRS = sorted(pairs(ANSWERS), key=lambda pair: list(ANSWERS).index(pair[1]))


@pytest.fixture(scope="session")
def answers(request) -> dict[str, Any]:
    return ANSWERS[request.param]


@pytest.fixture(scope="session")
def fresh(release, answers, tagged, tmp_path_factory) -> dict[str, bytes]:
    """The files of a project made now, of the answers of one that was made at the release."""
    before = make(tagged, tmp_path_factory.mktemp("before") / "project", f"v{release}", **answers)
    folder = make(tagged, tmp_path_factory.mktemp("fresh") / "project", "HEAD", **stored(before))
    git(folder, "init", "--quiet")
    return contents(folder)


@pytest.fixture(scope="session")
def release(request) -> str:
    return str(request.param)


@pytest.fixture
def project(release, answers, tagged, tmp_path) -> Path:
    folder = make(tagged, tmp_path / "project", f"v{release}", **answers)
    git(folder, "init", "--quiet")
    commit(folder, "Start")
    return folder


each_pair = pytest.mark.parametrize(("release", "answers"), PAIRS, indirect=True)


@each_pair
def test_an_untouched_project_becomes_what_a_new_one_is(project, fresh):
    update(project)
    assert contents(project) == fresh


@each_pair
def test_a_file_that_is_gone_has_a_migration(project, release, fresh):
    """Copier drops its owner's edits; `mlops upgrade` moves or keeps them if it is told."""
    told = pending(f"v{release}")
    known = set(renames(told, PACKAGE)) | removals(told, PACKAGE)
    assert set(contents(project)) - set(fresh) <= known


@each_pair
def test_an_edited_project_keeps_every_line_of_its_owner(project, release):
    edits = edit(project, PACKAGE)
    commit(project, "Mine")
    update(project)
    assert conflicts(project) == CONFLICTS.get(release, set())
    assert lost(project, edits) == {}


def test_no_release_changes_what_belongs_to_the_owner(tagged, tmp_path):
    """Whoever rewrote a marked function, or a parameter, would have a conflict."""
    newest = make(tagged, tmp_path / "newest", f"v{RELEASES[-1][0]}")
    now = make(tagged, tmp_path / "now", "HEAD", **stored(newest))
    owned = [f"src/{PACKAGE}/{module}.py" for module in MARKED]
    owned += ["params.yaml", "tests/test_data.py", "tests/test_unit.py"]
    for name in owned:
        assert (now / name).read_text() == (newest / name).read_text(), name


def _all_in_use(settings: str) -> str:
    """Every hint is uncommented, with a key and a table of the owner's own behind those of monitoring."""
    used = re.sub(r"(?m)^# (?=\[|\w+ = )", "", settings)
    own = "period_days = 7\n\n[monitoring.objectives]\navailability = 0.99\n"
    return re.sub(r"(?m)^webhook = .*\n", lambda found: found[0] + own, used)


def _no_hints(settings: str) -> str:
    """All that stands below the settings is deleted."""
    return settings[: settings.index("# webhook = ")]


@pytest.mark.parametrize("mine", [_all_in_use, _no_hints])
def test_hints_on_new_settings_reach_the_settings_of_an_owner_without_a_conflict(tagged, tmp_path, mine):
    """In 0.8 monitoring had no channels and no retraining."""
    project = make(tagged, tmp_path / "project", "v0.8.0")
    git(project, "init", "--quiet")
    settings = project / "mlops.toml"
    edited = mine(settings.read_text())
    settings.write_text(edited)
    commit(project, "Mine")
    update(project)
    assert conflicts(project) == set()
    now = settings.read_text()
    assert "# [monitoring.alerts.team-chat]\n" in now
    assert "# [monitoring.retrain]\n" in now
    kept = iter(now.splitlines())
    assert all(line in kept for line in edited.splitlines()), "in the order of before"


def test_no_release_needs_trust(tagged):
    """One tag with a task would ask for `--trust` on the way from it as well as to it."""
    for version, _ in RELEASES:
        settings = yaml.safe_load(git(tagged, "show", f"v{version}:copier.yml"))
        assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(settings), version


def test_the_command_ends_with_what_is_left_to_do(tagged, tmp_path):
    project = make(tagged, tmp_path / "project", f"v{RELEASES[0][0]}")
    git(project, "init", "--quiet")
    commit(project, "Start")
    command = ["copier", "update", "--defaults", "--vcs-ref", "HEAD"]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=True)
    for words in ("git diff --check", "uv lock && uv sync", "mlops doctor", "pytest", "mlops upgrade"):
        assert words in done.stderr
