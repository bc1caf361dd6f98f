"""`mlops serve` in a project with a registry, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime_lib.serving.releases.journal import Journal
from runtime_lib.settings import Settings
from tests.support.projects import with_library
from tests.support.registry import release_tags
from tests.support.servers import Server, eventually

MLOPS = str(Path(sys.executable).with_name("mlops"))


def mlops(settings: Settings, *words: str, code: int = 0) -> str:
    done = subprocess.run([MLOPS, *words], cwd=settings.root, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def serving(settings: Settings, **variables: str) -> Iterator[Server]:
    """`mlops serve` in a project, killed at the end; `variables` are added to its environment."""
    with (settings.root / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [MLOPS, "serve"],
            cwd=settings.root,
            stdout=log,
            stderr=log,
            text=True,
            env={**os.environ, **variables, "PYTHONPATH": with_library(settings.root / "src")},
        )
    server = Server(f"http://127.0.0.1:{settings.serving.port}", settings, process)
    try:
        assert eventually(lambda: process.poll() is not None or is_ready(server), 120)
        assert process.poll() is None, (settings.root / "serve.log").read_text()
        yield server
    finally:
        process.kill()
        process.wait()


def is_ready(server: Server) -> bool:
    try:
        return bool(server.ask("/ready")[0] == 200)
    except OSError:
        return False


def status(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.ask("/status")[1]
    return found


def serves(server: Server, version: str) -> bool:
    return bool(status(server)["traffic"]["weights"].get(version) == 1000)


def problems(server: Server) -> str:
    return " ".join(status(server)["problems"])


def shipped(settings: Settings) -> bool:
    """Whether the registry holds each change once."""
    keys = [change.key for change in Journal(settings.releases).changes()]
    return [tag["key"] for tag in release_tags(settings)] == keys
