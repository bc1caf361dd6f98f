"""From releases and kinds of projects, in the deep run all of them, to HEAD and to the release after it.

A project that its owner left alone becomes what a new one is, byte for byte. Of a project edited in ten ways
each edited line is searched for: it is in the tree, or its file is in the report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime_lib.settings import load
from runtime_lib.upgrade.apply import Checks, upgrade
from tests.support import scene
from tests.support.releases import commit, git, pairs
from tests.support.scene import ANSWERS, Tags

TO_HEAD = [(f"v{version}", name) for version, name in pairs(ANSWERS)]
TO_NEXT = [*TO_HEAD, ("head", "default")]
NOTHING = Checks(lock=False, tests=False)

# In each file, what the newer template changed in the very lines that the edits change.
CONFLICTS = {"model.py"}  # 0.2.0 turned the network's dropout on

# Each row: one upgrade to the next release, in the one process that does them all.
MANY = """
import json, sys
from pathlib import Path
from runtime_lib.upgrade.apply import Checks, upgrade
for row in sys.stdin:
    project, ref, data = json.loads(row)
    plan = upgrade(Path(project), ref=ref, data=data, checks=Checks(lock=False, tests=False))
    print(json.dumps({**plan.to_dict(), "lines": plan.lines()}))
"""


@pytest.fixture(scope="module")
def to_next(line, tmp_path_factory) -> dict[tuple[str, str, bool], tuple[Path, dict[str, Any], Tags, str]]:
    """Every project taken to the next release by that release's own code."""
    made, rows = {}, []
    for (version, name), edited in product(TO_NEXT, (False, True)):
        folder = tmp_path_factory.mktemp("next") / "project"
        start = line.head if version == "head" else version
        project, tags = _project(line, start, name, folder, edited=edited)
        made[version, name, edited] = (project, tags, git(project, "rev-parse", "HEAD"))
        rows.append(json.dumps([str(project), line.next, _switch(name) if edited else {}]))
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        input="\n".join(rows),
        env=scene.variables_for(line.folder),
        cwd=tmp_path_factory.mktemp("nowhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plans = map(json.loads, done.stdout.splitlines())
    return {
        key: (project, plan, tags, before)
        for (key, (project, tags, before)), plan in zip(made.items(), plans, strict=True)
    }


def _project(line, version: str, name: str, folder: Path, *, edited: bool) -> tuple[Path, Tags]:
    project = scene.make(line.folder, version, folder, name)
    tags = scene.edit(project) if edited else Tags()
    commit(project, "Mine")
    return project, tags


def _switch(name: str) -> dict[str, bool]:
    """A feature off that is on, and the other way round: the answer that changes with an upgrade."""
    return {"with_orchestration": not ANSWERS[name].get("with_orchestration", True)}


def kinds(plan: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["kind"] for file in plan["files"]}


def check_untouched(project: Path, plan: dict[str, Any], before: str, expected: scene.Files) -> None:
    assert scene.files(project) == expected
    assert set(kinds(plan).values()) <= {"added", "changed", "deleted", "moved", "migrated"}
    check_landed(project, before)


def check_landed(project: Path, before: str) -> None:
    assert git(project, "rev-list", f"{before}..HEAD", "--count") == "1"
    assert git(project, "rev-parse", "HEAD^") == before
    assert git(project, "status", "--porcelain", "--branch") == "## main"


def check_edited(project: Path, plan: dict[str, Any], tags: Tags, before: str) -> None:
    assert len(tags.made) >= 30
    reported = {name for file in plan["files"] for name in (file["path"], file["came_from"])}
    assert {path for path in tags.lost(project).values() if path not in reported} == set()
    # Stronger: with these edits none has to go at all.
    assert tags.lost(project) == {}
    conflicts = [path for path, kind in kinds(plan).items() if kind == "conflict"]
    assert {Path(path).name for path in conflicts} <= CONFLICTS
    if not conflicts:
        check_landed(project, before)
    unmerged = git(project, "ls-files", "--unmerged")
    assert {row.split("\t")[1] for row in unmerged.splitlines()} == set(conflicts)


@pytest.mark.parametrize(("version", "name"), TO_HEAD)
def test_to_head_untouched(line, tmp_path, version, name):
    project, _ = _project(line, version, name, tmp_path / "project", edited=False)
    before = git(project, "rev-parse", "HEAD")
    plan = upgrade(project, ref=line.head, checks=NOTHING)
    check_untouched(project, plan.to_dict(), before, scene.renewed(line.folder, version, line.head, name))
    load(project)


@pytest.mark.parametrize(("version", "name"), TO_HEAD)
def test_to_head_edited(line, tmp_path, version, name):
    project, tags = _project(line, version, name, tmp_path / "project", edited=True)
    before = git(project, "rev-parse", "HEAD")
    plan = upgrade(project, ref=line.head, data=_switch(name), checks=NOTHING)
    check_edited(project, plan.to_dict(), tags, before)
    assert load(project).registry.max_loss_to_incumbent == 0.5
    assert load(project, environ={"MLOPS_ENV": "mine"}).registry.max_loss_to_incumbent == 0.25


@pytest.mark.parametrize(("version", "name"), TO_NEXT)
def test_to_the_release_after_untouched(line, to_next, version, name):
    project, plan, _, before = to_next[version, name, False]
    start = line.head if version == "head" else version
    check_untouched(project, plan, before, scene.renewed(line.folder, start, line.next, name))
    own = f"src/{scene.package(project)}"
    assert kinds(plan)["AGENTS.md"] == "deleted"
    assert kinds(plan)[f"{own}/steps.py"] == "moved"
    stored = yaml.safe_load(scene.rendered(line.folder, start, name)[".copier-answers.yml"])
    asked = scene.answers_of(scene.files(project))
    assert plan["questions"] == {key: asked[key] for key in asked.keys() - stored.keys()} | (
        {"with_alerts": True}
    )


@pytest.mark.parametrize(("version", "name"), TO_NEXT)
def test_to_the_release_after_edited(line, to_next, version, name):
    project, plan, tags, before = to_next[version, name, True]
    check_edited(project, plan, tags, before)
    files = {file["path"]: file for file in plan["files"]}
    assert (files["AGENTS.md"]["kind"], files["AGENTS.md"]["reason"]) == ("kept", "deleted")
    assert any(row.startswith("kept      AGENTS.md (deleted by the new version)") for row in plan["lines"])
    own = f"src/{scene.package(project)}"
    assert files[f"{own}/steps.py"]["came_from"] == f"{own}/stages.py"
    assert not (project / own / "stages.py").exists()
    if not _switch(name)["with_orchestration"]:
        assert files[f"dags/{scene.package(project)}_dags.py"]["reason"] == "switched off"
    settings = (project / "mlops.toml").read_text()
    assert "max_loss = 0.5  # MINE" in settings
    assert "max_loss = 0.25  # MINE" in settings
    assert "max_loss_to_incumbent" not in settings
    assert ".stages " not in (project / "dvc.yaml").read_text()  # nor in the owner's own stage
    assert len([line for line in plan["settings"] if ".py:" not in line]) == 3  # the others are imports
