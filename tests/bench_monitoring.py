"""Monitoring over years: what the prediction log takes in, its compaction, and its join with the labels.

`nox -s bench` runs it after tests/bench_serving.py. By itself: `python tests/bench_monitoring.py [--rows N]
[--seconds S]`. Exits with 1 where a limit of the project is not kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from runtime_lib.monitoring.arrivals import write_arrival
from runtime_lib.serving.log import PredictionLog

DAY = datetime(2026, 5, 4, tzinfo=UTC)
DAYS = 8
COMMIT = 0.1  # seconds between two fdatasync of a group commit
# How an append is made to last: it always outlives the process; a sync makes it outlive a power cut.
SYNCS = ("none", "group", "each")


@dataclass(frozen=True)
class Figure:
    """What was measured; `bound`: what it must reach, or with `most` keep below; None: it is only told."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    most: bool = False

    @property
    def kept(self) -> bool:
        if self.bound is None:
            return True
        return self.value <= self.bound if self.most else self.value >= self.bound


def main() -> None:
    asked = _asked()
    if asked.write:
        return _write(Path(asked.write), asked.size, asked.seconds, asked.sync)
    if asked.fill:
        return _fill(Path(asked.fill), asked.first, asked.rows)
    figures = [*bench_log(asked.seconds), *bench_years(asked.rows)]
    Console().print(_table(figures))
    if not all(figure.kept for figure in figures):
        raise SystemExit(1)


def bench_log(seconds: float = 3) -> Iterator[Figure]:
    """Rows of 14 columns from two processes at once."""
    for size in (1, 100, 1_000):
        for sync in SYNCS:
            with tempfile.TemporaryDirectory() as folder:
                options = ["--size", str(size), "--seconds", str(seconds), "--sync", sync]
                printed = _together(*[["--write", folder, *options]] * 2)
            found = [[*map(float, line.split())] for line in printed]
            name = {"none": "", "group": f", on disk every {COMMIT * 1000:.0f} ms", "each": ", each on disk"}
            bound = 500_000 if (size, sync) == (1_000, "none") else None
            what = f"log, {size:,} rows an append{name[sync]}"
            yield Figure(what, sum(rate for rate, *_ in found), "rows/s", bound)
            yield Figure(f"{what}: p99", max(late for *_, late in found), "ms")


def bench_years(rows: int = 10_000_000, turns: int = 5) -> Iterator[Figure]:
    """Compact days of predictions, then join them with a tenth as many labels, which came in one day."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, half = folder / "var" / "predictions", rows // 2
        fill = ["--fill", str(log), "--rows", str(half)]
        _together([*fill, "--first", "0"], [*fill, "--first", str(half)])
        before = _size(log)
        code = (
            "from runtime_lib.serving.log import compact; rows = compact(folder, now=later).rows\n"
            "print(rows / (monotonic() - start), peak())"
        )
        rate, peak = _measured(code, log)
        yield Figure(f"compaction of {DAYS} days, {rows:,} rows", rate, "rows/s")
        yield Figure("compaction: peak", peak, "MiB")
        yield Figure("a row in segments", before / rows, "bytes")
        yield Figure("a row compacted", _size(log) / rows, "bytes")
        chosen = np.random.default_rng(1).choice(rows, rows // 10, replace=False)
        ids = pd.Series(_ids(chosen), dtype="str")
        labels = pd.DataFrame({"id": ids, "label": chosen.astype("int8") & 1})
        write_arrival(folder / "var" / "labels", labels)
        (folder / "mlops.toml").write_text('[project]\nname = "bench"\npackage = "bench"\n')
        code = (
            "from runtime_lib.monitoring.join import labelled; from runtime_lib.settings import load\n"
            "from runtime_lib.task.kinds import BINARY; settings = load(folder, environ={}); best = 9e9\n"
            f"for _ in range({turns}):\n"
            "    start = monotonic()\n"
            "    found = sum(len(batch) for batch in labelled(settings, BINARY, version='1'))\n"
            "    best = min(best, monotonic() - start)\n"
            f"assert found == {rows // 10}\n"
            "print(best, peak())"
        )
        took, peak = _measured(code, folder)
        bound = 1.0 if rows == 10_000_000 else None
        yield Figure(f"join with {rows // 10:,} labels", took, "s", bound, most=True)
        yield Figure("join: peak", peak, "MiB")


def _together(*each: list[str]) -> list[str]:
    """Run this file in a process for each list of arguments, all at once; return what they print."""
    commands = [[sys.executable, __file__, *arguments] for arguments in each]
    running = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    printed = [one.communicate()[0] for one in running]
    assert not any(one.returncode for one in running)
    return printed


def _measured(code: str, folder: Path) -> tuple[float, float]:
    """Run code in a process of its own; what it prints: a figure and its peak in MiB."""
    start = (
        "import sys; from datetime import UTC, datetime, timedelta; from pathlib import Path\n"
        "from resource import RUSAGE_SELF, getrusage; from time import monotonic\n"
        "unit = 2**20 if sys.platform == 'darwin' else 2**10\n"
        "def peak(): return getrusage(RUSAGE_SELF).ru_maxrss / unit\n"
        "folder, later, start = Path(sys.argv[1]), datetime.now(UTC) + timedelta(days=1), monotonic()\n"
    )
    shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]  # a process begins with the peak of whoever started it
    command = [*shell, sys.executable, "-c", start + code, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    value, peak = map(float, done.stdout.split())
    return value, peak


def _rows(size: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Twelve inputs and an answer: with the id, 14 columns."""
    draw = np.random.default_rng(0)
    numbers = np.round(draw.normal(size=(size, 11)), 3)
    rows = {f"x{column}": numbers[:, column] for column in range(11)}
    rows["carrier"] = draw.choice(np.array(["UA", "AA", None], dtype=object), size)
    return rows, {"probability": draw.random(size)}


