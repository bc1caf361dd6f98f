"""Real Ray: what a Mac's replay offers to it, what is refused, what kills cost, and how a server ends.

What only needs a running server shares one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from runtime_lib.serving import control
from runtime_lib.settings import Settings
from tests.support.depth import examples
from tests.support.front import Load
from tests.support.projects import free_port
from tests.support.replayed import ReplayedMac
from tests.support.servers import (
    ROWS,
    Server,
    eventually,
    expected,
    make_project,
    ray_processes,
    ray_processes_left,
    running,
)

pytestmark = pytest.mark.slow

TERABYTE = str(10**12 / 2**30)  # in GiB
BODY = json.dumps({"inputs": ROWS})
# Seconds for what takes a few on an idle machine: a busy one once needed more than sixty for an import.
PATIENCE = 300

_TASKS = """
import json, time
from runtime_lib.serving.engines.ray import instance
instance._set({**instance._EVERYWHERE, **instance._OWN})
import ray
from runtime_lib.hardware import facts
from runtime_lib.hardware.device.device import device_for
from runtime_lib.hardware.admit.ray import resources
machine = facts()
offered = resources(machine, device_for(machine))
ray.init(address="local", num_cpus=2, resources=offered, include_dashboard=False, logging_level="warning")

@ray.remote
def work():
    started = time.time()
    time.sleep(1)
    return started, time.time()

def together(**options):
    (a, b), (c, d) = sorted(ray.get([work.options(**options).remote() for _ in range(2)]))
    return c < b

ray.get([work.remote() for _ in range(2)])  # the workers are there
found = {"offered": offered, "free": together()}
found["gpu"] = together(resources={"apple_gpu": 1})
found["memory"] = together(resources={"unified_memory": 0.7 * offered["unified_memory"]})
found["half"] = together(resources={"unified_memory": 0.4 * offered["unified_memory"]})
print(json.dumps(found))
ray.shutdown()
"""

_SERVE = """
import asyncio, os, signal, sys, threading, time, urllib.request
from contextlib import suppress
from pathlib import Path
from runtime_lib.errors import MlopsError
from runtime_lib.serving.address import listen, url_of
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.serve import run
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import load

settings = load(Path(sys.argv[1]))
state = State("flights", Policy.all_to("1"), {"1": Held(sys.argv[2], "")}, ("1",))

def end_when_ready():
    with suppress(OSError), urllib.request.urlopen(url_of(settings) + "/ready"):  # until somebody answers
        import ray

        left = ray.available_resources().get("apple_gpu", 0)
        sys.stdout.write(f"ready, left {left}\\n")  # at once: others print too
        os.kill(os.getpid(), signal.SIGTERM)

with listen("127.0.0.1", settings.serving.port) as listener:
    threading.Thread(target=end_when_ready, daemon=True).start()
    try:
        asyncio.run(run(settings, state, listener))
        print("ended")
    except MlopsError as error:
        print("error:", error)
"""


def run(script: str, *words: str, mac: ReplayedMac | None = None, **variables: str) -> str:
    env = {**os.environ, **variables, **({"MLOPS_HARDWARE_REPLAY": str(mac.folder)} if mac else {})}
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def serve(
    root: Path,
    model: Path,
    *,
    mac: ReplayedMac | None = None,
    on_wait: Callable[[], None] | None = None,
    **variables: str,
) -> str:
    """Serve until it is ready or fails, and return all that it says; `on_wait` is called when it waits."""
    make_project(root, port=free_port())
    env = {**os.environ, **variables, **({"MLOPS_HARDWARE_REPLAY": str(mac.folder)} if mac else {})}
    command, said = [sys.executable, "-c", _SERVE, str(root), str(model)], ""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watchdog = threading.Timer(2 * PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if on_wait and "has to wait" in line:
                on_wait, called = None, on_wait
                called()
        watchdog.cancel()
    assert not ray_processes_left(process.pid)
    return said


def test_one_task_at_a_time_has_the_gpu_of_a_mac(tmp_path: Path) -> None:
    found = json.loads(run(_TASKS, mac=ReplayedMac(tmp_path / "mac")).splitlines()[-1])
    assert found["offered"] == {"apple_gpu": 1.0, "unified_memory": float(int(64 * 2**30 * 0.66))}
    assert (found["free"], found["gpu"]) == (True, False)
    assert (found["memory"], found["half"]) == (False, True)


def test_a_model_on_a_mac_takes_the_gpu_once_the_machine_is_cool_and_ends_with_sigterm(
    tmp_path: Path, model_folder: Path
) -> None:
    mac = ReplayedMac(tmp_path / "mac", 2)
    wait = {"MLOPS_HARDWARE__MAX_WAIT": "6"}
    said = serve(tmp_path / "project", model_folder, mac=mac, on_wait=lambda: mac.heat(0), **wait)
    assert "Thermal pressure Heavy, allowed up to Moderate." in said
    assert "ready, left 0" in said, said
    assert "ended" in said
    assert "Traceback" not in said
    assert "SIGTERM" not in said


def test_a_terabyte_on_a_mac_is_refused_with_words_before_serve_starts(
    tmp_path: Path, model_folder: Path
) -> None:
    much = {"MLOPS_HARDWARE__SERVING_MEMORY_GIB": TERABYTE}
    said = serve(tmp_path / "a", model_folder, mac=ReplayedMac(tmp_path / "mac"), **much)
    assert "error: The model cannot be served here. The work asks for 931.32 GiB of unified_memory" in said
    assert "hardware.serving_memory_gib" in said


def test_without_a_macs_amounts_the_replica_itself_refuses_a_terabyte(
    tmp_path: Path, model_folder: Path
) -> None:
    said = serve(tmp_path, model_folder, MLOPS_HARDWARE__SERVING_MEMORY_GIB=TERABYTE)
    assert "error: The model did not start in Ray Serve: This machine refuses the work." in said
    assert "931.32 GiB" in said


def test_a_model_that_does_not_load_says_why(tmp_path: Path) -> None:
    said = serve(tmp_path, tmp_path / "nowhere")
    assert "No model at" in said.split("error:")[1]


# ------------------------------------------------------------------ one server, killed at in every way


class Replicated:
    """A server on Ray, and what its commands say of it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port

    def order(self, do: str, **arguments: object) -> dict[str, object]:
        found = json.loads(self.server.settings.server.read_text())
        return control.ask(Path(found["control"]), do, **arguments)

    def ready(self) -> dict[str, int]:
        """The replicas that answer, and their processes."""
        return {each["name"]: each["pid"] for each in self.order("status")["workers"] if each["ready"]}

    def controllers(self) -> set[int]:
        return {
            each
            for each in ray_processes(self.server.process.pid)
            if "ServeController" in " ".join(psutil.Process(each).cmdline())
        }

    def load(self, rate: float = 100, clients: int = 8) -> Load:
        return Load(self.port, rate=rate, clients=clients, path="/invocations", body=BODY)


