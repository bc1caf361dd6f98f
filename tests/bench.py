"""Speed and size, each beside a limit or a peer, in one run: `nox -s bench`.

Prints a table, and exits with 1 where a limit of the project is not kept. Times are the best of a few
runs, so that what else the machine does counts least.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.probe import Live
from runtime_lib.hardware.read.state import state
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import Model, save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.network import FittedNetwork

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.releases import RELEASES, clone_with_tags, commit, git
from tests.support.stubs import live

PYTHON = sys.executable
MLOPS = str(Path(PYTHON).with_name("mlops"))
COLUMNS = tuple(Column(f"x{number}", "number") for number in range(32))
HARDWARE = "import runtime_lib.hardware"
RECORDED = Path(__file__).parent / "hardware" / "recorded"
PRINTED = {
    "sysctl": "m4-max/sysctl_a_sequoia.txt",
    "ioreg": "m4/ioreg_AGXAccelerator.TRUNCATED.txt",
    "notifyutil": "any/notifyutil_g_thermalpressurelevel.txt",
    "pmset": "m1/pmset_g.txt",
}


def main() -> None:
    table = Table("measured", "here", "limit or peer", "ratio")
    kept = [limit(table, *measured) for measured in start_up()]
    with tempfile.TemporaryDirectory() as folder:
        kept += [limit(table, *measured) for measured in looking(Path(folder))]
        kept += [limit(table, *measured) for measured in upgrading(table, Path(folder))]
        make_model(Path(folder) / "model")
        predicting(table, Path(folder) / "model")
    Console().print(table)
    raise SystemExit(0 if all(kept) else 1)


def limit(table: Table, name: str, value: float, most: float, unit: str) -> bool:
    table.add_row(name, f"{value:.3g} {unit}", f"at most {most:g} {unit}", f"{value / most:.2f}")
    return value <= most


def start_up() -> Iterator[tuple[str, float, float, str]]:
    """What every command and every parse of a DAG file pays."""
    bare, light = (best(lambda code=code: run(PYTHON, "-c", code)) for code in ("pass", "import runtime_lib"))
    yield "import runtime_lib", max(0.0, light - bare) * 1000, 30, "ms"
    # Not ru_maxrss: a child inherits that of the process which started it.
    resident = "import psutil; {}; print(psutil.Process().memory_info().rss)"
    sizes = [int(run(PYTHON, "-c", resident.format(code))) / 2**20 for code in ("pass", "import runtime_lib")]
    yield "import runtime_lib, memory", max(0.0, sizes[1] - sizes[0]), 15, "MB"
    yield "mlops --help", best(lambda: run(MLOPS, "--help")), 0.3, "s"


def looking(folder: Path) -> Iterator[tuple[str, float, float, str]]:
    """At a machine: with a Mac's commands as scripts that print what they printed, and from recordings."""
    bare, light = (best(lambda code=code: run(PYTHON, "-c", code)) for code in ("pass", HARDWARE))
    yield HARDWARE, max(0.0, light - bare) * 1000, 100, "ms"
    mac = live(folder, {name: f"cat '{RECORDED}/{path}'" for name, path in PRINTED.items()})
    machine = facts(mac)
    assert machine.chip == "Apple M4 Max"
    yield "facts of a Mac, live", best(lambda: facts(mac)) * 1000, 100, "ms"
    yield "state of a Mac, live", best(lambda: state(mac, facts=machine)) * 1000, 20, "ms"
    yield "facts of this machine", best(lambda: facts(Live())) * 1000, 100, "ms"
    yield "state of this machine", best(lambda: state(Live(), facts=facts())) * 1000, 20, "ms"
    times = {
        path.name: best(lambda path=path: replayed(path)) for path in RECORDED.iterdir() if path.is_dir()
    }
    slowest = max(times, key=times.__getitem__)
    yield f"replay, slowest of {len(times)} ({slowest})", times[slowest] * 1000, 10, "ms"


def replayed(folder: Path) -> None:
    probe = Replay(folder)
    state(probe, facts=facts(probe))