def _ids(numbers: np.ndarray) -> list[str]:
    return [f"order-{number:020d}-{number % 97:05x}" for number in numbers.tolist()]


def _write(folder: Path, size: int, seconds: float, sync: str) -> None:
    """Append for some seconds; print rows a second, and the 99th percentile of an append in ms."""
    log, (rows, answer), ids = PredictionLog(folder), _rows(size), _ids(np.arange(size))
    start = committed = time.perf_counter()
    took: list[float] = []
    while (now := time.perf_counter()) - start < seconds:
        log.append(ids, rows, answer, model="bench", version="1", time=datetime.now(UTC))
        if sync == "each" or (sync == "group" and now - committed > COMMIT):
            assert log._file is not None
            os.fdatasync(log._file) if hasattr(os, "fdatasync") else os.fsync(log._file)
            committed = now
        took.append(time.perf_counter() - now)
    print(len(took) * size / (time.perf_counter() - start), np.quantile(took, 0.99) * 1000)
    log.close()


def _fill(folder: Path, first: int, rows: int, size: int = 1_000) -> None:
    """Write rows for some days, with ids from `first` on."""
    log, (inputs, answer) = PredictionLog(folder), _rows(size)
    each = rows // DAYS
    for day in range(DAYS):
        for at in range(0, each, size):
            ids = _ids(np.arange(first + day * each + at, first + day * each + at + size))
            when = DAY + timedelta(days=day, seconds=86_000 * at / each)
            log.append(ids, inputs, answer, model="bench", version="1", time=when)
    log.close()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _table(figures: list[Figure]) -> Table:
    table = Table("measured", "value", "limit", "kept")
    for figure in figures:
        word = "at most" if figure.most else "at least"
        limit = "" if figure.bound is None else f"{word} {figure.bound:,g}"
        value = f"{figure.value:,.3g}" if figure.value < 1_000 else f"{figure.value:,.0f}"
        kept = "" if figure.bound is None else "yes" if figure.kept else "NO"
        table.add_row(figure.what, f"{value} {figure.unit}", limit, kept)
    return table


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="predictions, a multiple of 16,000")
    parser.add_argument("--seconds", type=float, default=3, help="of each way to write")
    for name in ("--write", "--fill"):  # what the processes that it starts are to do
        parser.add_argument(name, default="", help=argparse.SUPPRESS)
    for name in ("--size", "--first"):
        parser.add_argument(name, type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--sync", default="none", choices=SYNCS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
