"""A Ray cluster of three nodes, simulated here: HAProxy in front, a node lost, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving import control
from runtime_lib.serving.engines.ray.nodes import front_for
from runtime_lib.serving.front.haproxy import find
from runtime_lib.settings.tables import Serving
from tests.support.depth import examples
from tests.support.front import Load
from tests.support.projects import free_port
from tests.support.servers import ROWS, eventually, expected, make_project, running

# So that Ray's ports are on 127.0.0.1, and this machine's nodes share it.
HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
BODY = json.dumps({"inputs": ROWS})
PATIENCE = 300

# A process of its own: a test of this run may have a Ray of its own.
_CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args=node)
others = [cluster.add_node(**node) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    others.pop(0).kill_raylet() if line == "kill\\n" else others.append(cluster.add_node(**node))
    print("done", flush=True)
cluster.shutdown()
"""


class Cluster:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process, self._said = process, process.stdout
        self.address = self._said.readline().strip()

    def kill_node(self) -> None:
        """Kill one that the server's supervisor is not on."""
        self._do("kill")

    def add_node(self) -> None:
        self._do("add")

    def _do(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert "done" in self._said.readline()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in HERE.items():
            patch.setenv(name, value)
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, "-c", _CLUSTER], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                yield Cluster(process)
                process.communicate(timeout=60)
            finally:
                process.kill()


def replicas() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any("ServeReplica:mlops-clustered-" in word for word in process.cmdline()):
                found.append(process)
    return found


def workers(server: Any) -> set[str]:
    where = Path(json.loads(server.settings.server.read_text())["control"])
    return {each["name"] for each in control.ask(where, "status")["workers"] if each["ready"]}


def project(root: Path, port: int, cluster: Cluster) -> Any:
    settings = make_project(
        root, engine="ray", port=port, framework="torch", workers=3, ray_address=cluster.address
    )
    config = root / "mlops.toml"
    config.write_text(config.read_text().replace('name = "flights"', 'name = "clustered"'))
    return settings


def test_several_nodes_without_haproxy_are_refused_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise ServiceError("HAProxy is not installed.")

    monkeypatch.setattr("runtime_lib.serving.engines.ray.nodes.find", nowhere)
    assert front_for(Serving(), 1) is None
    there = "10.0.0.5:6379"
    assert front_for(Serving(ray_address=there), 1) is None
    with pytest.raises(ServiceError, match=f"{there} has 3 nodes, .* HAProxy is not installed\\."):
        front_for(Serving(ray_address=there), 3)
    with pytest.raises(ServiceError, match=r"serving\.front is 'none'"):
        front_for(Serving(ray_address=there, front="none"), 3)
    with pytest.raises(ServiceError, match=r"^HAProxy is not installed\.$"):
        front_for(Serving(front="haproxy"), 1)


@pytest.mark.slow
def test_a_cluster_of_another_version_is_named(cluster: Cluster, tmp_path: Path, model_folder: Path) -> None:
    settings = project(tmp_path, free_port(), cluster)
    (tmp_path / "sitecustomize.py").write_text("import ray\nray.__version__ = '2.1.0'\n")
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with (
        pytest.raises(
            AssertionError, match=f"{cluster.address} .* cannot be used: Version mismatch"
        ) as found,
        running(settings, model_folder, settings.serving.port, PYTHONPATH=paths),
    ):
        pass
    assert "2.1.0" in str(found.value)


@pytest.mark.slow
def test_a_lost_node_fails_no_request_that_may_be_asked_again_and_nothing_outlives_the_supervisor(
    cluster: Cluster, tmp_path: Path, model_folder: Path
) -> None:
    try:
        find()
    except ServiceError as error:
        pytest.skip(str(error))
    port = free_port()
    settings = project(tmp_path, port, cluster)
    with running(settings, model_folder, port) as server:
        assert eventually(lambda: len(workers(server)) == 3, PATIENCE)
        assert len({_node(process) for process in replicas()}) == 3
        status, answer = server.ask("/invocations", {"inputs": ROWS})
        assert (status, answer["predictions"]) == (200, pytest.approx(expected(model_folder), abs=1e-6))
        kills, took = examples(1, 20), []
        with Load(port, rate=examples(80, 400), clients=8, path="/invocations", body=BODY) as load:
            for kill in range(kills):
                time.sleep(1)
                cluster.kill_node()
                assert eventually(lambda: len(workers(server)) == 2, PATIENCE)
                if kill < kills - 1:
                    cluster.add_node()
                    added = time.monotonic()
                    assert eventually(lambda: len(workers(server)) == 3, PATIENCE)
                    took.append(time.monotonic() - added)
            time.sleep(2)
        print(
            f"{kills} nodes of three killed: {load.total} requests, {load.outcomes}, {load.again} asked again"
        )
        print(f"seconds from a new node to its replica's answers: {[round(each, 1) for each in took]}")
        assert load.failed[True] == 0
        assert load.failed[False] <= 8 * kills
        assert len(replicas()) == 2
        server.process.kill()
        assert eventually(lambda: not replicas(), PATIENCE)


def _node(replica: psutil.Process) -> int:
    """The process of the raylet that has started it."""
    return replica.ppid()
