"""What a merge left unfinished: conflict markers, unmerged index entries, rejected patches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from runtime_lib.doctor.finding import Finding
from runtime_lib.upgrade import git as history
from runtime_lib.upgrade.merge import has_markers

__all__ = ["conflicts"]

# Larger files are data: no merge writes markers into them.
_LARGEST = 20 * 2**20
# Without git there is no list of ignored files, so folders that hold no sources are named here.
_NOT_SOURCES = {"data", "models", "reports", "var", "storage", "node_modules", "build", "dist"}


def conflicts(root: Path) -> list[Finding]:
    """Check all tracked and untracked files; without git, all but hidden folders and generated files."""
    followed = history.in_git(root)
    names = history.files(root) if followed else sorted(_walk(root))
    unmerged = history.unmerged(root) if followed else []
    marked = _on_purpose(root, [name for name in names if _marked(root / name)], followed)
    found = [_conflict(name, name in marked, name in unmerged) for name in sorted({*marked, *unmerged})]
    found += [_rejected(name) for name in names if name.endswith(".rej") and (root / name).is_file()]
    if not found:
        found = [Finding("conflicts", "ok", f"none in {len(names)} files")]
    if not followed:
        advice = 'git init && git add . && git commit -m "Start from the template"'
        found.append(
            Finding(
                "git",
                "note",
                "the project is not in git: it cannot be updated, and dropped edits cannot be found",
                advice,
            )
        )
    return found


def _conflict(name: str, marked: bool, unmerged: bool) -> Finding:
    if not marked:
        return Finding(name, "fix", "unmerged in git's index", f"look at the file, then: git add {name}")
    state = "conflict markers, unmerged in git's index" if unmerged else "conflict markers"
    if Path(name).name == "uv.lock":  # never resolved by hand: uv writes it from pyproject.toml
        return Finding(name, "fix", state, f"git restore --source=HEAD --staged --worktree {name} && uv lock")
    return Finding(
        name, "fix", state, f"choose between the marked lines, remove the markers, then: git add {name}"
    )


def _rejected(name: str) -> Finding:
    target = name.removesuffix(".rej")
    return Finding(
        name,
        "fix",
        "part of an update that could not be applied",
        f"apply it to {target} by hand, then: rm {name}",
    )


def _marked(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            return False
        return has_markers(path.read_bytes())
    except OSError:
        return False


def _on_purpose(root: Path, names: list[str], followed: bool) -> set[str]:
    """Leave out files that have another conflict-marker-size in .gitattributes.

    That is how git lets a page about conflicts contain markers.
    """
    if not names or not followed:
        return set(names)
    said = history.git(root, "check-attr", "-z", "conflict-marker-size", "--", *names) or b""
    fields = [os.fsdecode(field) for field in said.split(b"\0")]
    other = {
        name
        for name, value in zip(fields[0::3], fields[2::3], strict=False)
        if value.isdigit() and value != "7"
    }
    return set(names) - other


def _walk(root: Path) -> Iterator[str]:
    for folder, below, names in os.walk(root):
        top = Path(folder) == root
        below[:] = [name for name in below if not _skipped(name, top)]
        yield from _relative(root, folder, names)


def _skipped(name: str, top: bool) -> bool:
    if name == ".github":
        return False
    return name.startswith((".", "__pycache__")) or (top and name in _NOT_SOURCES)


def _relative(root: Path, folder: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield (Path(folder) / name).relative_to(root).as_posix()
