"""No generated file disappears without a word in the migrations, and no step does anything twice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from runtime_lib.settings import load
from runtime_lib.upgrade.migrations import (
    MIGRATIONS,
    Migration,
    migrate,
    pending,
    removals,
    renames,
)
from runtime_lib.upgrade.versions import version_of
from tests.support import scene
from tests.support.releases import RELEASES, SAMPLE
from tests.support.scene import ANSWERS

VERSIONS = [f"v{version}" for version in SAMPLE]
PACKAGES = {name: answers.get("project_package", "late_flights") for name, answers in ANSWERS.items()}

needs_history = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")


def undeclared(
    before: Iterable[str], after: Iterable[str], steps: Iterable[Migration], package: str
) -> set[str]:
    """The files that are gone without being renamed to one that is there, or given up."""
    steps, there = tuple(steps), set(after)
    moved = {old for old, new in renames(steps, package).items() if new in there}
    return set(before) - there - moved - removals(steps, package)


@needs_history
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_that_disappeared_is_declared(tagged, version, name):
    before, after = (scene.rendered(tagged, ref, name) for ref in (version, "HEAD"))
    assert undeclared(before, after, pending(version), PACKAGES[name]) == set()


@needs_history
@pytest.mark.parametrize("name", ANSWERS)
def test_a_file_that_disappears_without_declaration_is_found(line, name):
    package = PACKAGES[name]
    before, after = (scene.rendered(line.folder, ref, name) for ref in (line.head, line.next))
    lost = {"AGENTS.md", f"src/{package}/stages.py"}
    assert undeclared(before, after, [], package) == lost
    moved = {"src/{package}/stages.py": "src/{package}/steps.py"}
    declared = Migration("0.4.0", renamed=moved, removed=("AGENTS.md",))
    assert undeclared(before, after, [declared], package) == set()
    nowhere = Migration(
        "0.4.0", renamed={"src/{package}/stages.py": "src/nowhere.py"}, removed=("AGENTS.md",)
    )
    assert undeclared(before, after, [nowhere], package) == {f"src/{package}/stages.py"}


def _another_stage(project: Path) -> list[str]:
    file = project / "dvc.yaml"
    text = file.read_text()
    if ".stages evaluate" not in text:
        return []
    file.write_text(text.replace(".stages evaluate", ".stages judge"))
    return ["dvc.yaml: the stage evaluate runs judge"]


SYNTHETIC = Migration(
    "99.0.0",
    settings={
        "registry.max_loss_to_incumbent": "registry.max_loss",
        "serving.port": "web.port",
        "monitoring.max_drop": "",
    },
    change=_another_stage,
)


@needs_history
@pytest.mark.parametrize("step", [*MIGRATIONS, SYNTHETIC], ids=lambda step: step.version)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_taken_twice_is_taken_once(tagged, tmp_path, version, step):
    scene.make(tagged, version, tmp_path / "project")
    scene.edit(tmp_path / "project")
    done = migrate(tmp_path / "project", [step])
    assert done or step is not SYNTHETIC
    once = scene.files(tmp_path / "project")
    assert migrate(tmp_path / "project", [step]) == []
    assert scene.files(tmp_path / "project") == once


@needs_history
def test_a_migrated_project_has_settings_that_this_library_reads(tagged, tmp_path):
    for version in VERSIONS:
        project = scene.make(tagged, version, tmp_path / version)
        migrate(project, pending(version))
        assert load(project, environ={}).project.name == "late-flights"


def test_the_steps_are_in_the_order_of_their_releases():
    versions = [version_of(step.version) for step in MIGRATIONS]
    assert None not in versions
    assert versions == sorted(set(versions))
