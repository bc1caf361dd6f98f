"""A small real model folder, and real servers on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from runtime_lib.data.columns import Column
from runtime_lib.settings import Settings, load
from runtime_lib.task.task import Task

COLUMNS = (
    Column("hour", "number"),
    Column("wind", "number", nullable=True),
    Column("carrier", "category", nullable=True),
)
ROWS = {"hour": [6, 18.5, 23], "wind": [3.0, None, 40.5], "carrier": ["UA", "DL", None]}

STATED = """
import asyncio, sys
from pathlib import Path
from runtime_lib.errors import MlopsError
from runtime_lib.serving.address import listen
from runtime_lib.serving.releases.journal import Held, Journal, State
from runtime_lib.serving.serve import run
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import load
settings = load(Path(sys.argv[1]), environ={})
state = State("flights", Policy.all_to("7"), {"7": Held(sys.argv[2], "")}, ("7",))
last = Journal(settings.releases).last()
with listen("127.0.0.1", int(sys.argv[3])) as listener:
    try:
        asyncio.run(run(settings, last.state if last else state, listener))
    except MlopsError as error:
        print("error:", error)
"""


def make_model(
    folder: Path,
    *,
    seed: int = 3,
    columns: Sequence[Column] = COLUMNS,
    task: Task | None = None,
    module: str = "mlp",
    **options: Any,
) -> Path:
    """A network of random weights: what it says is arbitrary, but depends on every column.

    `module` may be one of the project's that takes `options` beside those of `mlp`, whose weights it has.
    """
    from runtime_lib.data.columns import check_rows
    from runtime_lib.task.kinds import BINARY
    from runtime_lib.training.build import build
    from runtime_lib.training.encoder import Encoder
    from runtime_lib.training.model import save
    from runtime_lib.training.network import Architecture
    from runtime_lib.training.trainers.network import FittedNetwork

    rows = {column.name: ROWS[column.name] for column in columns}
    encoder = Encoder.fit(check_rows(rows, columns), columns)
    sizes = {"inputs": encoder.width, "hidden": [16]}
    network = build(Architecture("mlp", sizes), framework="torch", device="cpu", seed=seed)
    save(
        folder,
        task=task or BINARY,
        columns=columns,
        fitted=FittedNetwork(encoder, Architecture(module, {**sizes, **options}), network),
        decision={"threshold": 0.5},
        profile={"format": 1},
    )
    return folder


def make_project(root: Path, **serving: Any) -> Settings:
    given = {"framework": "torch", "follow": "", **serving}
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items())
    root.mkdir(parents=True, exist_ok=True)
    (root / "mlops.toml").write_text(f'[project]\nname = "flights"\npackage = "flights"\n[serving]\n{keys}')
    return load(root, environ={})


@dataclass
class Server:
    url: str
    settings: Settings
    process: subprocess.Popen[str]

    def ask(
        self, path: str, body: Any = None, *, method: str | None = None, kind: str = "application/json"
    ) -> Any:
        """Return status and answer; `body` as bytes goes out as it is."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind} if content is not None else {}
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as reply:
                status, text = reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        return status, json.loads(text) if text.startswith("{") else text


@contextmanager
def running(
    settings: Settings, folder: Path, port: int, *, most_files: int = 0, **variables: str
) -> Iterator[Server]:
    """A server of its own process, which may open so many files; `variables` are added to its environment."""
    command = [sys.executable, "-c", STATED, str(settings.root), str(folder), str(port)]
    if most_files:
        command = ["sh", "-c", f'ulimit -n {most_files}; exec "$@"', "sh", *command]
    env = {**os.environ, **variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            if "Serving" not in (said := process.stdout.readline()):
                raise AssertionError(said + process.communicate()[1])
            yield Server(f"http://127.0.0.1:{port}", settings, process)
        finally:
            process.kill()


def eventually(check: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def ray_processes(driver: int) -> set[int]:
    """Processes of the Ray instance that a process has started: they write into its session's folder."""
    session = re.compile(rf"/session_[^/]*_{driver}/")
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(session.search(file.path) for file in process.open_files()):
                found.add(process.pid)
    return found - {driver}


def ray_processes_left(driver: int, seconds: float = 30) -> set[int]:
    """Return what outlives its Ray instance; workers notice the end of their raylet a moment after it."""
    deadline = time.monotonic() + seconds
    while (left := ray_processes(driver)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def expected(folder: Path, rows: dict[str, Any] = ROWS) -> list[float]:
    """What the model itself says, without a server."""
    from runtime_lib.data.columns import check_rows
    from runtime_lib.training.model import Model

    answer = Model.load(folder, framework="torch").predict(check_rows(rows, COLUMNS))
    return [float(value) for value in np.asarray(answer)]
