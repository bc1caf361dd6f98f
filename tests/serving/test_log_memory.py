"""Reading a log of many tiny batches takes memory for its rows, not for its batches."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from runtime_lib.serving.log import PredictionLog, scan
from tests.support.depth import DEEP, examples
from tests.support.releases import REPOSITORY

ROWS = examples(20_000, 200_000)
MOST_SCANNED = 50  # MiB more than for a row; held at once, the batches of 20,000 would take 100
MOST = 400 if DEEP else 250  # MiB in all, of which Python with pandas and Arrow are 100
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

_READER = """
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from runtime_lib.serving.log import read_predictions, scan

def peak():
    return getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)

small, folder = map(Path, sys.argv[1:])
read_predictions(small)
before = peak()
for batch in scan(folder):
    pass
scanned = peak() - before
print(len(read_predictions(folder)), scanned, peak())
"""


def write(folder: Path, count: int, rows: int = 1) -> None:
    log = PredictionLog(folder)
    answer, carrier = {"probability": np.zeros(rows)}, np.array(["UA"] * rows, dtype=object)
    for number in range(count):
        inputs = {name: np.full(rows, float(number)) for name in ("hour", "wind", "snow", "rain")}
        inputs |= dict.fromkeys(("carrier", "origin"), carrier)
        ids = [f"{number}-{row}" for row in range(rows)]
        log.append(ids, inputs, answer, model="flights", version="1", time=NOON)
    log.close()


def test_single_rows_are_read_in_little_memory(tmp_path: Path) -> None:
    write(tmp_path / "small", 1)
    write(tmp_path / "log", ROWS)
    # By way of a shell: a process begins with the peak of whoever started it, and that of pytest is large.
    shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]
    command = [*shell, sys.executable, "-c", _READER, tmp_path / "small", tmp_path / "log"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    rows, scanned, peak = map(int, done.stdout.split())
    assert rows == ROWS
    assert scanned < MOST_SCANNED
    assert peak < MOST


def test_batches_are_brought_together_and_none_grows_without_bound(tmp_path: Path) -> None:
    write(tmp_path, 100)
    assert [len(batch) for batch in scan(tmp_path)] == [100]
    write(tmp_path, 2, rows=70_000)
    sizes = [len(batch) for batch in scan(tmp_path)]
    assert sum(sizes) == 140_100
    assert max(sizes) <= 65_536
