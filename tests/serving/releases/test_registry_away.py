"""A registry that is away, comes back, or is killed: the server goes on, and records each change once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.releases.orders import follow
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import Settings, load
from runtime_lib.settings.wire import to_dict
from tests.support.mlops_serve import mlops, problems, serves, serving, shipped
from tests.support.projects import free_port
from tests.support.registry import GOOD, OTHER, alias, move_alias, project_with_registry, release_tags, trail
from tests.support.servers import eventually
from tests.support.traffic import Clients

pytestmark = pytest.mark.slow


def test_a_server_goes_on_and_starts_again_while_the_registry_is_away(tmp_path: Path, stored: Path) -> None:
    settings = project_with_registry(tmp_path / "project", stored, port=free_port(), follow_seconds=0.5)
    database, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    with serving(settings) as server:
        mlops(settings, "champion", "set", OTHER, "--reason", "better")
        assert eventually(lambda: serves(server, OTHER) and shipped(settings), 60)
        with Clients(server, rate=50) as clients:
            database.rename(away)
            assert eventually(lambda: f"{database} is gone" in problems(server), 20)
            clients.wait_for(50)
        assert not clients.failures
    with serving(settings) as server, Clients(server, rate=50) as clients:  # it was killed
        assert serves(server, OTHER)
        change = json.loads(mlops(settings, "traffic", f"{OTHER}=100", "--reason", "away", "--json"))
        assert eventually(lambda: f"{database} is gone" in problems(server), 20)
        assert not database.exists()  # nobody has started an empty one in its place
        away.rename(database)
        assert eventually(lambda: shipped(settings), 60)
        assert eventually(lambda: problems(server) == "", 20)
        assert release_tags(settings)[-1]["key"] == change["key"]
        clients.wait_for(20)
    assert not clients.failures


def test_each_change_arrives_once_whoever_is_killed(tmp_path: Path, stored: Path) -> None:
    servers = [project_with_registry(tmp_path / name, stored) for name in ("one", "two")]
    move_alias(servers[0], OTHER)
    for settings in servers:
        for number in range(60):
            version = str(number % 2 + 1)
            state = State("flights", Policy.all_to(version), {version: Held("", "")}, (version,))
            Journal(settings.releases).append(Change("deployed", "hand", "ann", "again", {}, state))
    back = State("flights", Policy.all_to(GOOD), {GOOD: Held("", "")}, (GOOD,), followed=GOOD)
    left = {OTHER: 1000, GOOD: 0}
    Journal(servers[0].releases).append(Change("rolled back", "hand", "ann", "worse", left, back))
    for least in (1, 25, 50, 80):  # both are killed once so much has arrived
        running = [ship(settings) for settings in servers]
        assert eventually(lambda least=least: len(release_tags(servers[0])) >= least, 60)
        for process in running:
            process.kill()
            process.wait()
    assert len(release_tags(servers[0])) < 121
    for process in [ship(settings) for settings in servers]:
        assert process.wait(120) == 0
    found = release_tags(servers[0])
    changes = [change for settings in servers for change in Journal(settings.releases).changes()]
    assert sorted(tag["key"] for tag in found) == sorted(change.key for change in changes)
    assert alias(servers[0]) == GOOD
    assert trail(servers[0])[-1] == ("rolled back", GOOD, "hand")
    listed = json.loads(mlops(servers[0], "releases", "--all", "--json"))
    assert [each["key"] for each in listed] == [
        each.key for each in sorted(changes, key=lambda change: (change.time, change.key))
    ]
    assert len(json.loads(mlops(servers[0], "releases", "--json"))) == 61


def ship(settings: Settings) -> subprocess.Popen[bytes]:
    """What a server does with its registry, as it starts it."""
    module = "runtime_lib.serving.releases.sync"
    with (settings.root / "asked").open("w") as file:
        asked = {"settings": to_dict(settings), "parent": os.getpid(), "known": [GOOD, OTHER]}
        json.dump(asked, file)
    with (settings.root / "asked").open() as question:
        return subprocess.Popen([sys.executable, "-m", module], stdin=question, stdout=subprocess.DEVNULL)


SECRET = "known to both"


def test_mlflow_itself_tells_the_server_which_outlives_it(tmp_path: Path, stored: Path) -> None:
    from mlflow import MlflowClient

    port, tracking = free_port(), free_port()
    local = project_with_registry(tmp_path / "project", stored, port=port, follow_seconds=3600)
    text = (local.root / "mlops.toml").read_text()
    address = f"http://127.0.0.1:{tracking}"
    (local.root / "mlops.toml").write_text(text.replace(local.tracking.uri, address))
    settings = load(local.root, environ={})
    with mlflow_server(tmp_path, tracking):
        client = MlflowClient(address, address)
        client.create_webhook(
            name="champion",
            url=f"http://127.0.0.1:{port}/webhooks/mlflow",
            events=["model_version_alias.created", "model_version_alias.deleted"],
            secret=SECRET,
        )
        with serving(settings, MLOPS_WEBHOOK_SECRET=SECRET) as server:
            assert eventually(lambda: shipped(local), 60)
            client.set_registered_model_alias("flights", "champion", OTHER)
            assert eventually(lambda: serves(server, OTHER), 60)  # a look of its own is an hour away
            assert eventually(lambda: shipped(local), 60)
    # The tracking server was killed, and so was ours.
    with serving(settings) as server:
        assert serves(server, OTHER)
        assert eventually(lambda: "The registry: " in problems(server), 60)
        begun = time.monotonic()
        said = mlops(settings, "rollback", "--reason", "worse")
        assert f"Traffic: all to version {GOOD}" in said
        assert "Traffic has moved. The server moves the champion once the registry answers" in said
        assert time.monotonic() - begun < 60
        assert serves(server, GOOD)
        assert alias(local) == OTHER
        with mlflow_server(tmp_path, tracking):
            assert follow(settings)  # as its next look would
            assert eventually(lambda: alias(local) == GOOD and shipped(local), 60)
            assert serves(server, GOOD)


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    """A tracking server that may send to this machine, killed at the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    variables = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "2Z6p2oGz0r3H3QpPaWbm3qO0bWm0bD7h0b0w8l1m1xU=",
    }
    with (folder / "mlflow.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert eventually(lambda: process.poll() is not None or answers(port), 120)
        assert process.poll() is None, (folder / "mlflow.log").read_text()
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
    except OSError:
        return False
    return True
