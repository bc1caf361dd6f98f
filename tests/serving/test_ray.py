"""Real Ray: what a Mac's replay offers to it, what is refused, how a failed start and SIGTERM end.

What only needs a running Ray Serve shares one, at the end of the module: `run` needs the process without.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.engines import ray as ray_app
from runtime_lib.settings import load
from tests.support.projects import free_port
from tests.support.replayed import ReplayedMac
from tests.support.servers import make_project, ray_processes_left

pytestmark = pytest.mark.slow

TERABYTE = str(10**12 / 2**30)  # in GiB

_TASKS = """
import json, time
from runtime_lib.serving.engines import ray as ray_app
import os
os.environ.update(ray_app._ENVIRONMENT)
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
import os, signal, sys, threading
from pathlib import Path
from runtime_lib.errors import MlopsError
from runtime_lib.serving.engines import ray as ray_app
from runtime_lib.settings import load

def ready():
    import ray
    print("ready, left", ray.available_resources().get("apple_gpu", 0), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(60)

try:
    settings = load(Path(sys.argv[1]))
    ray_app.run(settings, Path(sys.argv[2]), name="flights", version="1", on_ready=ready)
    print("ended")
except MlopsError as error:
    print("error:", error)
"""


def run(script: str, *words: str, mac: ReplayedMac | None = None, **variables: str) -> str:
    env = {**os.environ, **variables, **({"MLOPS_HARDWARE_REPLAY": str(mac.folder)} if mac else {})}
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)
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
        watchdog = threading.Timer(180, process.kill)
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


def test_one_task_at_a_time_has_the_gpu_of_a_mac(tmp_path):
    found = json.loads(run(_TASKS, mac=ReplayedMac(tmp_path / "mac")).splitlines()[-1])
    assert found["offered"] == {"apple_gpu": 1.0, "unified_memory": float(int(64 * 2**30 * 0.66))}
    assert (found["free"], found["gpu"]) == (True, False)
    assert (found["memory"], found["half"]) == (False, True)


def test_a_model_on_a_mac_takes_the_gpu_once_the_machine_is_cool_and_ends_with_sigterm(
    tmp_path, model_folder
):
    mac = ReplayedMac(tmp_path / "mac", 2)
    wait = {"MLOPS_HARDWARE__MAX_WAIT": "6"}
    said = serve(tmp_path / "project", model_folder, mac=mac, on_wait=lambda: mac.heat(0), **wait)
    assert "Thermal pressure Heavy, allowed up to Moderate." in said
    assert "ready, left 0" in said, said
    assert "ended" in said
    assert "Traceback" not in said


def test_a_terabyte_on_a_mac_is_refused_with_words_before_serve_starts(tmp_path, model_folder):
    much = {"MLOPS_HARDWARE__SERVING_MEMORY_GIB": TERABYTE}
    said = serve(tmp_path / "a", model_folder, mac=ReplayedMac(tmp_path / "mac"), **much)
    assert "error: The model cannot be served here. The work asks for 931.32 GiB of unified_memory" in said
    assert "hardware.serving_memory_gib" in said


def test_a_port_that_was_taken_meanwhile_is_named_and_ray_ends(tmp_path, model_folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = make_project(tmp_path, port=port)
        with pytest.raises(ServiceError, match=f"did not start: Failed to bind to .*{port}"):
            ray_app.run(settings, model_folder, name="flights", version="1", on_ready=lambda: None)
    assert not ray_processes_left(os.getpid())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Ray Serve as `run` starts it, without a Mac; yields what the machine offers to Ray."""
    settings = make_project(tmp_path_factory.mktemp("shared") / "project", port=free_port())
    with ray_app._ray(settings) as offered:
        ray_app._start_serve(settings)
        yield offered
    assert not ray_processes_left(os.getpid())


def deploy(settings, folder):
    ray_app._deploy(ray_app.application(settings, folder, name="flights", version="1"))


def test_a_model_that_does_not_load_says_why(shared, tmp_path):
    with pytest.raises(ServiceError, match="did not start in Ray Serve: No model at"):
        deploy(make_project(tmp_path), tmp_path / "nowhere")


def test_without_a_macs_amounts_the_replica_itself_refuses_a_terabyte(shared, tmp_path, model_folder):
    make_project(tmp_path)
    much = load(tmp_path, environ={"MLOPS_HARDWARE__SERVING_MEMORY_GIB": TERABYTE})
    words = r"did not start in Ray Serve: This machine refuses the work\..*931\.32 GiB"
    with pytest.raises(ServiceError, match=words):
        deploy(much, model_folder)


def test_without_a_mac_there_is_no_apple_gpu_to_have(shared):
    import ray

    if sys.platform != "linux":
        pytest.skip("this may be a Mac")
    assert shared == {}
    work = ray.remote(lambda: True)
    assert ray.get(work.remote(), timeout=60)
    assert ray.wait([work.options(resources={"apple_gpu": 1}).remote()], timeout=4)[0] == []
