"""End the parts of Airflow once `mlops airflow` has ended, however that was: a process that outlives it.

It reads process ids from its input, a line each. The input ends with `mlops airflow`, also after kill -9.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

import psutil  # Airflow needs it too

__all__: list[str] = []

_SECONDS = 20.0
_PAUSE = 0.1


def _end(pids: Iterable[int]) -> None:
    """End these processes, and what they would leave behind: Airflow's tasks have sessions of their own."""
    parts = [process for pid in pids if (process := _process(pid))]
    alive = [process for part in parts for process in (*_children(part), part)]
    for part in parts:
        _send(part.terminate)
    until = time.monotonic() + _SECONDS
    while any(map(_lives, parts)) and time.monotonic() < until:
        time.sleep(_PAUSE)
    for process in filter(_lives, alive):
        _send(process.kill)


def _lives(process: psutil.Process) -> bool:
    """A process whose parent never asks for its end, as the first one of some containers, stays a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _send(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    _end([int(line) for line in sys.stdin])
