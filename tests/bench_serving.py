"""Serving beside its peers: one machine, one run, one tiny model, the load from `wrk`.

`nox -s bench` runs it after tests/bench_models.py. By itself: `python tests/bench_serving.py [--only WORD …]
[--turns N] [--seconds S] [--ray]`. Servers take turns, and of each the best turn counts. Exits with 1
where a limit of the project is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from runtime_lib.serving.control import ask
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import load
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from tests.support.loads import PEERS, Load, serving, wrk
from tests.support.peers import body_of, environment, make_model, project

CORE = [sys.executable, str(PEERS / "core.py"), "{port}"]
MLOPS = str(Path(sys.executable).with_name("mlops"))
CLIENTS = (1, 8, 32)
SECONDS_TO_SCALE = 30
# Batches of at most so many, and the seconds that LitServe waits for them.
LITSERVE_BATCHES = ((1, 0.0), (32, 0.002), (32, 0.01))


@dataclass
class Server:
    """One row of the table: how it is started, and the best of what was measured."""

    command: list[str]
    body: Path
    cwd: Path | None = None
    most_turns: int = 9
    loads: dict[int, Load] = field(default_factory=dict)
    seconds: float = float("inf")
    memory: float = 0.0
    shared: float = 0.0

    def measure(self, seconds: int) -> None:
        with serving(self.command, self.body, cwd=self.cwd or self.body.parent) as served:
            self.seconds = min(self.seconds, served.seconds)
            served.settle()
            self.shared = served.memory("pss")
            served.load(8, 1)
            for clients in CLIENTS:
                self._keep(clients, served.load(clients, seconds))
            self.memory = served.memory()

    def _keep(self, clients: int, load: Load) -> None:
        last = self.loads.get(clients)
        if last is None:
            self.loads[clients] = load
            return
        least = {name: min(getattr(load, name), getattr(last, name)) for name in ("p50", "p99", "cpu")}
        self.loads[clients] = Load(max(load.rate, last.rate), **least)


@dataclass(frozen=True)
class Limit:
    """A measured number beside what it must reach (`least`) or keep below."""

    what: str
    value: float
    bound: float
    least: bool = False

    @property
    def kept(self) -> bool:
        return self.value >= self.bound if self.least else self.value <= self.bound


def main() -> None:
    asked = _asked()
    wrk()  # says so at once if it is missing
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        servers = everything(Path(folder))
        servers = {name: each for name, each in servers.items() if _is_wanted(name, asked.only)}
        for turn in range(asked.turns):
            for name, server in servers.items():
                if turn < server.most_turns:
                    server.measure(asked.seconds)
                    print(f"turn {turn + 1}, {name}: {server.loads[32].rate:,.0f}/s", file=sys.stderr)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"Load of this machine: {', '.join(f'{each:.1f}' for each in os.getloadavg())}")
    console.print(_figures(servers))
    limits = list(_limits(servers))
    if asked.ray:
        limits.append(Limit("Ray: seconds from 1 to 3 replicas under load", scaling(), 10))
    console.print(_kept(limits))
    raise SystemExit(0 if all(limit.kept for limit in limits) else 1)


def everything(folder: Path) -> dict[str, Server]:
    """The servers, in the order of their turns."""
    random = np.random.default_rng(1)
    tiny, large = (body_of(folder, random.normal(size=(1, width))) for width in (32, 512))
    return {
        **_peers(folder, tiny, large),
        **_ours(folder, tiny),
        **_ours_torch(folder, large),
    }


def _peers(folder: Path, tiny: Path, large: Path) -> dict[str, Server]:
    def peer(file: str, *words: str, of: str = "", body: Path = tiny, most_turns: int = 9) -> Server:
        python = environment(of) if of else sys.executable
        return Server([python, str(PEERS / file), "{port}", *words], body, most_turns=most_turns)

    found = {
        "raw ASGI": peer("raw_server.py", of="raw"),
        "FastAPI": peer("fastapi_server.py", of="fastapi"),
        "LitServe": peer("litserve_server.py", "tiny", "1", "0", of="litserve"),
        "mlflow models serve": peer("mlflow_server.py", str(folder / "mlflow"), most_turns=2),
        "Ray Serve": peer("ray_server.py", most_turns=1),
    }
    for most, wait in LITSERVE_BATCHES:
        words = ("large", str(most), str(wait))
        found[f"LitServe, torch, {most}/{wait:g} s"] = peer(
            "litserve_server.py", *words, of="litserve", body=large
        )
    return found


def _ours(folder: Path, body: Path) -> dict[str, Server]:
    one, two = (str(make_model(folder / f"tiny{seed}", 32, (64,), BINARY, seed=seed)) for seed in (1, 2))
    both = {"1": one, "2": two}
    canary = Policy({"1": 900, "2": 100})
    alone = project(folder / "alone", {"1": one}, Policy.all_to("1"))
    found = {
        "core without a log": Server([*CORE, str(alone), one], body),
        "core without a log, canary": Server([*CORE, str(alone), one, two], body),
        "mlops serve": _serve(alone, body),
        "mlops serve, canary": _serve(project(folder / "canary", both, canary), body),
        "mlops serve, canary, 2 workers, HAProxy": _serve(
            project(folder / "front", both, canary, workers=2, front="haproxy"), body
        ),
    }
    mlx = project(folder / "mlx", {"1": one}, Policy.all_to("1"), framework="mlx")
    return {**found, "mlops serve, MLX": _serve(mlx, body)}


def _ours_torch(folder: Path, body: Path) -> dict[str, Server]:
    task = Multiclass(tuple(f"class{number}" for number in range(10)))
    model = str(make_model(folder / "large", 512, (2048, 2048), task, seed=3))
    large = project(folder / "torch", {"1": model}, Policy.all_to("1"), framework="torch")
    core = Server([*CORE, str(large), model], body)
    return {"core without a log, torch": core, "mlops serve, torch": _serve(large, body)}


def _serve(root: Path, body: Path) -> Server:
    return Server([MLOPS, "serve"], body, cwd=root)


def scaling() -> float:
    """Seconds from the first of 32 clients until a service on Ray has three replicas that answer.

    Each request takes a replica some milliseconds: less would keep clients busy, and no replica.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        root = Path(folder)
        rows = np.random.default_rng(1).normal(size=(8, 512))
        model = str(make_model(root / "model", 512, (2048, 2048), BINARY, seed=1))
        options = {"engine": "ray", "max_workers": 3}
        served = project(root / "project", {"1": model}, Policy.all_to("1"), **options)

        def replicas() -> int:
            control = json.loads(load(served, environ={}).server.read_text())["control"]
            return sum(worker["ready"] for worker in ask(Path(control), "status")["workers"])

        with (
            serving([MLOPS, "serve"], body_of(root, rows), cwd=served) as server,
            ThreadPoolExecutor(1) as apart,
        ):
            start = time.perf_counter()
            loading = apart.submit(server.load, 32, SECONDS_TO_SCALE)
            while replicas() < 3 and not loading.done():
                time.sleep(0.1)
            seconds = time.perf_counter() - start
            loading.result()
    return seconds


