"""What a piece of work costs in this process, printed as a line of JSON; the standard library alone."""

from __future__ import annotations

import json
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["report"]


def report(work: Callable[[], object], versions: dict[str, str]) -> None:
    """Do the work once and say CPU and wall seconds, and the megabytes that the peak rose by."""
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    found = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        json.dumps({"cpu": cpu, "wall": wall, "peak": _peak() - before, "versions": versions, "found": found})
    )


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` is that of the process which started this one, if it was larger
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
