"""A project made at any release takes the newest template without losing a line of its owner's."""

from __future__ import annotations

from pathlib import Path

import copier
import pytest

from tests.projects import run
from tests.releases import RELEASES, commit, git

EDITS = {
    "data.py": ('weather = _read("weather.csv")', "# Mine: only the weather of New York is in there.\n    "),
    "features.py": ('day = pd.to_datetime(raw[["year"', "# Mine: local days, as travellers count them.\n    "),
    "model.py": ('return Architecture("mlp"', "# Mine: a plain network is enough here.\n    "),
}


@pytest.fixture
def project(request, tagged, tmp_path) -> Path:
    """A project made at a release, with its owner's edits in the three marked functions."""
    folder = tmp_path / "project"
    answers = {"project_name": "late-flights"}
    copier.run_copy(str(tagged), folder, data=answers, defaults=True, quiet=True, vcs_ref=f"v{request.param}")
    git(folder, "init", "--quiet")
    for name, (anchor, line) in EDITS.items():
        path = folder / "src" / "late_flights" / name
        text = path.read_text()
        assert text.count(anchor) == 1, f"{name} of {request.param} has no line {anchor!r} to edit beside"
        path.write_text(text.replace(anchor, line + anchor))
    commit(folder, "Mine")
    return folder


def update(project: Path) -> None:
    copier.run_update(project, defaults=True, overwrite=True, quiet=True, vcs_ref="HEAD")


def check(project: Path, tagged: Path) -> None:
    assert git(project, "ls-files", "--unmerged") == ""
    conflicted = [p for p in project.rglob("*.rej") if ".venv" not in p.parts]
    assert conflicted == []
    assert "<<<<<<<" not in git(project, "grep", "--untracked", "-h", "", "--", ".", ":!uv.lock")
    for name, (anchor, line) in EDITS.items():
        assert line + anchor in (project / "src" / "late_flights" / name).read_text()
    head = git(tagged, "rev-parse", "HEAD")
    newest = [f"v{version}" for version, released in RELEASES if released == head]
    pin = (project / "pyproject.toml").read_text()
    assert f"@{(newest or [head])[0]}" in pin


@pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")
@pytest.mark.parametrize("project", [version for version, _ in RELEASES], indirect=True)
def test_an_edited_project_updates_without_conflict(project, tagged):
    update(project)
    check(project, tagged)


@pytest.mark.slow
@pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")
@pytest.mark.parametrize("project", [version for version, _ in RELEASES[:1]], indirect=True)
def test_after_an_update_the_projects_own_tests_pass(project, tagged):
    run(project, "uv", "add", "--quiet", "humanize>=4,<5")
    commit(project, "A dependency of mine")
    update(project)
    check(project, tagged)
    assert "humanize" in (project / "pyproject.toml").read_text()
    run(project, "uv", "lock", "--quiet")
    run(project, "uv", "sync", "--quiet")
    run(project, "uv", "run", "--no-sync", "ruff", "check", ".")
    run(project, "uv", "run", "--no-sync", "pytest")
