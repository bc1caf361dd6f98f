"""Schemathesis asks a real server all that its OpenAPI document allows, and much that it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime_lib.settings import load
from tests.support.depth import examples
from tests.support.projects import free_port
from tests.support.servers import Server, running
from tests.support.shop import trained_shop

pytest.importorskip("schemathesis")
pytestmark = pytest.mark.slow

# Rows that fit one by one may still differ in number, in ids or in columns: no schema can say that.
_LEFT_OUT = "positive_data_acceptance"
_SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = [400, 404, 413, 415, 422]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = trained_shop(tmp_path_factory), free_port()
    settings = load(folder, environ={"MLOPS_SERVING__PORT": str(port)})
    with running(settings, settings.candidate, port, PYTHONPATH=str(folder / "src")) as server:
        yield server


@pytest.mark.parametrize("which", ["server", "shop"])
def test_every_answer_is_documented_and_none_is_the_servers_fault(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(which)
    (tmp_path / "schemathesis.toml").write_text(_SETTINGS)
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"),
        f"{server.url}/openapi.json",
        *("--phases", "examples,coverage,fuzzing", "--exclude-checks", _LEFT_OUT),
        *("-n", str(examples(20, 400)), "--continue-on-failure", "--generation-deterministic"),
    )
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr
    assert "/raw/invocations" in done.stdout or which == "server" or "19 selected" in done.stdout
    assert server.ask("/ready") == (200, {"ready": True})
