"""Open files whose locks end with this process, and not with a child that was forked meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

__all__ = ["close_descriptor", "open_descriptor", "watch_forks"]

# Open descriptors of this process that lock something. A forked child closes them, or a dead parent's
# lease would live on in it; `_forks` keeps a fork from happening between opening and noting one.
_descriptors: set[int] = set()
_forks = threading.RLock()
_watching = False


def open_descriptor(path: Path | str, flags: int, descriptor: int | None = None) -> int:
    with _forks:
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=descriptor)
        _descriptors.add(opened)
    return opened


def close_descriptor(descriptor: int) -> None:
    with _forks:
        if descriptor in _descriptors:
            # Said aloud, and first: a process started meanwhile may have a copy of the descriptor.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            _descriptors.discard(descriptor)
            os.close(descriptor)


def watch_forks() -> None:
    """From now on, let no forked child keep this process's leases alive."""
    global _watching
    with _forks:
        if not _watching:
            _watching = True
            os.register_at_fork(
                before=lambda: _forks.acquire(),
                after_in_parent=lambda: _forks.release(),
                after_in_child=_forget,
            )


def _forget() -> None:
    global _forks
    for descriptor in _descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()
    _forks = threading.RLock()
