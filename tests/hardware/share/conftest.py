"""A folder of leases of its own for each test, and processes that ask for some."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.leases import WORK, Ask
from tests.support.releases import REPOSITORY


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


@pytest.fixture
def start() -> Iterator[Ask]:
    """Start a program on the library; it is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=environment, text=True, **pipes
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with process:  # closes its pipes and waits for it
            process.kill()


@pytest.fixture
def ask(start: Ask) -> Ask:
    """Start a process that asks for a lease, and holds it until its stdin is closed."""

    def run(
        project: str, memory: float, gpu: float = 0, *, cwd: Path | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        demand = {"project": project, "memory": memory, "gpu": gpu, "timeout": 20, **options}
        return start(WORK, json.dumps(demand), cwd=cwd)

    return run
