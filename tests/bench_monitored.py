"""Years of answers, monitored: a real project whose log holds millions of rows a day, and the peak of memory.

`nox -s bench` runs it last. By itself: `python tests/bench_monitored.py [--rows N]`; 100,000,000 rows take
four minutes and 3 GB of disk. Exits with 1 where memory grows with the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import copier
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from runtime_lib.monitoring.arrivals import write_arrival
from runtime_lib.serving.log import PredictionLog, compact
from tests.support import readings
from tests.support.releases import REPOSITORY

FIRST = datetime(2025, 5, 3, tzinfo=UTC)
DAY, SIZE = 1_000_000, 10_000  # rows of a day, and of an append
FEW = 3  # days beside which memory is judged
MOST = 150  # MB more than for those, whatever there is

_MONITOR = """
import atexit, resource, sys, time
unit = 2**20 if sys.platform == "darwin" else 2**10
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
atexit.register(lambda: print(time.process_time(), peak(), file=open("measured", "w")))
sys.argv = ["mlops", "monitor", "--json", "--exit-zero"]
from runtime_lib.cli import main
main()
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=10_000_000)
    days = asked.parse_args().rows // DAY
    with tempfile.TemporaryDirectory() as name:
        root = project(Path(name))
        fill(root, range(FEW))
        few = monitored(root, FEW)
        fill(root, range(FEW, days))
        measured = [few, *(monitored(root, days) for _ in range(2))]
    table = Table("rows", "CPU s", "peak, MB")
    for rows, cpu, peak in measured:
        table.add_row(f"{rows:,}", f"{cpu:.1f}", f"{peak:.0f}")
    Console().print(table)
    raise SystemExit(max(peak for *_, peak in measured) - few[2] > MOST)


def project(folder: Path) -> Path:
    """With a first version, in which two numbers predict a failure."""

    def render(**answers: Any) -> Path:
        answers["library_source"] = str(REPOSITORY)
        copier.run_copy(
            str(REPOSITORY), folder / "project", data=answers, defaults=True, quiet=True, vcs_ref="HEAD"
        )
        return folder / "project"

    root = readings.make(render)
    readings.first_version(root, today="2025-05-02")
    return root


def fill(root: Path, days: range) -> None:
    """Answer, ten days at a time compact them, and let one row in a hundred have its label."""
    draw = np.random.default_rng(days.start)
    for day in days:
        log = PredictionLog(root / "var" / "predictions")
        for at in range(0, DAY, SIZE):
            heat, load = draw.normal(60, 12, SIZE), draw.uniform(0, 1, SIZE)
            probability = 1 / (1 + np.exp(-((heat - 60) / 6 + 6 * load - 3.5)))
            when = FIRST + timedelta(days=day, seconds=86_000 * at / DAY)
            ids = _ids(day, range(at, at + SIZE))
            rows, answer = {"heat": heat, "load": load}, {"probability": probability}
            log.append(ids, rows, answer, model="readings", version="1", time=when)
        log.close()
        if day % 10 == 9 or day == days[-1]:
            compact(root / "var" / "predictions", now=datetime.now(UTC) + timedelta(days=2))
        known = pd.Series(_ids(day, range(0, DAY, 100)), dtype="str")
        labels = draw.integers(0, 2, len(known)).astype("int8")
        write_arrival(root / "var" / "labels", pd.DataFrame({"id": known, "label": labels}))


def _ids(day: int, rows: range) -> list[str]:
    return [f"{day:03d}-{row:07d}" for row in rows]


def monitored(root: Path, days: int) -> tuple[int, float, float]:
    """`mlops monitor` over all days, in a process of its own: rows, CPU seconds, peak in MB."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"src{os.pathsep}{REPOSITORY}",
        "MLOPS_TODAY": (FIRST + timedelta(days=days)).date().isoformat(),
        "MLOPS_MONITORING__PERIOD_DAYS": str(days),
    }
    shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]  # a process begins with the peak of whoever started it
    command = [*shell, sys.executable, "-c", _MONITOR]
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    cpu, peak = map(float, (root / "measured").read_text().split())
    return int(json.loads(done.stdout)["rows"]), cpu, peak


if __name__ == "__main__":
    main()
