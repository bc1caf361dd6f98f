"""Run commands in a generated project, in an environment of its own or in that of the tests."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

# Whichever environment the tests run in, the project has one of its own.
_OF_THIS_ENVIRONMENT = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "PYTHONPATH")


def environment() -> dict[str, str]:
    """This process's environment less what names its own Python."""
    return {key: value for key, value in os.environ.items() if key not in _OF_THIS_ENVIRONMENT}


def borrowed() -> dict[str, str]:
    """Variables with which uv and the stages of a project run in the environment of the tests.

    It holds all that a project asks for: another install would prove nothing where it is not at stake.
    """
    return {"UV_PROJECT_ENVIRONMENT": sys.prefix, "PYTHONPATH": with_library("src")}


def with_library(code: Path | str) -> str:
    """A PYTHONPATH by which a project's code is found, and the library where the tests find it.

    They run in a clone, say, whose library is not the installed one.
    """
    known = os.environ.get("PYTHONPATH")
    return f"{code}{os.pathsep}{known}" if known else str(code)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask fills by `make`, and that the others of this run find there.

    Copy it; it is everybody's.
    """
    top = factory.getbasetemp()
    top = top.parent if "PYTEST_XDIST_WORKER" in os.environ else top
    folder, done = top / name, top / f"{name}.done"
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def airflow_home(factory: pytest.TempPathFactory) -> Path:
    """Airflow's home with an empty database; migrating one takes as long as many tests."""

    def migrate(folder: Path) -> None:
        variables = {**os.environ, "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=variables, check=True, capture_output=True)
        # It names the folder it was made in; Airflow writes it anew, or does without.
        (folder / "airflow.cfg").unlink(missing_ok=True)

    return made_once(factory, "airflow-home", migrate)


def _ports() -> Iterator[int]:
    """Those of this worker, in turns: below those that systems hand out, of which Ray takes many."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(20_000 + worker % 8 * 1500, 20_000 + (worker % 8 + 1) * 1500)
    start = random.randrange(len(mine))
    return cycle([*mine[start:], *mine[:start]])


_PORTS = _ports()


def free_port() -> int:
    """A port that nobody listens on, and that no other test is handed before it listens."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command there and return what it printed; fail with all that it said."""
    env = {**environment(), "GIT_CEILING_DIRECTORIES": str(folder.parent), **variables}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
