"""Every public name of a release before 0.5.0 is there, has moved to one that is, or is gone with advice."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.upgrade.deprecations import LIBRARY, Library, uses
from runtime_lib.upgrade.moved import GONE, MOVED
from runtime_lib.upgrade.plan import make_plan
from runtime_lib.upgrade.rewrite import Moves
from tests.support import scene
from tests.support.releases import REPOSITORY, commit, git, library_at, releases

MOVES = Moves(MOVED, GONE)
# Since 0.5.0 only the names of docs/api.md are promised: test_compatibility.py keeps those.
RELEASES = {
    version: commit for version, commit in releases() if tuple(map(int, version.split("."))) < (0, 5, 0)
}
# Of these only the commands were ever promised.
BEHIND_COMMANDS = ("runtime_lib.cli", "runtime_lib.upgrade")

needs_history = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")


def public(library: Path) -> dict[str, list[str]]:
    """Module → its `__all__`."""
    own = Library(library / "runtime_lib")
    found = {module: own.exports(module) for module in own.modules()}
    return {module: names for module, names in found.items() if not module.startswith(BEHIND_COMMANDS)}


def missing(names: dict[str, list[str]], moves: Moves = MOVES) -> list[str]:
    """Where each name should be now, for those that are not there."""
    now = Library(LIBRARY)
    places = [f"{module}:{name}" for module, names in names.items() for name in names or [""]]
    lost = []
    for place in places:
        old = place.replace(":", ".").rstrip(".")
        new = moves.at(place)
        gone = any(f"{old}.".startswith(f"{name}.") for name in GONE)
        module, _, name = new.rpartition(".") if not place.endswith(":") else (new, "", "")
        if not gone and (not now.has(module) or now.lacks(f"{module}:{name}")):
            lost.append(f"{old} is not at {new}: add a row to runtime_lib/upgrade/moved.py")
    return lost


@needs_history
@pytest.mark.parametrize("version", RELEASES)
def test_no_name_of_a_release_is_lost(tmp_path, version):
    names = public(library_at(RELEASES[version], tmp_path / "library"))
    assert names["runtime_lib.settings"]
    assert "\n".join(missing(names)) == ""


def test_a_name_that_is_lost_is_listed():
    assert [
        line.partition(":")[0] for line in missing({"runtime_lib.data.periods": ["months", "weeks"]})
    ] == ["runtime_lib.data.periods.weeks is not at runtime_lib.data.months.weeks"]
    assert missing({"runtime_lib.data.periods": ["months"]}, Moves({}))


def test_a_row_leads_to_where_the_name_is():
    now = Library(LIBRARY)
    for new in MOVED.values():
        module, _, name = new.rpartition(".")
        assert now.has(new) or (now.has(module) and not now.lacks(f"{module}:{name}")), new
    assert not set(MOVED) & set(GONE)
    assert not set(MOVED) & set(MOVED.values()), "a new name that is also an old one would be moved again"


def test_a_function_that_became_a_method_is_there_under_its_old_name():
    from runtime_lib.task import binary

    label, probability = np.array([0, 1, 1, 0]), np.array([0.1, 0.8, 0.6, 0.7])
    assert binary.figures(label, probability) == binary.Binary().figures(label, probability)


# ---------------------------------------------------------------- in a project of the first release

MINE = """\
from runtime_lib.data import periods as p
from runtime_lib.hardware import choose_device, facts
from runtime_lib.hardware.device import device_for
from runtime_lib.monitoring.log import PredictionLog
from runtime_lib.tracking.locks import (
    locked,
)
import runtime_lib.monitoring.measures

MONTHS = p.months("2013-01", "2013-03")
score = runtime_lib.monitoring.measures.benjamini_hochberg
"""
ANCHOR = "    from late_flights.data import load\n"
IN_STAGES = "    print(periods.months('2013-01', '2013-02'))  # mine\n"


@pytest.fixture
def project(line, tmp_path) -> Path:
    """With a module of its owner's, and a line in a function whose import the template has changed."""
    folder = scene.make(line.folder, f"v{next(iter(RELEASES))}", tmp_path / "project")
    scene.write(folder, {"src/late_flights/mine.py": MINE.encode(), "notes.ipynb": MINE.encode()})
    own = folder / "src/late_flights/stages.py"
    own.write_text(own.read_text().replace(ANCHOR, ANCHOR + IN_STAGES))
    commit(folder, "Mine")
    return folder


def test_a_projects_own_lines_are_rewritten_merged_and_reported(line, project):
    plan = make_plan(project, ref=line.head)
    contents = {change.path: (change.kind, change.content) for change in plan.changes}
    kind, mine = contents["src/late_flights/mine.py"]
    assert (kind, plan.uses, plan.conflicts) == ("migrated", (), [])
    assert mine is not None
    run = subprocess.run([sys.executable, "-"], input=mine, cwd=REPOSITORY, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    assert "notes.ipynb" not in contents
    assert "src/late_flights/mine.py:1: runtime_lib.data.periods is runtime_lib.data.months" in plan.settings
    touched = {"src/late_flights/mine.py", "src/late_flights/stages.py"}
    assert {line.partition(":")[0] for line in plan.settings} == touched
    # The owner's line calls what the merged import above it binds.
    kind, stages = contents["src/late_flights/stages.py"]
    first = f"v{next(iter(RELEASES))}"
    fresh = scene.renewed(line.folder, first, line.head, "default")["src/late_flights/stages.py"].decode()
    line_now = IN_STAGES.replace("periods.", "months.")
    assert (kind, (stages or b"").decode()) == ("merged", fresh.replace(ANCHOR, ANCHOR + line_now))


@needs_history
def test_a_project_that_was_left_alone_has_nothing_to_report(line, tmp_path):
    folder = scene.make(line.folder, f"v{next(iter(RELEASES))}", tmp_path / "project")
    assert git(folder, "grep", "-l", "periods").splitlines()
    plan = make_plan(folder, ref=line.head)
    assert plan.settings == ()
    fresh = scene.renewed(line.folder, f"v{next(iter(RELEASES))}", line.head, "default")
    changed = {change.path: change.content for change in plan.changes}
    for path, content in scene.files(folder).items():
        assert changed.get(path, content) == fresh.get(path, content), path
    python = {path: content for path, content in fresh.items() if path.endswith(".py")}
    assert uses(python, removed=GONE) == []
    assert all(ast.parse(content) for content in python.values())
