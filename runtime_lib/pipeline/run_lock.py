"""One run at a time, and no stage outlives its run.

`mlops run` holds an exclusive lock on a file for as long as it lives; the kernel releases it however
the process ends. Each stage tries for the same lock in a thread: getting it, or finding another run's
process id in the file, means that its own run is gone (Ctrl-C, kill -9). Then the stage ends too, before a
second run starts the same stage in parallel.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from runtime_lib.errors import PipelineError
from runtime_lib.locks import PAUSE, try_lock

__all__ = ["die_with_the_run", "end_with", "hold", "sign"]

# The lock's path and the run's process, for its stages.
_VARIABLE, _RUN = "MLOPS_RUN_LOCK", "MLOPS_RUN_PROCESS"
_PAUSE_SECONDS = 0.1  # between two looks of a stage
# How long a second run waits for the stages of a killed one to notice.
_PATIENCE_SECONDS = 5.0


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the run's lock; the stages that start meanwhile find it by an environment variable.

    Raises:
        PipelineError: another run is under way in this project.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _acquire(path) as file:
        sign(file)
        os.environ.update({_VARIABLE: str(path), _RUN: str(os.getpid())})
        try:
            yield
        finally:
            del os.environ[_VARIABLE], os.environ[_RUN]


def _acquire(path: Path) -> IO[bytes]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (file := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise PipelineError(
                f"Another run or an upgrade is under way here (process {path.read_text() or 'unknown'}). "
                f"Wait for it, or end it."
            )
        time.sleep(PAUSE)
    return file


def sign(lock: IO[bytes]) -> None:
    """Write the number of this process, which holds the lock, into its file: for `end_with`."""
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()


def die_with_the_run(environ: Mapping[str, str]) -> None:
    """In a stage: end this process as soon as the run that started it has ended."""
    if path := environ.get(_VARIABLE):
        end_with(Path(path), environ[_RUN])


def end_with(lock: Path, holder: str) -> None:
    """End this process as soon as `holder`, the number of the one that holds the lock, has ended."""
    _end_without(lock, holder)  # before it begins: it may have ended while this process started
    threading.Thread(target=_watch, args=(lock, holder), daemon=True).start()


def _watch(lock: Path, holder: str) -> None:
    while True:
        time.sleep(_PAUSE_SECONDS)
        _end_without(lock, holder)


def _end_without(lock: Path, holder: str) -> None:
    # Empty: its holder is about to write its process id. The look must not keep the lock from the next one.
    if try_lock(lock, shared=True) is None and lock.read_text() in ("", holder):
        return
    os._exit(70)  # the holder is gone: nobody is left to report to