@contextmanager
def started(settings: Settings, folder: Path, port: int, **variables: str) -> Iterator[Replicated]:
    """A server that must end well."""
    with running(settings, folder, port, **variables) as server:
        yield Replicated(server, port)
        server.process.terminate()
        # Nobody waits for a server that will not answer: connections are refused long before it has ended.
        assert eventually(lambda: _refused(port), 20)
        assert server.process.poll() is None
        _, errors = server.process.communicate(timeout=PATIENCE)
    assert "SIGTERM" not in errors
    assert not ray_processes_left(server.process.pid)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, model_folder: Path, home: Path) -> Iterator[Replicated]:
    """A server of two replicas."""
    port = free_port()
    settings = make_project(tmp_path_factory.mktemp("ray") / "project", engine="ray", port=port, workers=2)
    with started(settings, model_folder, port, HOME=str(home)) as found:
        assert eventually(lambda: len(found.ready()) == 2, PATIENCE)
        yield found


def test_both_replicas_answer_on_the_servers_own_socket_and_nothing_else_is_open(
    pair: Replicated, model_folder: Path
) -> None:
    status, answer = pair.server.ask("/invocations", {"inputs": ROWS})
    assert (status, answer["predictions"]) == (200, pytest.approx(expected(model_folder), abs=1e-6))
    processes = ray_processes(pair.server.process.pid) | {pair.server.process.pid}
    open_to = {
        (each.laddr.ip.removeprefix("::ffff:"), each.laddr.port)
        for process in processes
        for each in psutil.Process(process).net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    assert {host for host, _ in open_to} == {"127.0.0.1"}
    assert set(pair.ready().values()) <= processes
    for process in pair.ready().values():
        mine = psutil.Process(process).net_connections("tcp")
        assert pair.port in {each.laddr.port for each in mine if each.status == psutil.CONN_LISTEN}
    assert "ProxyActor" not in " ".join(" ".join(psutil.Process(each).cmdline()) for each in processes)


def test_rays_token_is_readable_by_its_user_alone(pair: Replicated, home: Path) -> None:
    token = home / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text()) == 64


def test_a_replica_that_is_killed_is_replaced_and_its_requests_are_answered_when_asked_again(
    pair: Replicated,
) -> None:
    kills, slowest = examples(2, 20), 0.0
    with pair.load() as load:
        for _ in range(kills):
            time.sleep(0.5)
            name, process = next(iter(pair.ready().items()))
            os.kill(process, signal.SIGKILL)
            began = time.monotonic()
            assert eventually(lambda name=name: name not in (now := pair.ready()) and len(now) == 2, PATIENCE)
            slowest = max(slowest, time.monotonic() - began)
    print(f"{kills} kills of replicas: {load.total} requests, {load.outcomes}, {load.again} asked again")
    print(f"replaced within {slowest:.1f} s")
    assert load.failed[True] == 0
    assert load.failed[False] <= 8 * kills  # one on each connection
    problems = pair.order("status")["problems"]
    assert any("Another one took its place" in each for each in problems), problems


