"""HAProxy's admin socket: workers come, drain and go while it runs."""

from __future__ import annotations

import csv
import socket
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.serving.front.config import BACKEND, FRONTEND

__all__ = ["Worker", "add", "close", "connections", "process_id", "remove", "waiting", "workers"]

_SECONDS = 2.0  # an answer takes less than a millisecond
_FRONTENDS, _BACKENDS, _SERVERS = 1, 2, 4  # types of rows in `show stat`


@dataclass(frozen=True)
class Worker:
    """How HAProxy sees a worker: `state` is up, down, or maint while it drains.

    `requests` are those that it has.
    """

    state: str
    requests: int


def process_id(path: Path) -> int:
    """Return the id of the process that answers at `path`."""
    for line in ask(path, "show info").splitlines():
        if line.startswith("Pid: "):
            return int(line[5:])
    raise ServiceError(f"{path} is not the admin socket of HAProxy.")


def add(path: Path, name: str, parameters: str) -> None:
    """Add a worker. It gets no request before it has passed a check."""
    answer = ask(path, f"add server {BACKEND}/{name} {parameters}")
    if "New server registered" not in answer:
        raise ServiceError(f"HAProxy does not take the worker {parameters!r}: {answer.strip()}")
    # A server that is enabled counts as up until a check fails. Made to drain first, it can be marked down
    # while it gets nothing.
    for step in ("state drain", "health down"):
        _order(path, f"set server {BACKEND}/{name} {step}")
    _order(path, f"enable health {BACKEND}/{name}")
    _order(path, f"set server {BACKEND}/{name} state ready")


def remove(path: Path, name: str) -> bool:
    """Give the worker no further requests, and forget it once it has none; return whether it is forgotten."""
    _order(path, f"set server {BACKEND}/{name} state maint")
    return "Server deleted" in ask(path, f"del server {BACKEND}/{name}")


def workers(path: Path) -> dict[str, Worker]:
    """Return the workers by name."""
    # "UP 1/3" is up and about to go down
    return {
        row["svname"]: Worker(row["status"].split()[0].lower(), int(row["scur"]))
        for row in _rows(path, BACKEND, _SERVERS)
    }


def waiting(path: Path) -> int:
    """Return how many requests wait for a worker to be free."""
    return sum(int(row["qcur"]) for kind in (_BACKENDS, _SERVERS) for row in _rows(path, BACKEND, kind))


def close(path: Path) -> None:
    """Listen no more, and end each connection with its next answer, which says so (`Connection: close`).

    Unlike a soft stop this leaves a connection between two requests open: the next may be on its way.
    """
    _order(path, f"shutdown frontend {FRONTEND}")


def connections(path: Path) -> int:
    """Return how many connections clients have."""
    return sum(int(row["scur"]) for row in _rows(path, FRONTEND, _FRONTENDS))


def _rows(path: Path, name: str, kind: int) -> list[dict[str, str]]:
    shown = ask(path, f"show stat {name} {kind} -1")
    return list(csv.DictReader(shown.lstrip("# ").splitlines()))


def ask(path: Path, command: str) -> str:
    """Send a command and return the answer.

    Raises:
        ServiceError: HAProxy does not answer there.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65_536), b"")).decode(errors="replace")
    except OSError as error:
        raise ServiceError(f"HAProxy does not answer at {path} ({error}).") from error


def _order(path: Path, command: str) -> None:
    if answer := ask(path, command).strip():
        raise ServiceError(f"HAProxy refused `{command}`: {answer}")
