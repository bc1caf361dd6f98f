"""Release this repository: `nox -s release -- 0.3.0 [--dry-run]`.

The session runs the deep tests before.
Checks first; then one commit with the version and its changes, and its tag, both or neither. Pushes nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from runtime_lib.upgrade.migrations import MIGRATIONS
from runtime_lib.upgrade.versions import version_of
from tests.support.compatibility import breaking
from tests.support.releases import RELEASES, REPOSITORY, library_at

VERSION, CHANGES = "runtime_lib/VERSION", "CHANGELOG.md"
UNRELEASED = "## Unreleased\n"

console = Console(highlight=False)


def main(version: str, *, dry_run: bool) -> None:
    """Release `version`, or say everything that stands against it and exit with 1."""
    for what, checks in (("state", state), ("promise", promise)):
        console.print(f"Check the {what}")
        if found := list(checks(version)):
            for problem in found:
                console.print(f"  {problem}", markup=False)
            raise SystemExit(f"{version} is not released: {len(found)} reason(s) above. Nothing was changed.")
    if dry_run:
        console.print(f"All is well: without --dry-run, {version} would be released now.")
        return
    commit = release(version)
    console.print(
        f"Released {version} as {commit[:12]}. To publish: git push --atomic origin HEAD v{version}"
    )


def state(version: str) -> Iterator[str]:
    """What is wrong with the version, the tree, the tags or the changelog."""
    released = text(VERSION).strip()
    if (steps := _steps(released)) and version not in steps:
        yield f"After {released} comes one of {', '.join(steps)}, not '{version}'."
    if dirty := git("status", "--porcelain"):
        yield f"The tree is not clean: commit or remove\n{dirty}"
    if git("tag", "--list", f"v{version}"):
        yield f"There is a tag v{version} already."
    if f"\n## {version}\n" in text(CHANGES):
        yield f"{CHANGES} has a section {version} already."
    section = _unreleased()
    if not section:
        yield f"{CHANGES} has nothing under '{UNRELEASED.strip()}'."
    elif not re.search(r"^What you must do[^:]*:\s*\S", section, re.MULTILINE):
        yield f"{CHANGES} does not say under '{UNRELEASED.strip()}': 'What you must do: …'."
    for step in MIGRATIONS:
        if (version_of(step.version) or ()) > (version_of(released) or ()) and step.version != version:
            yield f"MIGRATIONS has a step for {step.version}, which projects would not take at {version}."


def promise(version: str) -> Iterator[str]:
    """What breaks projects of the last release. A patch may not even remove what was announced."""
    last, commit = RELEASES[-1]
    patch = _steps(last)[0] == version
    with tempfile.TemporaryDirectory() as folder:
        old = library_at(commit, Path(folder) / "old")
        yield from breaking(old, REPOSITORY, version=version, migrations=() if patch else None)


def release(version: str) -> str:
    """Make the commit and the tag in one step, then bring the two files of the tree along."""
    head, changes = git("rev-parse", "HEAD"), text(CHANGES)
    content = {
        VERSION: f"{version}\n",
        CHANGES: changes.replace(UNRELEASED, f"## {version}\n", 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", head, **index)
        for path, new in content.items():
            blob = git("hash-object", "-w", "--stdin", stdin=new)
            git("update-index", "--cacheinfo", f"100644,{blob},{path}", **index)
        tree = git("write-tree", **index)
    commit = git("commit-tree", tree, "-p", head, "-m", f"Release {version}")
    # One transaction: killed before it, nothing has happened; after it, `git restore` does what is below.
    steps = ("start", f"update HEAD {commit} {head}", f"create refs/tags/v{version} {commit}", "commit")
    git("update-ref", "--stdin", "-m", f"release {version}", stdin="\n".join(steps) + "\n")
    git("restore", "--staged", "--worktree", "--", *content)
    return commit


def _steps(version: str) -> list[str]:
    """The next patch, minor and major version."""
    major, minor, patch = map(int, version.split("."))
    return [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"]


def _unreleased() -> str:
    _, _, after = text(CHANGES).partition(f"\n{UNRELEASED}")
    return after.partition("\n## ")[0].strip()


def text(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def git(*words: str, stdin: str = "", **variables: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="nox -s release --", description=__doc__)
    parser.add_argument("version", help="X.Y.Z, one step after the last release")
    parser.add_argument("--dry-run", action="store_true", help="check, and change nothing")
    given = parser.parse_args()
    main(given.version, dry_run=given.dry_run)
