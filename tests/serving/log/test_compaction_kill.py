"""kill -9 of writers and of compactions, at any moment: no acknowledged row is lost, none is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from runtime_lib.serving.log import compact, read_predictions, scan
from runtime_lib.serving.log.manifest import Manifest, read_manifest
from tests.support.depth import examples
from tests.support.killed import killed_at_each_step
from tests.support.logged import LATER, Answered, counted, rows_of, write
from tests.support.releases import REPOSITORY

KILLS = examples(5, 100)

_WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
import numpy as np
from runtime_lib.serving.log import PredictionLog
log, number = PredictionLog(Path(sys.argv[1])), 0
day = datetime(2026, 5, 4, tzinfo=UTC)
while True:
    ids = [f"{sys.argv[2]}-{number}-{row}" for row in range(number % 9 + 1)]
    rows = {"hour": np.full(len(ids), float(number)), "carrier": np.array(["UA"] * len(ids), dtype=object)}
    time = day + timedelta(hours=number % 48, seconds=number)
    log.append(ids, rows, {"probability": np.zeros(len(ids))}, model="m", version="1", time=time)
    print(number, flush=True)
    number += 1
    sleep(0.005)  # so that hundred kills do not leave millions of rows
"""

_COMPACTOR = """
import sys
from pathlib import Path
import runtime_lib.serving.log.spill as spill
from runtime_lib.serving.log import compact
from tests.support.logged import LATER
spill._SHARE = 5_000  # so that it takes a while, and rows are put aside
print("compacting", flush=True)
while True:
    compact(Path(sys.argv[1]), now=LATER)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start it and wait until it is at work."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def killed(process: subprocess.Popen[str]) -> list[str]:
    """Kill it; return what it had printed in whole lines since it was started."""
    assert process.stdout is not None
    with process:
        process.send_signal(signal.SIGKILL)
        return [line for line in process.stdout if line.endswith("\n")]


def ids_of(folder: Path) -> Counter[str]:
    return Counter(name for batch in scan(folder, columns=["id"]) for name in batch["id"].to_pylist())


@pytest.mark.filterwarnings("ignore:The prediction log is damaged")  # torn ends are to be expected
def test_kills_of_writers_and_of_compactions_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two writers and a compaction run at once; one of the three is killed at a time, and started again."""
    draw, acknowledged = random.Random(KILLS), set[str]()
    writers = {name: start(_WRITER, tmp_path, name) for name in ("0a", "0b")}
    compactor = start(_COMPACTOR, tmp_path)

    def kill(name: str) -> None:
        for number in [0, *map(int, killed(writers.pop(name)))]:
            acknowledged.update(f"{name}-{number}-{row}" for row in range(number % 9 + 1))

    for turn in range(1, KILLS + 1):
        time.sleep(draw.uniform(0, 0.3))
        if turn % 2:
            killed(compactor)
            compactor = start(_COMPACTOR, tmp_path)
        else:
            kill(draw.choice(sorted(writers)))
            writers[str(turn)] = start(_WRITER, tmp_path, turn)
        found = ids_of(tmp_path)
        assert acknowledged <= set(found)
        assert max(found.values()) == 1
    killed(compactor)
    for name in sorted(writers):
        kill(name)
    before = ids_of(tmp_path)
    compact(tmp_path, now=LATER)
    assert ids_of(tmp_path) == before
    assert acknowledged <= set(before)
    assert list(tmp_path.glob("*/*.arrows")) == []
    assert [path for path in tmp_path.rglob("*") if ".tmp" in path.name] == []
    table = read_predictions(tmp_path).set_index("id")
    assert (table.index.str.split("-").str[1].astype(float) == table["hour"]).all()


_SMALL_PARTS = """
import runtime_lib.serving.log.spill as spill
from runtime_lib.serving.log import compact
from tests.support.logged import LATER

spill._SHARE = 2_000

def work(folder):
    compact(folder, now=LATER)
"""


def test_a_kill_before_any_step_of_a_compaction_leaves_the_same_rows(tmp_path: Path) -> None:
    """Before each file that it opens, renames or removes, as a day is compacted for the second time."""
    log = tmp_path / "log"
    many = [Answered(n % 2, n, [f"{n}-{row}" for row in range(9)], version=str(n % 2)) for n in range(20)]
    write(log, many)
    compact(log, now=LATER)
    write(log, [Answered(0, 100 + n, [f"{n}-0", f"late-{n}"], version=str(n % 2)) for n in range(5)])
    expected, numbers, answers = counted(log), set[int](), len(rows_of(log))
    assert len(expected) < answers  # some were given anew, so both are read until they are compacted
    copies = killed_at_each_step(log, _SMALL_PARTS)
    for copy in copies:
        assert counted(copy) == expected, copy.name
        state = read_manifest(copy / "2026-05-04")
        assert isinstance(state, Manifest)
        numbers.add(state.number)
        assert len(rows_of(copy)) == (answers if state.number == 1 else len(expected)), copy.name
        compact(copy, now=LATER)
        assert counted(copy) == expected, copy.name
        assert {path.suffix for path in copy.glob("*/*")} == {".parquet", ".json"}, copy.name
    assert len(copies) > 20  # it reads a manifest, writes two parts and the manifest, removes what was before
    assert numbers == {1, 2}
