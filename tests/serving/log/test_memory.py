"""A day of any size is compacted and read in the same memory: the peak at four times the rows is the same."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from runtime_lib.serving.log import PredictionLog
from tests.support.depth import examples
from tests.support.releases import REPOSITORY

ROWS = examples(400_000, 2_000_000)
MOST = 32  # MiB that the larger day may take more; its other rows are 200 MiB, or 1,000
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

_COMPACTOR = """
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
import runtime_lib.serving.log.spill as spill
from runtime_lib.serving.log import compact, scan
from tests.support.logged import LATER
spill._SHARE = 4 * 2**20
folder = Path(sys.argv[1])
rows = compact(folder, now=LATER).rows
compacted = getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)
assert sum(len(batch) for batch in scan(folder)) == rows
read = getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)
print(rows, compacted, read)
"""


def write(folder: Path, rows: int, size: int = 1_000) -> None:
    log, numbers = PredictionLog(folder), np.random.default_rng(0).normal(size=(size, 11))
    inputs = {f"x{column}": numbers[:, column] for column in range(11)}
    answer = {"probability": np.zeros(size)}
    for first in range(0, rows, size):
        ids = [f"order-{row:027}" for row in range(first, first + size)]
        log.append(ids, inputs, answer, model="flights", version="1", time=NOON)
    log.close()


def test_memory_does_not_grow_with_the_rows_of_a_day(tmp_path: Path) -> None:
    peaks = []
    for times in (1, 4):
        folder = tmp_path / str(times)
        write(folder, ROWS * times)
        # By way of a shell: a process begins with the peak of whoever started it, and pytest's is large.
        shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]
        command = [*shell, sys.executable, "-c", _COMPACTOR, folder]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        rows, *peak = map(int, done.stdout.split())
        assert rows == ROWS * times
        peaks.append(peak)
    (compacted, read), (compacted_more, read_more) = peaks
    assert compacted_more - compacted < MOST, peaks
    assert read_more - read < MOST, peaks
