"""Drift beside its peers: one machine, one run, the same Parquet files, each tool in a process of its own.

`nox -s bench` runs it after tests/bench_monitoring.py. By itself: `python tests/bench_drift.py [--turns N]
[--rows N] [--large N]`. Tools take turns, and of each the best turn counts; CPU seconds are the measure, as a
machine that is shared gives few of them at a time. Exits with 1 where a limit of the project is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from runtime_lib.profiles.distances import ks, wasserstein
from tests.support.loads import PEERS
from tests.support.peers import environment
from tests.support.samples import exact_ks, exact_wasserstein, profile_of, sample

PART = 1_000_000  # rows that are made at a time
COLUMNS = (
    *["normal"] * 8,
    "lognormal",
    "seconds",
    "whole numbers",
    "heavy-tailed",
    "tied",
    "zero-inflated",
    "bimodal",
)
NAMES = (4, 10, 20, 30, 40)
ERRORS = ("normal", "heavy-tailed", "bimodal", "tied", "constant", "tiny", "huge", "all missing")
# CPU seconds and MB, of `PART` rows and of ten times as many.
MOST = {"stored profile": (0.4, 64), "stored profile, large": (4, 200)}
OURS = "stored profile"


@dataclass
class Tool:
    """How a tool is started, and the best of what was measured."""

    command: list[str]
    most_turns: int = 9
    cpu: float = float("inf")
    wall: float = float("inf")
    peak: float = float("inf")
    versions: dict[str, str] = field(default_factory=dict)

    def measure(self) -> None:
        env = {**os.environ, "PYTHONPATH": str(PEERS.parents[1]), "PYTHONWARNINGS": "ignore"}
        run = subprocess.run(self.command, capture_output=True, text=True, check=False, env=env)
        if run.returncode:
            raise SystemExit(f"{' '.join(self.command)} failed:\n{run.stderr[-2_000:]}")
        found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
        self.cpu, self.wall = min(self.cpu, found["cpu"]), min(self.wall, found["wall"])
        self.peak, self.versions = min(self.peak, found["peak"]), found["versions"]


def main() -> None:
    asked = _asked()
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as name:
        folder = Path(name)
        for place, (file, rows) in enumerate((("a", asked.rows), ("b", asked.rows), ("large", asked.large))):
            write(folder / f"{file}.parquet", rows, seed=100 * place)
        tools = everything(folder)
        for turn in range(asked.turns):
            for name, tool in tools.items():
                if turn < tool.most_turns:
                    tool.measure()
                    print(f"turn {turn + 1}, {name}: {tool.cpu:.2f} CPU s", file=sys.stderr)
    console.print(f"Load of this machine: {', '.join(f'{each:.1f}' for each in os.getloadavg())}")
    console.print(_figures(tools))
    console.print(errors())
    broken = [name for name, (cpu, peak) in MOST.items() if tools[name].cpu > cpu or tools[name].peak > peak]
    for name in broken:
        console.print(f"{name}: not within {MOST[name][0]} CPU s and {MOST[name][1]} MB")
    raise SystemExit(1 if broken else 0)


def write(path: Path, rows: int, seed: int) -> None:
    """15 columns of numbers and 5 of names; a twentieth of each is missing."""
    schema = pa.schema(
        [(f"n{place}", pa.float64()) for place in range(len(COLUMNS))]
        + [(f"c{place}", pa.string()) for place in range(len(NAMES))]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, PART):
            writer.write_table(_part(min(PART, rows - start), seed + start // PART).cast(schema))


def _part(rows: int, seed: int) -> pa.Table:
    rng, columns = np.random.default_rng(seed), {}
    for place, kind in enumerate(COLUMNS):
        values = sample(kind, rows, 1_000 * seed + place)
        columns[f"n{place}"] = pa.array(values, mask=rng.random(rows) < 0.05)
    for place, many in enumerate(NAMES):
        weights = 1 / np.arange(1, many + 1)
        codes = rng.choice(many, rows, p=weights / weights.sum()).astype(np.int32)
        names = pa.array([f"value {each}" for each in range(many)])
        columns[f"c{place}"] = pa.DictionaryArray.from_arrays(codes, names, mask=rng.random(rows) < 0.05)
    return pa.table(columns)


def everything(folder: Path) -> dict[str, Tool]:
    """The tools, in the order of their turns."""
    before, now, large, profile = (
        folder / name for name in ("a.parquet", "b.parquet", "large.parquet", "a.json")
    )

    def tool(file: str, *words: object, of: str = "", most_turns: int = 9) -> Tool:
        python = environment(of) if of else sys.executable
        return Tool([python, str(PEERS / file), *map(str, words)], most_turns)

    tool("mlops_drift.py", "store", before, profile).measure()
    return {
        OURS: tool("mlops_drift.py", "stored", profile, now),
        "two files": tool("mlops_drift.py", "files", before, now),
        "stored profile, large": tool("mlops_drift.py", "stored", profile, large),
        "scipy, KS of 15 columns": tool("scipy_drift.py", before, now),
        "nannyml, KS and χ²": tool("nannyml_drift.py", before, now, of="nannyml"),
        "evidently, KS and χ²": tool("evidently_drift.py", "ks", before, now, of="evidently", most_turns=1),
        "evidently, PSI": tool("evidently_drift.py", "psi", before, now, of="evidently", most_turns=1),
    }


def _figures(tools: dict[str, Tool]) -> Table:
    table = Table(
        "from Parquet to the verdict", "CPU s", "wall s", "added peak, MB", "times ours, CPU", "versions"
    )
    for name, tool in tools.items():
        versions = ", ".join(f"{package} {version}" for package, version in tool.versions.items())
        ratio = "" if "large" in name else f"{tool.cpu / tools[OURS].cpu:.1f}"
        table.add_row(name, f"{tool.cpu:.2f}", f"{tool.wall:.2f}", f"{tool.peak:,.0f}", ratio, versions)
    return table


def errors(rows: int = 100_000) -> Table:
    """What the bins cost, beside the exact distances of the values, live ones moved by 0.1 sd."""
    table = Table("values", "bins", "D", "off by", "bound", "W1 / sd", "off by", "bound")
    for kind in ERRORS:
        before, now = (sample(kind, rows, seed) for seed in (0, 1))
        like = profile_of(before)
        if not like.moments.n:
            table.add_row(kind, str(like.counts.size), *["none"] * 6)
            continue
        now = now + 0.1 * like.sd
        live = profile_of(now, like)
        cells = []
        for found, exact in ((ks(like, live), exact_ks), (wasserstein(like, live), exact_wasserstein)):
            true = exact(before, now) if like.sd > 0 else 0.0
            cells += [f"{true:.4f}", f"{abs(found.value - true):.1e}", f"{found.bound:.1e}"]
        table.add_row(kind, f"{like.counts.size:,}", *cells)
    return table


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rows", type=int, default=PART)
    parser.add_argument("--large", type=int, default=10 * PART)
    return parser.parse_args()


if __name__ == "__main__":
    main()
