"""The releases of this repository, and a clone that has a tag for each of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from itertools import cycle, product
from pathlib import Path

from tests.support.depth import DEEP

REPOSITORY = Path(__file__).parents[2]

# What a project is made of; the rest of the working tree does not reach a project.
_PARTS = ("copier.yml", "template", "runtime_lib", "pyproject.toml", "README.md", "LICENSE")


def git(folder: Path, *words: str) -> str:
    """Run git there under a name of the tests' own; return what it printed."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def commit(folder: Path, message: str, tag: str = "") -> str:
    """Commit all that is there, tag it if asked to, and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    if tag:
        git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")


def releases() -> list[tuple[str, str]]:
    """Version and commit of each release, oldest first: tags may be missing, the file's history is not."""
    if not (REPOSITORY / ".git").exists():
        return []
    commits = git(REPOSITORY, "log", "--reverse", "--format=%H", "--", "runtime_lib/VERSION").split()
    versions = [(git(REPOSITORY, "show", f"{commit}:runtime_lib/VERSION"), commit) for commit in commits]
    return [(version, commit) for version, commit in versions if version != "0.0.0"]


RELEASES = releases()


def sample() -> list[str]:
    """The oldest and the last release and one in between, oldest first; in the deep run all of them.

    The commit chooses the one in between: the same for one commit, another over time.
    """
    versions = [version for version, _ in RELEASES]
    if DEEP or len(versions) <= 3:
        return versions
    between = versions[1:-1]
    return [versions[0], between[int(git(REPOSITORY, "rev-parse", "HEAD"), 16) % len(between)], versions[-1]]


SAMPLE = sample()


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Releases with kinds of projects: each of `SAMPLE` and each of `names`; in the deep run every pair.

    The first name, the project that has everything, is paired with the oldest and with the last release.
    """
    first, *others = names
    if DEEP or len(SAMPLE) < 2:
        return list(product(SAMPLE, (first, *others)))
    return [(SAMPLE[0], first), (SAMPLE[-1], first), *zip(cycle(SAMPLE), others)]


def library_at(commit: str, folder: Path) -> Path:
    """Put the library as it was at a commit into a new folder, to be imported from there."""
    folder.mkdir(parents=True)
    parts = git(REPOSITORY, "ls-tree", "--name-only", commit, "runtime_lib", "docs/api.md").split()
    archive = ("git", "archive", commit, *parts)
    packed = subprocess.run(archive, cwd=REPOSITORY, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


def clone_with_tags(folder: Path) -> Path:
    """Clone this repository there, tag its releases, and commit what the working tree has beyond HEAD.

    Tags stand at releases only; HEAD is the state under test, one of them or past the last.
    """
    git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(folder))
    for version, released in RELEASES:
        git(folder, "tag", "--force", f"v{version}", released)
    ignore = shutil.ignore_patterns("__pycache__", ".ruff_cache", ".mypy_cache")
    for part in _PARTS:
        source, target = REPOSITORY / part, folder / part
        if source.is_dir():
            shutil.rmtree(target)
            shutil.copytree(source, target, ignore=ignore)
        else:
            shutil.copy(source, target)
    if git(folder, "status", "--porcelain"):
        commit(folder, "The working tree")
    return folder
