"""A lock between processes of one machine that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from runtime_lib.errors import ServiceError

__all__ = ["PAUSE", "locked", "one_at_a_time", "reading", "removing", "try_lock"]

PAUSE = 0.05  # seconds between two tries


def try_lock(path: Path, *, shared: bool = False, create: bool = True) -> IO[bytes] | None:
    """Return the open, locked file, or None while another process holds it. Closing it unlocks.

    Args:
        shared: together with other shared locks, on a file that is there already.
        create: make the file if it is missing; else that is a FileNotFoundError.
    """
    file = path.open("rb" if shared else "ab" if create else "r+b")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def locked(path: Path, *, timeout: float = 120, shared: bool = False) -> Iterator[None]:
    """Hold `path` locked while the block runs; wait up to `timeout` seconds for it. `shared`: as `try_lock`.

    Raises:
        ServiceError: another process held the lock all that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + timeout
    while (file := try_lock(path, shared=shared)) is None:
        if time.monotonic() > end:
            raise ServiceError(f"Another process has held {path} for {timeout:.0f} s: wait, or stop it.")
        time.sleep(PAUSE)
    with file:
        yield


def reading(folder: Path) -> AbstractContextManager[None]:
    """Keep the files of a folder, which must exist, from those who ask `removing` while the block runs.

    Raises:
        ServiceError: files were being removed for two minutes.
    """
    try:
        return locked(_beside(folder, "readers"), shared=True)
    except OSError:  # nobody removes where nothing can be written, say in a copy on a read-only disk
        return nullcontext()


@contextmanager
def removing(folder: Path) -> Iterator[bool]:
    """Say whether the block may remove files of a folder: nobody reads there until it ends."""
    with _held(folder, "readers") as alone:
        yield alone


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[bool]:
    """Say whether this process alone tidies a folder, which must exist, while the block runs."""
    with _held(folder, "tidy") as alone:
        yield alone


@contextmanager
def _held(folder: Path, name: str) -> Iterator[bool]:
    lock = try_lock(_beside(folder, name))
    if lock is None:
        yield False
        return
    with lock:
        yield True


def _beside(folder: Path, name: str) -> Path:
    path = folder / f".{name}.lock"
    if not path.exists():
        path.touch(mode=0o600)
    return path