def best(do: Callable[[], object], runs: int = 7) -> float:
    """The shortest of some runs, in seconds."""

    def once() -> float:
        start = time.perf_counter()
        do()
        return time.perf_counter() - start

    return min(once() for _ in range(runs))


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return done.stdout


ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def upgrading(table: Table, folder: Path) -> Iterator[tuple[str, float, float, str]]:
    """From the first release to HEAD, on a project of two hundred files; `copier update` beside it."""
    if not RELEASES:
        return
    template = clone_with_tags(folder / "template")
    copier = str(Path(PYTHON).with_name("copier"))
    made = folder / "made"
    first = f"v{RELEASES[0][0]}"
    run(copier, "copy", "--quiet", "--defaults", "--vcs-ref", first, str(template), str(made))
    for number in range(200 - sum(path.is_file() for path in made.rglob("*"))):
        (made / f"note{number}.md").write_text(f"Note {number}\n" * 50)
    for words in (
        ("init", "--quiet"),
        ("config", "user.name", "Bench"),
        ("config", "user.email", "b@example.org"),
    ):
        git(made, *words)
    commit(made, "Start")
    # Options of the code under test: it is no release, so nothing is handed over.
    ours = (MLOPS, "upgrade", "--here", "--to", git(template, "rev-parse", "HEAD"))
    peer = (copier, "update", "--quiet", "--defaults", "--vcs-ref", "HEAD")
    times = {
        name: best(on_a_copy(made, *command), runs=3)
        for name, command in (
            ("mlops upgrade --plan", (*ours, "--plan")),
            ("mlops upgrade --no-lock --no-tests", (*ours, "--no-lock", "--no-tests")),
            ("copier update", peer),
        )
    }
    slowest = times.pop("copier update")
    for (name, seconds), most in zip(times.items(), (5, 10), strict=True):
        table.add_row(
            f"{name}, 200 files",
            f"{seconds:.2f} s",
            f"copier update: {slowest:.2f} s",
            f"{seconds / slowest:.2f}",
        )
        yield f"{name}, 200 files", seconds, most, "s"


def on_a_copy(project: Path, *command: str) -> Callable[[], object]:
    """Run the command in a fresh copy each time, which costs all of them the same."""

    def do() -> None:
        with tempfile.TemporaryDirectory(dir=project.parent) as folder:
            copy = Path(folder) / "project"
            run("cp", "-r", str(project), str(copy))
            run(*command, cwd=copy)

    return do


def predicting(table: Table, folder: Path) -> None:
    """What it costs that a CPU computes in double precision: the same model beside one in single."""
    double = Model.load(folder, framework="torch")
    architecture = Architecture("mlp", double.info["options"])
    network = build(architecture, framework="torch", device="cpu")
    single = replace(double, fitted=replace(double.fitted, network=network))
    for count in (1, 1_000, 100_000):
        rows = {c.name: np.random.default_rng(1).normal(size=count) for c in COLUMNS}
        here, peer = (best(partial(model.predict, rows), 20) for model in (double, single))
        table.add_row(
            f"predict {count:,} row(s), torch on a CPU",
            f"{here * 1000:.3g} ms",
            f"single precision: {peer * 1000:.3g} ms",
            f"{here / peer:.2f}",
        )


def make_model(folder: Path) -> None:
    rows = check_rows({c.name: np.random.default_rng(0).normal(size=100) for c in COLUMNS}, COLUMNS)
    encoder = Encoder.fit(rows, COLUMNS)
    architecture = Architecture("mlp", {"inputs": encoder.width, "hidden": [64]})
    network = build(architecture, framework="torch", device="cpu")
    save(
        folder,
        task=BINARY,
        columns=COLUMNS,
        fitted=FittedNetwork(encoder, architecture, network),
        decision={"threshold": 0.5},
        profile={"format": 2},
    )
    assert Model.load(folder).predict(rows).shape == (100,)


if __name__ == "__main__":
    main()
