"""Which files belong to a repository: what git tracks, or without git what looks like it.

Symbolic links are never followed, so that each file counts once and none outside of the folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runtime_lib.audit.index.git import Git, Tracked, read_git
from runtime_lib.audit.index.ignored import Rule, is_ignored, rules
from runtime_lib.audit.index.model import LeftOut
from runtime_lib.audit.index.places import by_content, not_own
from runtime_lib.audit.index.readable import is_read
from runtime_lib.audit.index.text import decode, lines_of

__all__ = ["Files", "find", "read"]

MOST = 200_000  # files; of more the first by name are looked at
DEEPEST = 100  # folders in each other
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass
class Files:
    """`sizes`: path → bytes; `submodules`: their paths; `git`: None without."""

    git: Git | None
    sizes: dict[str, int] = field(default_factory=dict)
    submodules: tuple[str, ...] = ()
    left_out: list[LeftOut] = field(default_factory=list)


def find(root: Path) -> Files:
    """List the files of the repository at `root`."""
    files = Files(read_git(root))
    if files.git and files.git.tracked is not None:
        _tracked(root, files, files.git.tracked)
        return files
    if files.git and files.git.problem:
        files.left_out.append(LeftOut(".git/index", files.git.problem))
    _walk(root, files)
    return files


def read(root: Path, path: str, most: int) -> bytes:
    """The bytes of a file of `sizes`; OSError also if by now it is a link, a pipe or larger than `most`."""
    handle = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("no regular file")
        raw = file.read(most + 1)
    if len(raw) > most:
        raise OSError(f"larger than {most / 1e6:.2g} MB")
    return raw


def _tracked(root: Path, files: Files, tracked: tuple[Tracked, ...]) -> None:
    entries = [entry for entry in tracked if _is_path(entry.path)]
    if strange := len(tracked) - len(entries):
        files.left_out.append(LeftOut(".", f"{strange:,} whose names are no text, or lead out"))
    files.submodules = tuple(entry.path for entry in entries if entry.kind == "submodule")
    regular = [entry.path for entry in entries if entry.kind == "file"]
    # What is read comes first, so that a million images leave out images.
    regular.sort(key=lambda path: not is_read(path))
    if len(regular) > MOST:
        files.left_out.append(LeftOut(".", f"{len(regular) - MOST:,} of {len(regular):,} files, too many"))
    folders: dict[str, bool] = {"": True}
    missing = 0
    for path in sorted(regular[:MOST]):
        size = _size(root, path, folders)
        if size is None:
            missing += 1
            if missing <= 100:
                files.left_out.append(LeftOut(path, "tracked, but not in the working tree"))
        else:
            files.sizes[path] = size
    if missing > 100:
        files.left_out.append(LeftOut(".", f"{missing - 100:,} more that are not in the working tree"))


def _is_path(path: str) -> bool:
    """Whether it stays in the folder, and can be written in a report."""
    if {"", ".", "..", ".git"} & set(path.split("/")):
        return False
    # Bytes that are no UTF-8 were decoded to what cannot be encoded.
    return path.isprintable() or not UNWRITABLE.search(path)


def _size(root: Path, path: str, folders: dict[str, bool]) -> int | None:
    """Bytes of a regular file that no link leads to; else None."""
    if not _is_folder(root, path.rpartition("/")[0], folders):
        return None
    try:
        status = os.lstat(f"{root}/{path}")
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_folder(root: Path, folder: str, folders: dict[str, bool]) -> bool:
    """Whether it is one, and all above it: no link."""
    if folder not in folders:
        good = _is_folder(root, folder.rpartition("/")[0], folders)
        if good:
            try:
                good = stat.S_ISDIR(os.lstat(f"{root}/{folder}").st_mode)
            except OSError:
                good = False
        folders[folder] = good
    return folders[folder]


def _walk(root: Path, files: Files) -> None:
    """What a folder holds that git does not speak for.

    An export of a repository has no git either, and may have files that its own `.gitignore` names. So that
    goes for what is not read anyway, data above all.
    """
    submodules = _modules_file(root)
    files.submodules = tuple(sorted(submodules))
    for folder, names in _folders(root, files, submodules):
        for entry in names:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_path(path) or not entry.is_file(follow_symlinks=False):
                continue
            if len(files.sizes) >= MOST:
                files.left_out.append(LeftOut(".", f"all after the first {MOST:,} files"))
                return
            files.sizes[path] = entry.stat(follow_symlinks=False).st_size
    files.sizes = dict(sorted(files.sizes.items()))


def _folders(root: Path, files: Files, submodules: set[str]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Folders with what is in them that is not ignored; first what is nearer to the root."""
    waiting: list[tuple[str, tuple[Rule, ...], bool]] = [("", (), False)]
    for folder, known, ignored in waiting:
        try:
            with os.scandir(f"{root}/{folder}") as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            files.left_out.append(LeftOut(folder or ".", f"cannot be read: {error.strerror}"))
            continue
        if why := _foreign(folder, entries):
            files.left_out.append(LeftOut(folder, why))
            continue
        here = (*known, *_ignore_file(root, folder, entries))
        kept = []
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if path not in submodules and path.count("/") < DEEPEST and entry.name != ".git":
                    waiting.append((path, here, ignored or is_ignored(path, True, here)))
            elif is_read(path) or not (ignored or is_ignored(path, False, here)):
                kept.append(entry)
        yield folder, kept


def _foreign(folder: str, entries: list[os.DirEntry[str]]) -> str:
    """Why a folder is not the project's own; "" if it is."""
    if not folder:
        return ""
    found = not_own(folder)
    return found[1] if found else by_content(entry.name for entry in entries)


def _ignore_file(root: Path, folder: str, entries: list[os.DirEntry[str]]) -> list[Rule]:
    if not any(entry.name == ".gitignore" and entry.is_file(follow_symlinks=False) for entry in entries):
        return []
    try:
        text = decode(read(root, f"{folder}/.gitignore".lstrip("/"), 2**18)) or ""
    except OSError:
        return []
    return rules(folder, lines_of(text))


def _modules_file(root: Path) -> set[str]:
    """Paths of submodules as `.gitmodules` has them."""
    try:
        text = decode(read(root, ".gitmodules", 2**18)) or ""
    except OSError:
        return set()
    pairs = (line.partition("=") for line in lines_of(text))
    return {value.strip() for key, _, value in pairs if key.strip() == "path"}
