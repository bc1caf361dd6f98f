"""Airflow for one project on this machine: `mlops airflow`, until Ctrl-C.

`airflow standalone` starts the same four parts, but its log servers listen on every address of the machine,
and SIGTERM ends it without them. The pages read the logs of this machine from disk.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.files import atomic_file
from runtime_lib.server import listen
from runtime_lib.settings import Settings

__all__ = ["Started", "run"]

_HOST = "127.0.0.1"
_USER = "admin"
_PASSWORDS = "simple_auth_manager_passwords.json.generated"
_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_READY_SECONDS = 300.0
_PAUSE = 0.5


@dataclass(frozen=True)
class Started:
    """Where Airflow answers, and who may log in."""

    url: str
    user: str
    password: str


def run(settings: Settings, *, port: int, on_ready: Callable[[Started], None]) -> None:
    """Run Airflow with the project's DAGs below `var/airflow` until Ctrl-C or SIGTERM.

    Args:
        port: of 127.0.0.1, for the pages and the API; nothing else listens.
        on_ready: called once when every part is healthy.

    Raises:
        ServiceError: Airflow is not installed, the port is in use, or a part has ended by itself.
    """
    if find_spec("airflow") is None:
        raise ServiceError(
            "Airflow is not installed. It is a dependency group: run `uv sync --group airflow`."
        )
    another = port + 1 if port < 65535 else port - 1
    fix = f"Is Airflow running already? Stop it, or choose another port: mlops airflow --port {another}."
    listen(_HOST, port, fix=fix).close()
    home = settings.var / "airflow"
    (home / "logs").mkdir(parents=True, exist_ok=True)
    started = Started(f"http://{_HOST}:{port}", _USER, _password(home))
    variables = {**os.environ, **_variables(settings.root, home, started)}
    with _ended_by(signal.SIGTERM, signal.SIGHUP):
        _migrate(home, variables)
        with _running(home, port, variables) as parts:
            _await_health(started.url, parts, home)
            on_ready(started)
            _watch(parts, home)


def _watch(parts: Mapping[str, subprocess.Popen[bytes]], home: Path) -> None:
    """Return at Ctrl-C: it is how this ends."""
    try:
        while True:
            _refuse_ended(parts, home)
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        return


def _variables(root: Path, home: Path, started: Started) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": os.environ.get("AIRFLOW__CORE__PARALLELISM", "4"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / _PASSWORDS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{started.url}/execution/",
        "AIRFLOW__API__BASE_URL": started.url,
        "AIRFLOW__API__HOST": _HOST,
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "false",
    }


def _commands(port: int) -> dict[str, list[str]]:
    return {
        "api-server": ["api-server", "--host", _HOST, "--port", str(port), "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
        "triggerer": ["triggerer", "--skip-serve-logs"],
    }


def _password(home: Path) -> str:
    """Return the password of `_USER`, the same at each start; only this machine's user can read the file."""
    path = home / _PASSWORDS
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if _USER not in known:
        known[_USER] = secrets.token_urlsafe(12)
        with atomic_file(path) as new:
            new.touch(mode=0o600)
            new.write_text(json.dumps(known) + "\n", encoding="utf-8")
    return str(known[_USER])


def _migrate(home: Path, variables: Mapping[str, str]) -> None:
    log = home / "logs" / "database.log"
    with log.open("wb") as said:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(command, env=variables, stdout=said, stderr=said, check=False)
    if done.returncode:
        raise ServiceError(
            f"Airflow could not make its database; the end of {log} says why: {_last_line(log)}"
        )


@contextmanager
def _running(
    home: Path, port: int, variables: Mapping[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start every part; at the end, also after kill -9, the guard ends them with all that they started."""
    parts: dict[str, subprocess.Popen[bytes]] = {}
    guard = _start("runtime_lib.pipeline.airflow_guard", [], os.environ, home / "logs" / "guard.log")
    assert guard.stdin
    try:
        for name, words in _commands(port).items():
            parts[name] = _start("airflow", words, variables, home / "logs" / f"{name}.log")
            guard.stdin.write(f"{parts[name].pid}\n".encode())
            guard.stdin.flush()
        yield parts
    finally:
        guard.stdin.close()
        for part in parts.values():
            part.wait()
        guard.wait()


def _start(
    module: str, words: Sequence[str], variables: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a module in a session of its own: Ctrl-C in the terminal reaches this process alone."""
    with log.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def _await_health(url: str, parts: Mapping[str, subprocess.Popen[bytes]], home: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while (unwell := _unwell(url)) and time.monotonic() < until:
        _refuse_ended(parts, home)
        time.sleep(_PAUSE)
    if unwell:
        raise ServiceError(
            f"Airflow is not healthy after {_READY_SECONDS:.0f} s ({', '.join(unwell)}): see {home / 'logs'}."
        )


def _unwell(url: str) -> list[str]:
    """The parts that do not say that they are healthy."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 (http)
            health = json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return list(_PARTS)
    return [part for part in _PARTS if (health.get(part) or {}).get("status") != "healthy"]


def _refuse_ended(parts: Mapping[str, subprocess.Popen[bytes]], home: Path) -> None:
    for name, part in parts.items():
        if part.poll() is not None:
            log = home / "logs" / f"{name}.log"
            raise ServiceError(f"Airflow's {name} has ended; the end of {log} says why: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


@contextmanager
def _ended_by(*signals: signal.Signals) -> Iterator[None]:
    """Let these signals end the block as Ctrl-C does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