def test_while_serves_controller_is_away_requests_are_answered_and_traffic_changes(pair: Replicated) -> None:
    kills = examples(2, 20)
    before = pair.ready()
    with pair.load() as load:
        for kill in range(kills):
            time.sleep(0.5)
            killed = pair.controllers()
            for process in killed:
                os.kill(process, signal.SIGKILL)
            held = {"folder": str(_folder(pair)), "digest": ""}
            change = {"version": str(100 + kill), "held": held, "how": "at once"}
            why = {"by": "hand", "who": "test", "reason": "test"}
            pair.order("deploy", seconds=PATIENCE, **change, **why)
            assert pair.server.ask("/invocations", {"inputs": ROWS})[1]["version"] == str(100 + kill)
            pair.order("roll back", **why)
            assert pair.server.ask("/invocations", {"inputs": ROWS})[1]["version"] == "7"
            assert eventually(lambda killed=killed: bool(pair.controllers() - killed), PATIENCE)
        # The new one has looked after them for a while.
        time.sleep(3)
    print(f"{kills} kills of the controller: {load.total} requests, {load.outcomes}")
    assert load.failed == {True: 0, False: 0}
    assert pair.ready() == before


def test_replicas_are_renewed_one_by_one_and_nobody_notices(pair: Replicated) -> None:
    before = pair.ready()
    with pair.load() as load:
        pair.order("renew", seconds=PATIENCE * 2)
        after = pair.ready()
    assert len(after) == 2
    assert not set(before) & set(after)
    print(f"two replicas renewed: {load.total} requests, {load.outcomes}, slowest {load.slowest:.2f} s")
    assert load.failed == {True: 0, False: 0}


def _folder(pair: Replicated) -> Path:
    """Of the model that is served."""
    line = pair.server.settings.releases
    if line.exists():
        return Path(json.loads(line.read_text().splitlines()[-1])["state"]["models"]["7"]["folder"])
    return Path(pair.server.process.args[4])


# ------------------------------------------------------------------ load, and the end


def test_three_replicas_follow_load_and_all_end_with_a_supervisor_that_is_killed(
    tmp_path: Path, model_folder: Path
) -> None:
    port = free_port()
    settings = make_project(tmp_path, engine="ray", port=port, workers=1, max_workers=3, max_rows=100_000)
    body = json.dumps({"inputs": {name: values * 300 for name, values in ROWS.items()}})
    with running(settings, model_folder, port) as server:
        found = Replicated(server, port)
        with Load(port, rate=2000, clients=32, path="/invocations", body=body) as load:
            began = time.monotonic()
            assert eventually(lambda: len(found.ready()) == 3, PATIENCE)
            print(f"1 to 3 replicas in {time.monotonic() - began:.1f} s, {load.total} requests")
        assert load.failed == {True: 0, False: 0}
        if examples(0, 1):
            with found.load() as load:
                assert eventually(lambda: len(found.ready()) == 1, PATIENCE)
            assert load.failed == {True: 0, False: 0}  # who leaves takes nobody along
            assert found.order("status")["problems"] == []
        processes = ray_processes(server.process.pid)
        server.process.kill()
        assert eventually(lambda: _refused(port), PATIENCE)
        assert eventually(lambda: not _working(processes), PATIENCE)


def _working(processes: set[int]) -> set[int]:
    """Those left that are not Ray's agents: these look for the rest of Ray for a minute before they end."""
    left = set()
    for process in processes:
        with suppress(psutil.Error):
            found = psutil.Process(process)
            if found.status() != psutil.STATUS_ZOMBIE and not found.cmdline()[0].endswith("Agent"):
                left.add(process)
    return left


def _refused(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("victim", "words"),
    [("raylet/raylet", "no replica is left"), ("gcs/gcs_server", "Ray's control store at")],
    ids=["raylet", "gcs"],
)
def test_a_server_whose_ray_is_killed_ends_and_says_so(
    tmp_path: Path, model_folder: Path, victim: str, words: str
) -> None:
    if not examples(0, 1):
        pytest.skip("in the deep run")
    port = free_port()
    settings = make_project(tmp_path, engine="ray", port=port)
    with running(settings, model_folder, port) as server:
        for process in ray_processes(server.process.pid):
            if victim in psutil.Process(process).cmdline()[0]:
                os.kill(process, signal.SIGKILL)
        said, errors = server.process.communicate(timeout=PATIENCE)
    assert words in said.split("error:")[1], errors
    assert not ray_processes_left(server.process.pid, PATIENCE)


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, model_folder: Path) -> None:
    port = free_port()
    said = serve(tmp_path, model_folder, MLOPS_SERVING__RAY_ADDRESS=f"127.0.0.1:{port}")
    assert f"error: The Ray cluster at 127.0.0.1:{port} (serving.ray_address) cannot be used" in said
    assert "refused" in said


def test_without_ray_the_extra_to_install_is_named(tmp_path: Path, model_folder: Path) -> None:
    """A folder in front of the packages, with a `ray` that is not there to import."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "ray.py").write_text(
        "raise ModuleNotFoundError('No module named ray', name='ray')"
    )
    hidden = f"{tmp_path / 'hidden'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    said = serve(tmp_path / "project", model_folder, PYTHONPATH=hidden)
    assert "error: 'ray' is not installed. It comes with the extra 'serve'" in said
