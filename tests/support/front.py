"""Small real workers, and clients that are slow, idle or many, for the tests of what stands in front."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

# Says who it is. It is told by headers to wait or to die, and by a file that it is not ready. What it was
# asked is written down before it is answered.
_WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
import uvicorn

folder, name, where = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

async def app(scope, receive, send):
    headers = {key.decode(): value.decode() for key, value in scope["headers"]}
    size, more = 0, True
    try:
        async with asyncio.timeout(float(os.environ.get("WORKER_BODY_SECONDS", "30"))):
            while more:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        await answer(send, 408, b"too slow", (b"connection", b"close"))
        return
    if scope["path"] == "/ready":
        await answer(send, 503 if (folder / f"{name}.busy").exists() else 200, b"")
        return
    with (folder / f"{name}.asked").open("a") as asked:
        asked.write(f"{headers.get('x-request-id', '')} {size}\\n")
    if headers.get("x-die") in (name, "any"):
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(float(headers.get("x-wait", "0")))
    body = f'{{"worker": "{name}", "size": {size}, "id": "{headers.get("x-request-id", "")}"}}'
    await answer(send, 200, body.encode())

async def answer(send, status, body, *headers):
    headers = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

place = {"uds": where} if where.startswith("/") else {"port": int(where)}
uvicorn.run(app, **place, log_level="error", access_log=False, lifespan="off", timeout_keep_alive=60)
"""


@dataclass
class Workers:
    """Processes that answer behind the front; `folder` has their sockets and what they were asked."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, port: int | None = None) -> str:
        """Start a worker, and return its address without waiting for it."""
        path = self.folder / f"{name}.sock"
        where = str(path if port is None else port)
        path.unlink(missing_ok=True)
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(self.folder), name, where],
            env={**os.environ, **self.variables},
        )
        return f"unix@{path}" if port is None else f"127.0.0.1:{port}"

    def revive(self, *names: str) -> list[str]:
        """Start those of these that do not run; returns the addresses of all, which are sockets."""
        for name in names:
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name)
        return [f"unix@{self.folder / name}.sock" for name in names]

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def asked(self, name: str) -> list[str]:
        """The ids and sizes of the requests that have reached a worker."""
        path = self.folder / f"{name}.asked"
        return path.read_text().splitlines() if path.exists() else []

    def ready(self, name: str, *, is_so: bool = True) -> None:
        path = self.folder / f"{name}.busy"
        path.unlink(missing_ok=True) if is_so else path.touch()

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextmanager
def workers(folder: Path, **variables: str) -> Iterator[Workers]:
    folder.mkdir(parents=True, exist_ok=True)
    started = Workers(folder, variables)
    try:
        yield started
    finally:
        started.end()


def ask(
    port: int, path: str = "/", *, method: str = "POST", body: Any = b"", timeout: float = 30, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Ask on a new connection; `x_wait` is the header `x-wait`. Returns status, and what the worker said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        return _asked(connection, path, method, body, headers)
    finally:
        connection.close()


def _asked(
    connection: http.client.HTTPConnection, path: str, method: str, body: Any, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, None if method == "GET" else body, named)
    reply = connection.getresponse()
    text = reply.read().decode()
    answer = json.loads(text) if text.startswith("{") else {"text": text}
    return reply.status, {**answer, **{key.lower(): value for key, value in reply.getheaders()}}


def opened(port: int, first: bytes = b"") -> socket.socket:
    """A connection on which `first` was sent, and nothing else yet."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    if first:
        connection.sendall(first)
    return connection


def drip(connection: socket.socket, *, seconds: float) -> None:
    """Send a byte every 0.1 s, while the other side takes it."""
    until = time.monotonic() + seconds
    with suppress(OSError):
        while time.monotonic() < until:
            connection.send(b"a")
            time.sleep(0.1)


def ended_after(connection: socket.socket) -> tuple[float, bytes]:
    """Seconds until the other side closes, and what it said."""
    began, said = time.monotonic(), b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            said += part
    return time.monotonic() - began, said


class Load:
    """Requests at a steady rate by `clients` threads, each with a connection that is kept alive.

    Every second request is marked as idempotent. Each of those that is lost on the way is sent once more; the
    others are counted as lost.
    """

    def __init__(
        self,
        port: int,
        *,
        rate: float = 400,
        clients: int = 24,
        path: str = "/",
        body: str = "x" * 200,
    ) -> None:
        self.outcomes: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self.again: Counter[str] = Counter()
        self.slowest = 0.0
        self._port, self._every, self._clients = port, clients / rate, clients
        self._path, self._body = path, body.encode()
        self._ended = False
        self._ids = itertools.count()

    def __enter__(self) -> Load:
        self._pool = ThreadPoolExecutor(self._clients)
        self._runs = [self._pool.submit(self._run, turn) for turn in range(self._clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        for run in self._runs:
            run.result()
        self._pool.shutdown()

    @property
    def failed(self) -> dict[bool, int]:
        """How many were not answered 200, of those marked idempotent and of the rest."""
        return {marked: sum(found.values()) - found["200"] for marked, found in self.outcomes.items()}

    @property
    def total(self) -> int:
        return sum(sum(found.values()) for found in self.outcomes.values())

    def _run(self, turn: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        due = time.monotonic() + self._every * turn / self._clients
        while not self._ended:
            time.sleep(max(0.0, due - time.monotonic()))
            number = next(self._ids)
            marked = number % 2 == 0
            began = time.monotonic()
            self.outcomes[marked][self._one(connection, number, marked)] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            due += self._every
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, number: int, marked: bool) -> str:
        # It takes a while, so that some are under way at any time.
        headers = {
            "x_request_id": str(number),
            "x_wait": "0.02",
            "content_type": "application/json",
            **({"idempotency_key": str(number)} if marked else {}),
        }
        for last in (False, True):
            try:
                return str(_asked(connection, self._path, "POST", self._body, headers)[0])
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if last or not marked:
                    return type(error).__name__
                self.again[type(error).__name__] += 1
        raise AssertionError("unreachable")


def wait_until_up(front: Any, *addresses: str) -> None:
    eventually(lambda: all(front.workers()[address].state == "up" for address in addresses))
