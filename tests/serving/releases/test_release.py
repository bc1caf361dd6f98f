"""Releases while clients ask at a steady rate: none of them fails, and none is answered by what was left."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from runtime_lib.errors import DataError, ModelError, ServiceError
from runtime_lib.serving.front.haproxy import find
from runtime_lib.serving.log import read_predictions
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.settings import Settings
from tests.support.depth import DEEP
from tests.support.projects import free_port
from tests.support.servers import (
    COLUMNS,
    ROWS,
    Server,
    eventually,
    make_model,
    make_project,
    running,
)
from tests.support.traffic import Clients, order

RATE = 400 if DEEP else 150


def _has_haproxy() -> bool:
    try:
        find()
    except ServiceError:
        return False
    return True


FRONTS = ["none", pytest.param("haproxy", marks=pytest.mark.skipif(not _has_haproxy(), reason="no HAProxy"))]


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("other") / "candidate", seed=4)


def project(root: Path, *, front: str = "none", workers: int = 1, canary: str = "") -> Settings:
    from runtime_lib.settings import load

    make_project(root, framework="auto", engine="local", front=front, workers=workers)
    with (root / "mlops.toml").open("a") as file:
        file.write(f"[serving.canary]\n{canary}\n")
    return load(root, environ={})


@pytest.fixture
def server(request: Any, tmp_path: Path, model_folder: Path) -> Iterator[Server]:
    """With two workers, alone or behind HAProxy."""
    port = free_port()
    with running(project(tmp_path, front=request.param, workers=2), model_folder, port) as server:
        yield server


def deploy(server: Server, version: str, folder: Path, how: str = "at once") -> Any:
    return order(server, "deploy", version=version, held={"folder": str(folder), "digest": ""}, how=how)


@pytest.mark.parametrize("server", FRONTS, indirect=True)
def test_a_version_comes_and_goes_back_without_a_failed_request(server: Server, other_model: Path) -> None:
    took = []
    with Clients(server, rate=RATE) as clients:
        clients.wait_for(50)
        deploy(server, "8", other_model)
        since = time.monotonic()
        clients.wait_for(50)
        assert set(clients.versions(since)) == {"8"}
        for _ in range(20 if DEEP else 3):
            begun = time.monotonic()
            order(server, "roll back")
            back = time.monotonic()
            took.append(back - begun)
            clients.wait_for(50)
            assert set(clients.versions(back)) == {"7"}
            deploy(server, "8", other_model)
            clients.wait_for(20)
    assert not clients.failures
    assert min(took) < 0.5, took
    assert sum(clients.versions().values()) == len(clients.asked)


@pytest.mark.parametrize("server", FRONTS, indirect=True)
def test_shares_are_the_weights_and_each_key_stays_on_one_side(server: Server, other_model: Path) -> None:
    deploy(server, "8", other_model, "stage")
    order(server, "traffic", weights={"8": 300, "7": 700})
    with Clients(server, rate=2000, keys=500) as clients:
        clients.wait_for(20_000 if DEEP else 2_000)
    sides: dict[str, set[str]] = {}
    for each in clients.asked:
        sides.setdefault(each.key, set()).add(each.version)
    assert {len(side) for side in sides.values()} == {1}
    share = sum(side == {"8"} for side in sides.values()) / len(sides)
    assert share == pytest.approx(0.3, abs=0.06)  # of 500 keys
    with Clients(server, rate=2000) as clients:
        clients.wait_for(20_000 if DEEP else 2_000)
    found = clients.versions()
    assert found["8"] / sum(found.values()) == pytest.approx(0.3, abs=0.01)
    assert not clients.failures
    answer = server.ask("/invocations", {"inputs": ROWS})[1]
    by_name = {version: _ask_by_name(server, version) for version in ("7", "8")}
    assert by_name["7"] != by_name["8"]
    assert answer["predictions"] == by_name[answer["version"]]


def _works(process: psutil.Process) -> bool:
    return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE


def _ask_by_name(server: Server, version: str) -> list[float]:
    import urllib.request

    headers = {"Content-Type": "application/json", "X-Mlops-Version": version}
    request = urllib.request.Request(
        server.url + "/invocations", json.dumps({"inputs": ROWS}).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.headers["X-Mlops-Version"] == version
        found: list[float] = json.loads(reply.read())["predictions"]
    return found


@pytest.mark.parametrize("server", FRONTS, indirect=True)
def test_workers_are_renewed_and_killed_under_load(server: Server) -> None:
    def workers() -> set[int]:
        return {each["pid"] for each in server.ask("/status")[1]["workers"] if each["ready"]}

    first = workers()
    with Clients(server, rate=RATE, retry=True) as clients:
        clients.wait_for(50)
        order(server, "renew")
        clients.wait_for(100)
        assert eventually(lambda: not (first & workers()) and len(workers()) == 2, 15)
        assert not clients.failures
        for _ in range(20 if DEEP else 2):
            victim = min(workers())
            os.kill(victim, signal.SIGKILL)
            begun = time.monotonic()
            assert eventually(lambda gone=victim: gone not in workers() and len(workers()) == 2, 15)
            assert time.monotonic() - begun < 6
            clients.wait_for(50)
    assert not clients.failures
    assert server.ask("/status")[1]["workers"][0]["restarts"] >= 2


@pytest.mark.parametrize("server", FRONTS, indirect=True)
def test_the_end_under_load_keeps_nobody_waiting_and_answers_what_it_has_taken(server: Server) -> None:
    rows = {name: values * 500 for name, values in ROWS.items()}  # so that something is always under way
    idle = http.client.HTTPConnection(server.url.removeprefix("http://"))
    idle.request("GET", "/health")
    idle.getresponse().read()  # kept open: the workers wait for it
    with Clients(server, rate=RATE, body=json.dumps({"inputs": rows}).encode()) as clients:
        clients.wait_for(50)
        server.process.terminate()
        begun = time.monotonic()
        server.process.wait(30)
        assert time.monotonic() - begun < 12  # 5 s of them for the idle connection
        clients.wait_for(16)  # these come to nobody
    # No client lost a request on its connection: each was told to leave, and finds nobody when it is back.
    assert not [each.failure for each in clients.asked if each.kept and each.failure]
    assert sum(each.last for each in clients.asked) >= 8
    # Without HAProxy each worker closes a queue of its own, a moment apart on a machine that is busy.
    apart = {"ConnectionResetError"} if server.settings.serving.front == "none" else set()
    assert {"ConnectionRefusedError"} <= set(clients.failures) <= {"ConnectionRefusedError"} | apart
    assert max(each.answered - each.sent for each in clients.asked) < (1 if DEEP else 3)
    answered = sum(clients.versions().values())
    assert answered >= 50
    assert len(read_predictions(server.settings.predictions)) == answered * len(rows["hour"])


def test_a_canary_that_is_no_worse_goes_up_to_all_of_the_traffic(
    tmp_path: Path, model_folder: Path, other_model: Path
) -> None:
    quick = "least_seconds = 1\nmin_requests = 30\nerror_margin = 0.2\nlatency_margin = 9.0\n"
    steps = "steps = [1, 10, 50, 100]\n" if DEEP else "steps = [10, 50, 100]\n"
    settings = project(tmp_path, canary=quick + steps)
    with (
        running(settings, model_folder, free_port()) as server,
        Clients(server, rate=400, clients=12) as clients,
    ):
        deploy(server, "8", other_model, "canary")
        weights: list[int] = []

        def arrived() -> bool:
            status = server.ask("/status")[1]
            weight = status["traffic"]["weights"]["8"]
            weights.extend([weight] if weight not in weights else [])
            return bool(weight == 1000 and status["release"] is None)

        assert eventually(arrived, 180), server.ask("/status")[1]["release"]
        since = time.monotonic()
        clients.wait_for(100)
        assert set(clients.versions(since)) == {"8"}
    assert not clients.failures
    assert weights == ([10] if DEEP else []) + [100, 500, 1000]
    changes = Journal(settings.releases).changes()
    moves = ["moved on"] * (2 if DEEP else 1)
    assert [change.action for change in changes] == ["began a canary", *moves, "released"]
    assert changes[-1].by == "canary"
    assert "not worse by" in changes[-1].reason
    assert changes[-1].figures["8"]["requests"] >= 30
    assert changes[-1].state.settled == ("7", "8")


@pytest.mark.parametrize("server", ["none"], indirect=True)
def test_a_worker_that_hangs_stops_no_way_back_and_is_replaced(server: Server, other_model: Path) -> None:
    deploy(server, "8", other_model)
    hung = psutil.Process(server.ask("/status")[1]["workers"][0]["pid"])
    hung.suspend()
    begun = time.monotonic()
    order(server, "roll back")
    assert time.monotonic() - begun < 6
    with Clients(server, rate=RATE) as clients:
        clients.wait_for(50)
    assert not clients.failures
    assert set(clients.versions()) == {"7"}
    assert eventually(lambda: not _works(hung), 10)
    status = server.ask("/status")[1]
    assert any("did not take the new traffic" in problem for problem in status["problems"])


def test_a_version_that_cannot_be_served_gets_no_traffic_and_the_message_says_why(
    tmp_path: Path, model_folder: Path, other_model: Path
) -> None:
    columns = (COLUMNS[0], COLUMNS[2])
    narrow = make_model(tmp_path / "narrow" / "candidate", columns=columns)
    damaged = make_model(tmp_path / "damaged" / "candidate")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    port = free_port()
    with running(project(tmp_path / "project"), model_folder, port) as server, Clients(server) as clients:
        for how in ("at once", "stage", "shadow", "canary"):
            with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
                deploy(server, "8", damaged, how)
            with pytest.raises(DataError, match="Version 8 does not take 'wind', which callers of version 7"):
                deploy(server, "8", narrow, how)
        with pytest.raises(ModelError, match="No model at"):
            deploy(server, "8", tmp_path / "nowhere")
        with pytest.raises(DataError, match="Version 9 is not loaded"):
            order(server, "traffic", weights={"9": 500, "7": 500})
        status = server.ask("/status")[1]
        assert (status["traffic"]["weights"], status["revision"]) == ({"7": 1000}, 0)
    assert not clients.failures
    assert set(clients.versions()) == {"7"}


def test_a_shadow_is_compared_and_never_felt_even_if_it_is_stopped_or_killed(
    tmp_path: Path, model_folder: Path, other_model: Path
) -> None:
    settings = project(tmp_path)
    with running(settings, model_folder, free_port()) as server, Clients(server, rate=RATE) as clients:

        def shadow() -> dict[str, Any]:
            found: dict[str, Any] = server.ask("/status")[1]["shadow"][0]
            return found

        def process() -> psutil.Process:
            names = {each["name"]: each["pid"] for each in server.ask("/status")[1]["workers"]}
            return psutil.Process(next(pid for name, pid in names.items() if name.startswith("shadow")))

        deploy(server, "8", other_model, "shadow")
        assert eventually(lambda: shadow()["compared"] > 100, 20)
        assert shadow()["mean_difference"] > 0.001
        process().suspend()  # it answers nothing at all, and what is sent to it waits
        clients.wait_for(300)
        process().kill()
        clients.wait_for(100)
        assert eventually(lambda: shadow()["compared"] > 100, 20)
        order(server, "traffic", unshadow=["8"])
        since = time.monotonic()
        clients.wait_for(100)
    assert not clients.failures
    assert set(clients.versions()) == {"7"}
    slowest = sorted(each.answered - each.sent for each in clients.asked if each.sent < since)
    assert slowest[len(slowest) // 2] < 0.1
    logged = read_predictions(settings.predictions, role="shadow")
    assert len(logged) > 200
    primary = read_predictions(settings.predictions).set_index("id")
    assert set(logged["id"]) <= set(primary.index)
    both = logged.set_index("id")["mlops.answer.probability"]
    assert not np.allclose(both, primary.loc[both.index, "mlops.answer.probability"])


def test_a_server_that_was_killed_goes_on_with_the_traffic_it_had(
    tmp_path: Path, model_folder: Path, other_model: Path
) -> None:
    settings, port = project(tmp_path), free_port()
    with running(settings, model_folder, port) as server:
        deploy(server, "8", other_model, "stage")
        order(server, "traffic", weights={"8": 250, "7": 750})
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        # A container's first process may leave the ended ones as zombies.
        assert eventually(lambda: not any(map(_works, children)), 15)
    with running(settings, model_folder, port) as server:
        status = server.ask("/status")[1]
        assert status["traffic"]["weights"] == {"8": 250, "7": 750}
        assert [each["action"] for each in status["history"]] == ["traffic", "staged"]
    assert [change.action for change in Journal(settings.releases).changes()] == ["staged", "traffic"]