def _limits(servers: dict[str, Server]) -> Iterable[Limit]:
    """What the project promises, as far as both sides were measured."""

    def rate(name: str, clients: int) -> float:
        return servers[name].loads[clients].rate

    def faster(name: str, than: str, least: float, clients: int = 32) -> Iterable[Limit]:
        if name in servers and than in servers:
            what = f"{name}, {clients} client(s): times {than}"
            yield Limit(what, rate(name, clients) / rate(than, clients), least, least=True)

    def soon(name: str, most: float) -> Iterable[Limit]:
        if name in servers:
            yield Limit(f"{name}, 32 clients: p99, ms", servers[name].loads[32].p99, most)

    bare = "core without a log"
    for than, least in (("FastAPI", 2.5), ("Ray Serve", 50), ("LitServe", 11), ("raw ASGI", 0.85)):
        yield from faster(bare, than, least)
    yield from soon(bare, 4)
    for name in (f"{bare}, canary", "mlops serve, canary", "mlops serve, canary, 2 workers, HAProxy"):
        for than, least in (("FastAPI", 1.4), ("LitServe", 6), ("mlflow models serve", 6)):
            yield from faster(name, than, least)
        yield from soon(name, 10)
    lit = [name for name in servers if name.startswith("LitServe, torch")]
    for clients, least in ((32, 2.2), (1, 2.4)):
        if lit:
            best = max(lit, key=lambda name: rate(name, clients))
            for name in ("core without a log, torch", "mlops serve, torch"):
                yield from faster(name, best, least, clients)
    yield from soon("mlops serve, torch", 20)
    yield from faster("mlops serve", bare, 0.8)
    yield from _light(servers)


def _light(servers: dict[str, Server]) -> Iterable[Limit]:
    for name in ("mlops serve", "mlops serve, MLX"):
        if name in servers:
            yield Limit(f"{name}: start to first answer, s", servers[name].seconds, 1.0)
            yield Limit(f"{name}: memory of its processes (PSS), MB", servers[name].shared, 120)


def _figures(servers: dict[str, Server]) -> Table:
    heads = [f"{clients} client(s): requests/s (p50/p99 ms, CPU µs)" for clients in CLIENTS]
    table = Table("server", *heads, "RSS MB", "start s")
    for name, server in servers.items():
        cells = [f"{s.rate:,.0f} ({s.p50:.2f}/{s.p99:.2f}, {s.cpu:,.0f})" for s in server.loads.values()]
        table.add_row(name, *cells, f"{server.memory:,.0f}", f"{server.seconds:.2f}")
    return table


def _kept(limits: list[Limit]) -> Table:
    table = Table("limit", "measured", "at least or at most", "kept")
    for limit in limits:
        word = "at least" if limit.least else "at most"
        table.add_row(
            limit.what, f"{limit.value:.3g}", f"{word} {limit.bound:g}", "yes" if limit.kept else "NO"
        )
    return table


def _is_wanted(name: str, words: list[str]) -> bool:
    return not words or name in words


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of servers, as in the table")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--ray", action="store_true", help="also scale a service on Ray from 1 to 3 replicas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
