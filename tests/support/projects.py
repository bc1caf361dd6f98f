"""Run commands in a generated project, in an environment of its own."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

# Whichever environment the tests run in, the project has one of its own.
_OF_THIS_ENVIRONMENT = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "PYTHONPATH")


def environment() -> dict[str, str]:
    """This process's environment less what names its own Python."""
    return {key: value for key, value in os.environ.items() if key not in _OF_THIS_ENVIRONMENT}


def free_port() -> int:
    """A port that nobody listens on; below those that systems hand out, of which Ray takes many."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command there and return what it printed; fail with all that it said."""
    env = {**environment(), "GIT_CEILING_DIRECTORIES": str(folder.parent), **variables}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
