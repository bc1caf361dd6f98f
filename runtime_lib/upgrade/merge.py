"""Three-way merge of a project's files: what an update does to each. Pure, except for `git merge-file`.

`base` is what the template made then, `mine` what the user has now, `theirs` what the template makes now.
The first rule: every line of the user is in the result, or the file is reported.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.upgrade.render import Files

__all__ = ["Change", "compare", "has_markers", "merge"]

_LABELS = ("yours", "the template before", "the template now")


@dataclass(frozen=True)
class Change:
    """What happens to one file.

    Attributes:
        path: the resulting file, relative to the project.
        kind: added, changed, merged, moved, deleted; conflict (markers are in `content`); kept (the template
            no longer has it, the user edited it); gone (the user deleted it, and it stays deleted).
        content: the new content; None if nothing is written.
        came_from: the old path of a file that the template renamed.
        reason: why a file is kept.
    """

    path: str
    kind: str
    content: bytes | None = None
    came_from: str = ""
    reason: str = ""


def compare(
    base: Files, mine: Files, theirs: Files, *, renamed: Mapping[str, str] | None = None
) -> list[Change]:
    """Return a `Change` for each file that differs, sorted by path; `renamed` maps old paths to new ones."""
    arrived = {
        new: old
        for old, new in (renamed or {}).items()
        # Not if the user has a file of that name: both stay, and the new one is merged or conflicts.
        if old in base and old not in theirs and new in theirs and new not in mine
    }
    changes = []
    for path in sorted({*base, *theirs} - {*arrived.values()}):
        old = arrived.get(path, path)
        change = _change(path, base.get(old), mine.get(old), theirs.get(path))
        if old != path and old in mine:
            change = change or Change(path, "moved", mine[old])
            kind = "conflict" if change.kind == "conflict" else "moved"
            change = Change(path, kind, change.content, came_from=old)
        if change:
            changes.append(change)
    return changes


def _change(path: str, base: bytes | None, mine: bytes | None, theirs: bytes | None) -> Change | None:
    if mine is not None and _ends_in_crlf(mine):
        base, theirs = _with_crlf(base), _with_crlf(theirs)
    if theirs in (mine, base):  # nothing new for this file
        return None
    if mine is None:
        return Change(path, "added", theirs) if base is None else Change(path, "gone")
    if theirs is None:
        return Change(path, "deleted") if mine == base else Change(path, "kept", reason="deleted")
    if mine == base:
        return Change(path, "changed", theirs)
    content, clean = merge(mine, base or b"", theirs)
    return Change(path, "merged" if clean else "conflict", content)


def merge(mine: bytes, base: bytes, theirs: bytes) -> tuple[bytes, bool]:
    """Merge line by line; return the result and whether it is free of conflicts."""
    if b"\0" in mine + theirs:  # no lines to merge: the user's file is kept, a conflict is reported
        return mine, False
    with tempfile.TemporaryDirectory(prefix="mlops-merge-") as name:
        files = [Path(name) / part for part in ("mine", "base", "theirs")]
        for file, content in zip(files, (mine, base, theirs), strict=True):
            file.write_bytes(content)
        labels = [word for label in _LABELS for word in ("-L", label)]
        done = subprocess.run(
            ["git", "merge-file", "--stdout", "--diff3", *labels, *map(str, files)],
            capture_output=True,
            check=False,
        )
    if done.returncode < 0 or done.returncode > 127:  # 1 to 127: the number of conflicts
        raise OSError(f"git merge-file failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout, done.returncode == 0


def _ends_in_crlf(content: bytes) -> bool:
    """Whether every line ends with CRLF: git can check files out like that."""
    lines = content.count(b"\n")
    return lines > 0 and lines == content.count(b"\r\n")


def _with_crlf(content: bytes | None) -> bytes | None:
    """Return the template's lines with CRLF like the user's; else each would count as edited."""
    if content is None or b"\0" in content or b"\r\n" in content:
        return content
    return content.replace(b"\n", b"\r\n")


def has_markers(content: bytes) -> bool:
    """Whether there is an unresolved conflict: both its outer markers, each at the start of a line."""
    lines = content.splitlines()
    return _any_starts(lines, b"<<<<<<< ") and _any_starts(lines, b">>>>>>> ")


def _any_starts(lines: list[bytes], mark: bytes) -> bool:
    return any(line.startswith(mark) for line in lines)
