"""A lock between processes of one machine that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from runtime_lib.errors import ServiceError

__all__ = ["PAUSE", "locked", "try_lock"]

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
