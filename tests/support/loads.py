"""A server under load: started, asked by `wrk` until it answers well, and its cost in CPU and memory."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.projects import free_port

__all__ = ["Load", "Served", "serving", "wrk"]

PEERS = Path(__file__).parents[1] / "bench_peers"
PATH = "/invocations"
_SECONDS_TO_START = 120
_NO_WRK = "wrk is missing: the load comes from it. Install it with `apt install wrk` or `brew install wrk`."


@dataclass(frozen=True)
class Load:
    """What clients saw. Latencies in ms; `cpu` in µs of all the server's processes for each request."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Served:
    """A server that runs. `seconds`: from its start to its first answer."""

    process: psutil.Process
    port: int
    seconds: float
    body: Path

    def load(self, clients: int, seconds: int) -> Load:
        """Have clients ask as fast as they are answered."""
        before = self._cpu()
        url = f"http://127.0.0.1:{self.port}{PATH}"
        options = ["-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
        command = [wrk(), *options, "-s", str(PEERS / "load.lua"), url, "--", str(self.body)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(said.splitlines()[-1])
        if found["failed"] or not found["answered"]:
            raise SystemExit(f"{' '.join(self.process.cmdline()[:6])}: {found}")
        answered = found["answered"]
        rate = answered / found["microseconds"] * 1e6
        return Load(rate, found["p50"] / 1e3, found["p99"] / 1e3, (self._cpu() - before) / answered * 1e6)

    def settle(self) -> None:
        """Wait until what a server does once, after its first answer, is done: it is idle, and has ended."""
        quiet, processes = 0, self._processes()
        for _ in range(60):
            before = self._cpu()
            time.sleep(0.5)
            now = self._processes()
            quiet = quiet + 1 if now == processes and self._cpu() - before < 0.1 else 0
            processes = now
            if quiet == 4:
                return

    def memory(self, kind: str = "rss") -> float:
        """MB of all its processes; `pss` counts what they share once."""
        total = 0
        for process in self._processes():
            with suppress(psutil.Error):
                total += getattr(process.memory_full_info(), kind)
        return total / 1e6

    def _cpu(self) -> float:
        total = 0.0
        for process in self._processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def wrk() -> str:
    """The load generator: in C, so that the load leaves the machine to the server."""
    if found := shutil.which("wrk"):
        return found
    raise SystemExit(_NO_WRK)


@contextmanager
def serving(command: Sequence[str], body: Path, *, cwd: Path) -> Iterator[Served]:
    """A server of its own processes, until it has answered once; `{port}` in the command is its port."""
    port = free_port()
    words = [word.format(port=port) for word in command]
    variables = {**os.environ, "MLOPS_SERVING__PORT": str(port)}
    with (cwd / "said.txt").open("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(words, cwd=cwd, env=variables, stdout=said, stderr=said)
        try:
            while not _answers(port, body.read_bytes()):
                if process.poll() is not None or time.perf_counter() - start > _SECONDS_TO_START:
                    said.seek(0)
                    raise SystemExit(f"{' '.join(words)} did not answer:\n{said.read()[-2000:]}")
                time.sleep(0.01)
            yield Served(psutil.Process(process.pid), port, time.perf_counter() - start, body)
        finally:
            _end(process)


def _answers(port: int, body: bytes) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """All that it started too; first by a signal that it may obey."""
    with suppress(psutil.Error):
        mine = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        for each in mine:
            with suppress(psutil.Error):
                each.kill()
    process.kill()
    process.wait()
