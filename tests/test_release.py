"""A release in a clone of this repository: refused for a reason, or one commit with its tag."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.releases import RELEASES, REPOSITORY, commit, git

pytestmark = pytest.mark.skipif(not RELEASES, reason="no git history here: releases cannot be derived")

SECTION = "## Unreleased\n\nMore.\n\nWhat you must do: nothing.\n\n"
OLD = RELEASES[-1][0] if RELEASES else "0.0.0"
MAJOR, MINOR, PATCH = map(int, OLD.split("."))
NEXT = f"{MAJOR}.{MINOR + 1}.0"


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """A clone with the working tree committed, as it would be before a release."""
    folder = tmp_path_factory.mktemp("ready") / "repository"
    git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(folder))
    kept = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, kept):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    changes = folder / "CHANGELOG.md"
    head, _, rest = changes.read_text().partition(f"## {OLD}\n")
    changes.write_text(head.partition("## Unreleased")[0] + SECTION + f"## {OLD}\n" + rest)
    git(folder, "config", "user.name", "Maintainer")
    git(folder, "config", "user.email", "maintainer@example.org")
    commit(folder, "Ready")
    return folder


@pytest.fixture
def clone(ready, tmp_path) -> Path:
    return Path(shutil.copytree(ready, tmp_path / "clone"))


def script(clone: Path, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    command = ["-c", code] if code else ["-m", "tests.release", *words]
    env = {**os.environ, "PYTHONPATH": str(clone), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *command], cwd=clone, env=env, capture_output=True, text=True, check=False
    )


def state(clone: Path) -> list[str]:
    return [git(clone, *words.split()) for words in ("rev-parse HEAD", "status --porcelain", "tag --list")]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    "version", ["0.0.9", OLD, f"{MAJOR}.{MINOR + 2}.0", f"{MAJOR}.{MINOR}.{PATCH + 2}", "next"]
)
def test_only_the_next_version_is_released(clone, version):
    before = state(clone)
    done = script(clone, version)
    assert done.returncode == 1
    assert f"After {OLD} comes one of {MAJOR}.{MINOR}.{PATCH + 1}, {NEXT}, {MAJOR + 1}.0.0" in done.stdout
    assert "Nothing was changed" in done.stderr
    assert state(clone) == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (SECTION, "", "nothing under '## Unreleased'"),
        (SECTION, "## Unreleased\n\n", "nothing under '## Unreleased'"),
        ("What you must do: nothing.", "", "does not say under '## Unreleased': 'What you must do"),
        ("What you must do: nothing.", "What you must do:\n\n## 0.0.1", "does not say"),
        (SECTION, f"{SECTION}## {NEXT}\n\n", f"has a section {NEXT} already"),
    ],
)
def test_the_changelog_speaks_to_users_first(clone, old, new, told):
    change(clone / "CHANGELOG.md", old, new)
    commit(clone, "Change")
    assert told in script(clone, NEXT, "--dry-run").stdout


def test_the_tree_is_clean_and_the_tag_is_free(clone):
    (clone / "left.txt").write_text("over")
    git(clone, "tag", f"v{NEXT}")
    before = state(clone)
    told = script(clone, NEXT).stdout
    assert "left.txt" in told
    assert f"There is a tag v{NEXT} already." in told
    assert state(clone) == before


def test_a_migration_of_another_version_is_refused(clone):
    with (clone / "runtime_lib/upgrade/migrations.py").open("a") as file:
        file.write('\nMIGRATIONS = (Migration("77.0.0"),)\n')
    commit(clone, "A step too far")
    assert "MIGRATIONS has a step for 77.0.0" in script(clone, NEXT).stdout


def remove(clone: Path, version: str) -> None:
    """Take a function away at `version`, with each announcement but the one in the release before."""
    change(clone / "runtime_lib/data/columns.py", "def check_rows(", "def _check_rows(")
    with (clone / "runtime_lib/upgrade/migrations.py").open("a") as file:
        names = '{"runtime_lib.data.columns.check_rows": "nothing"}'
        file.write(f'\nMIGRATIONS = (*MIGRATIONS, Migration("{version}", names={names}))\n')
    commit(clone, "Remove a function")


def test_a_function_that_goes_without_a_word_stops_the_release(clone):
    remove(clone, NEXT)
    before = state(clone)
    done = script(clone, NEXT)
    assert done.returncode == 1
    assert "runtime_lib.data.columns.check_rows: removed" in done.stdout
    assert state(clone) == before


def test_a_release_is_a_commit_with_a_tag_or_nothing(clone):
    # Where a folder of that name stands among the tags, git can make no tag: nor must there be a commit.
    git(clone, "tag", f"v{NEXT}/taken")
    before = state(clone)
    code = f"from tests.release import release; release('{NEXT}')"
    done = script(clone, code=code)
    assert done.returncode == 1
    assert "cannot lock ref" in done.stderr
    assert state(clone) == before
    git(clone, "tag", "--delete", f"v{NEXT}/taken")
    assert script(clone, code=code).returncode == 0
    assert git(clone, "rev-parse", "HEAD~1") == before[0]


@pytest.mark.slow
def test_the_next_version_is_released(clone):
    before = state(clone)
    rehearsed = script(clone, NEXT, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    assert state(clone) == before
    done = script(clone, NEXT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"git push --atomic origin HEAD v{NEXT}" in done.stdout.replace("\n", " ")
    head, dirty, _ = state(clone)
    assert (git(clone, "rev-parse", f"v{NEXT}"), dirty) == (head, "")
    assert git(clone, "log", "-1", "--format=%an %s") == f"Maintainer Release {NEXT}"
    assert git(clone, "diff", "--name-only", "HEAD~1").split() == ["CHANGELOG.md", "runtime_lib/VERSION"]
    assert (clone / "runtime_lib/VERSION").read_text() == f"{NEXT}\n"
    text = (clone / "CHANGELOG.md").read_text()
    assert f"\n## {NEXT}\n\nMore.\n" in text
    assert "Unreleased" not in text
    assert f"After {NEXT} comes one of" in script(clone, NEXT).stdout


@pytest.mark.slow
def test_what_was_deprecated_goes_with_a_minor_version_and_not_with_a_patch(clone):
    columns, start = clone / "runtime_lib/data/columns.py", "from __future__ import annotations\n"
    change(columns, start, f"{start}from typing_extensions import deprecated\n")
    change(columns, "def check_rows(", '@deprecated("use nothing; goes in the next")\ndef check_rows(')
    commit(clone, "Deprecate")
    assert script(clone, code=f"from tests.release import release; release('{NEXT}')").returncode == 0
    patch, minor = f"{MAJOR}.{MINOR + 1}.1", f"{MAJOR}.{MINOR + 2}.0"
    change(clone / "CHANGELOG.md", f"## {NEXT}\n", f"{SECTION}## {NEXT}\n")
    remove(clone, patch)
    assert "runtime_lib.data.columns.check_rows: removed" in script(clone, patch).stdout
    change(clone / "runtime_lib/upgrade/migrations.py", f'Migration("{patch}"', f'Migration("{minor}"')
    commit(clone, "A minor version, then")
    done = script(clone, minor, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
