"""What git tracks, read from its files: git is not run, since a repository's settings could make it run more.

A `.git` that points elsewhere (worktrees, submodules) is followed only if what is there points back: a file
in an audited folder must not lead out of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Git", "Tracked", "read_git"]

KINDS: dict[int, Literal["file", "link", "submodule", "folder"]] = {
    0o100000: "file",
    0o120000: "link",
    0o160000: "submodule",
    0o040000: "folder",  # of a sparse index: all below it is left out of the working tree
}
LARGEST = 512 * 2**20  # bytes of an index: some 5 million files
HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


@dataclass(frozen=True)
class Tracked:
    """An entry of the index; `path` relative to the repository, with `/`."""

    path: str
    kind: Literal["file", "link", "submodule", "folder"]


@dataclass(frozen=True)
class Git:
    """A repository of git.

    Attributes:
        tracked: None where the index is missing or cannot be read.
        problem: why it cannot.
    """

    commit: str
    shallow: bool
    tracked: tuple[Tracked, ...] | None
    problem: str = ""


def read_git(root: Path) -> Git | None:
    """Read the repository whose working tree is `root`; None if there is none."""
    folder = _folder(root)
    if folder is None:
        return None
    common = _common(folder)
    digest = 32 if re.search(r"(?im)^\s*objectformat\s*=\s*sha256\s*$", _read(common / "config")) else 20
    commit = _commit(folder, common)
    shallow = bool(_read(common / "shallow").strip())
    try:
        raw = _bytes(folder / "index", LARGEST)
        entries = {entry.path: entry for entry in _entries(raw, digest)}
    except FileNotFoundError:
        return Git(commit, shallow, None)
    except (OSError, ValueError, IndexError) as error:
        return Git(commit, shallow, None, f"the index of git cannot be read: {error}")
    return Git(commit, shallow, tuple(entries.values()))


def _folder(root: Path) -> Path | None:
    place = root / ".git"
    if place.is_symlink() and not place.resolve().is_relative_to(root.resolve()):
        return None
    if place.is_dir():
        return place if (place / "HEAD").is_file() else None
    target = _read(place).strip()
    if not target.startswith("gitdir:"):
        return None
    folder = Path(os.path.normpath(root / target.removeprefix("gitdir:").strip()))
    return folder if (folder / "HEAD").is_file() and _points_back(folder, place) else None


def _points_back(folder: Path, place: Path) -> bool:
    back = _read(folder / "gitdir").strip()
    if back:  # a worktree
        return _same(folder / back, place)
    worktree = re.search(r"(?m)^\s*worktree\s*=\s*(.+?)\s*$", _read(folder / "config"))
    return bool(worktree) and _same(folder / worktree[1].strip('"'), place.parent)  # type: ignore[index]


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _common(folder: Path) -> Path:
    """What worktrees share: refs, settings."""
    common = _read(folder / "commondir").strip()
    return Path(os.path.normpath(folder / common)) if common else folder


def _commit(folder: Path, common: Path) -> str:
    head = _read(folder / "HEAD").strip()
    if not head.startswith("ref:"):
        return head if HEX.match(head) else ""
    name = head.removeprefix("ref:").strip()
    if not name.startswith("refs/") or ".." in name:
        return ""
    loose = _read(common / name).strip()
    if HEX.match(loose):
        return loose
    packed = re.search(rf"(?m)^([0-9a-f]{{40,64}}) {re.escape(name)}$", _read(common / "packed-refs"))
    return packed[1] if packed else ""


def _entries(raw: bytes, digest: int) -> Iterator[Tracked]:
    """Read an index of version 2, 3 or 4 (git's `index-format.txt`).

    Raises:
        ValueError, IndexError: it is damaged, or of a kind that is not known.
    """
    version, count = int.from_bytes(raw[4:8]), int.from_bytes(raw[8:12])
    if raw[:4] != b"DIRC" or version not in (2, 3, 4):
        raise ValueError(f"version {version}")
    place, name = 12, b""
    for _ in range(count):
        start = place
        flags = int.from_bytes(raw[place + 40 + digest : place + 42 + digest])
        place += 42 + digest + (2 if flags & 0x4000 else 0)
        kept = 0
        if version == 4:
            strip, place = _number(raw, place)
            kept = len(name) - strip
            if kept < 0:
                raise ValueError("a name is shorter than what it drops")
        end = raw.index(0, place)
        name = name[:kept] + raw[place:end]
        place = end + 1 if version == 4 else start + (end - start + 8) // 8 * 8
        kind = KINDS.get(int.from_bytes(raw[start + 24 : start + 28]) & 0o170000)
        if kind:
            yield Tracked(os.fsdecode(name).rstrip("/"), kind)
    if raw[place : place + 4] == b"link":
        raise ValueError("it is split in two")


def _number(raw: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, as in packs, and where it ends."""
    byte = raw[place]
    value = byte & 0x7F
    while byte & 0x80:
        place += 1
        byte = raw[place]
        value = (value + 1 << 7) | byte & 0x7F
    return value, place + 1


def _bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError(f"larger than {most // 2**20} MB")
    return raw


def _read(path: Path) -> str:
    """A small file of git; "" if there is none."""
    try:
        return _bytes(path, 64 * 2**20).decode(errors="replace") if path.is_file() else ""
    except (OSError, ValueError):
        return ""
