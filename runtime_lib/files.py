"""Writing files and folders whole or not at all, so that a kill leaves the old or the new.

What is stored has a format number. A reader knows every number up to its newest, and refuses a later one with
`check_format`; where the shapes differ, it branches on the number that this returns.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError, MlopsError

__all__ = [
    "append_line",
    "atomic_file",
    "atomic_folder",
    "check_format",
    "is_alive",
    "read_json",
    "read_lines",
    "scratch_folder",
    "sync_folder",
    "write_json",
]


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success it replaces `path`, else it is removed."""
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; on success it replaces `path`, else it is removed."""
    with scratch_folder(path) as temporary:
        yield temporary
        # A folder cannot be replaced in one step; between these two there is none, but never half of one.
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to `path`; it is removed at the end, or after a kill by the next call."""
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def append_line(path: Path, line: bytes, *, mode: int = 0o600) -> None:
    """Add a line to a file, in one write that is forced to disk. `line` comes without its end.

    It stands on a line of its own even behind one that a kill cut short: see `read_lines`.

    Args:
        mode: of a file that is not there yet.

    Raises:
        OSError: it cannot be written, or not whole.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        end = os.fstat(file).st_size
        torn = end and os.pread(file, 1, end - 1) != b"\n"
        content = (b"\n" if torn else b"") + line + b"\n"
        if os.write(file, content) < len(content):
            os.ftruncate(file, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """Force to disk which files a folder holds, so that a rename outlives a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _temporary(path: Path) -> Path:
    """Name a temporary neighbour of `path` after this process; remove those of processes that are gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        owner = left.name.split(".")[-3]
        if owner.isdigit() and not is_alive(int(owner)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs, by its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, so it exists
        pass
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether it has ended and nobody collected it: the first process of a container may not (Linux)."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The name before it may hold spaces and brackets.
    return status.rpartition(")")[2].split()[0] == "Z"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in a stable form (sorted keys), atomically. NaN is refused: it is not JSON."""
    with atomic_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def check_format(found: object, *, newest: int, where: object, error: type[MlopsError] = DataError) -> int:
    """Return the format number that a stored document carries.

    Args:
        found: the number in the document; None if it has none.
        newest: the last format that its reader knows; formats count from 1.
        where: the document's name, for the message.

    Raises:
        error: this version of the library does not read format `found`.
    """
    if not isinstance(found, int) or not 1 <= found <= newest:
        known = "1" if newest == 1 else f"1 to {newest}"
        raise error(f"{where} has format {found!r}; this library reads {known}. Update runtime-lib.")
    return found


def read_json(path: Path, *, made_by: str, newest: int = 1) -> dict[str, Any]:
    """Read a JSON object of a format up to `newest`; one without a number has format 1.

    Args:
        made_by: the command that writes it, for the message when it is missing or damaged.

    Raises:
        DataError: it is missing, damaged, or of a later format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist yet: `{made_by}` writes it.") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): write it again with `{made_by}`.") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} holds {type(content).__name__}, not an object: write it again with `{made_by}`."
        )
    check_format(content.get("format", 1), newest=newest, where=path)
    return content


def read_lines(path: Path, *, newest: int = 1) -> list[tuple[str, dict[str, Any] | None]]:
    """Read JSON objects that `append_line` has written, each of a format up to `newest`.

    Returns:
        Where each stands, for a message, and the object without its format, oldest first. None in the place
        of a line that is none, as a kill or a full disk cuts it short. Nothing if there is no file.

    Raises:
        DataError: a line is of a later format, or has none.
        OSError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found: list[tuple[str, dict[str, Any] | None]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number},"
        content = _object(line)
        if content is not None:
            check_format(content.pop("format", None), newest=newest, where=where)
        found.append((where, content))
    return found


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
