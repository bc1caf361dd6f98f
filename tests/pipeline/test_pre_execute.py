"""The gate in front of a task, in real Airflow: it waits, starts, gives up and refuses as the machine is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.projects import airflow_home
from tests.support.replayed import ReplayedMac

pytest.importorskip("airflow.sdk")
from airflow.sdk.exceptions import AirflowRescheduleException

from runtime_lib.pipeline.pre_execute import gate
from runtime_lib.settings import Hardware

pytestmark = pytest.mark.slow

_DAG = """
import os
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.settings import Hardware
from runtime_lib.pipeline.pre_execute import gate

start = gate(eval(os.environ.get("POLICY", "Hardware()")), eval(os.environ.get("DEMAND", "None")))

def before(context):
    if left := os.environ.get("LEFT"):
        context["task_state_store"].set("mlops_hardware_gate", left)
    start(context)

with DAG("gated") as dag:
    BashOperator(
        task_id="work",
        bash_command="echo ran with ${MLOPS_HARDWARE__MEMORY_GIB:-all} >> ran.txt",
        cwd=os.environ.get("PROJECT"),
        append_env=True,
        retries=2,
        retry_delay=0,
        pre_execute=before,
    )
"""
# Imports Airflow once; each run of the DAG is a process of its own that starts from there. What the first
# one had to import besides, the others find here.
_SERVER = """
import contextlib, importlib, json, os, runpy, sys, traceback
import airflow.api_fastapi.execution_api.app, airflow.sdk.definitions.dag
import airflow.sdk.execution_time.supervisor, airflow.sdk.execution_time.task_runner
path = os.environ["AIRFLOW__CORE__DAGS_FOLDER"] + "/gated.py"
runpy.run_path(path)
for line in sys.stdin:
    variables, said = json.loads(line)
    if child := os.fork():
        os.waitpid(child, 0)
        for name in open(said + ".imported").read().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        continue
    known = set(sys.modules)
    os.environ.update(variables)
    out = os.open(said, os.O_WRONLY)
    os.dup2(out, 1), os.dup2(out, 2)
    try:
        print("state", runpy.run_path(path)["dag"].test().state, flush=True)
    except BaseException:
        traceback.print_exc()
    open(said + ".imported", "w").write(" ".join(set(sys.modules) - known))
    os._exit(0)
"""


@dataclass
class Airflow:
    server: subprocess.Popen[str]
    project: Path
    env: dict[str, str]

    def mac(self, level: int) -> ReplayedMac:
        mac = ReplayedMac(self.project / "machine", level)
        self.env["MLOPS_HARDWARE_REPLAY"] = str(mac.folder)
        return mac

    def test(
        self,
        policy: str = "Hardware()",
        demand: str = "None",
        *,
        left: str = "",
        on_wait: Callable[[], None] | None = None,
    ) -> str:
        """Run the DAG; `on_wait` is called when the task has been put off for the first time.

        Args:
            left: what an earlier look remembered.
        """
        env = {**self.env, "PROJECT": str(self.project), "POLICY": policy, "DEMAND": demand, "LEFT": left}
        pipe, said = self.project / "said", ""
        os.mkfifo(pipe)
        assert self.server.stdin is not None
        print(json.dumps([env, str(pipe)]), file=self.server.stdin, flush=True)
        watchdog = threading.Timer(120, self.server.kill)
        watchdog.start()
        with pipe.open() as lines:
            for line in lines:
                said += line
                if on_wait and "UP_FOR_RESCHEDULE" in line:
                    on_wait, called = None, on_wait
                    called()
        watchdog.cancel()
        return said

    @property
    def ran(self) -> str:
        path = self.project / "ran.txt"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    folder = tmp_path_factory.mktemp("airflow") / "home"
    shutil.copytree(airflow_home(tmp_path_factory), folder)
    (folder / "dags").mkdir()
    (folder / "dags" / "gated.py").write_text(_DAG)
    command = [sys.executable, "-u", "-c", _SERVER]
    with subprocess.Popen(command, env=_env(folder), stdin=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _env(home: Path) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("MLOPS_HARDWARE")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }


@pytest.fixture
def airflow(server: subprocess.Popen[str], tmp_path: Path) -> Airflow:
    return Airflow(server, tmp_path, {})


def test_on_this_machine_the_task_runs(airflow):
    said = airflow.test()
    assert "state success" in said, said
    assert "Hardware: run." in said
    assert airflow.ran == "ran with all\n"


def test_a_hot_machine_waits_without_running_and_starts_once_it_is_cool(airflow):
    mac = airflow.mac(3)

    def cool() -> None:
        assert airflow.ran == ""
        mac.heat(0)

    said = airflow.test("Hardware(max_wait=6)", on_wait=cool)
    assert "Thermal pressure Trapping, allowed up to Moderate." in said
    assert "state success" in said, said
    assert "Thermal pressure Nominal, allowed up to Nominal." in said
    assert airflow.ran == "ran with all\n"


def test_after_a_wait_the_next_look_remembers_what_for(airflow):
    mac = airflow.mac(2)
    # Moderate is cool enough to begin with, and too hot to start again.
    said = airflow.test("Hardware(max_wait=6)", on_wait=lambda: mac.heat(1))
    assert "Thermal pressure Moderate, allowed up to Nominal, to start again after a wait." in said
    assert "state failed" in said, said
    assert airflow.ran == ""


def test_it_gives_up_after_max_wait_and_says_why(airflow):
    airflow.mac(2)
    said = airflow.test("Hardware(max_wait=3)")
    assert "state failed" in said, said
    assert "was not fit for this task for 3 s (hardware.max_wait)" in said
    assert "Thermal pressure Heavy, allowed up to Moderate." in said
    assert airflow.ran == ""


@pytest.mark.parametrize("mac", [False, True])
def test_a_demand_of_a_terabyte_fails_without_a_retry(airflow, mac):
    if mac:
        airflow.mac(0)
    said = airflow.test("Hardware(unknown='run')", "Demand(memory_bytes=1000 * 10**9)")
    assert "state failed" in said, said
    assert "The work needs 931.32 GiB, and this machine can give" in said
    assert said.count("Hardware: refuse.") == 1
    assert airflow.ran == ""


def test_a_demand_that_shrinks_is_told_its_amount(airflow):
    airflow.mac(0)
    said = airflow.test(demand="Demand(memory_bytes=32 * 2**30, least_memory_bytes=2**30)")
    assert "state success" in said, said
    assert airflow.ran == "ran with 16.0\n"


class Store(dict[str, Any]):
    """Stands in for Airflow's task state store."""

    set = dict.__setitem__
    delete = dict.__delitem__


_LEFT = {
    "since": "2026-01-02T03:04:05Z",
    "attempt": 1,
    "decision": {"action": "wait", "seconds": 30, "waiting_for": ["thermal"]},
}


@pytest.mark.parametrize(
    "left",
    [
        "",
        json.dumps(_LEFT)[:-9],
        json.dumps({**_LEFT, "decision": "wait"}),
        json.dumps({**_LEFT, "decision": {"action": "hold"}}),
        # Without a zone there is no telling how long it has waited.
        json.dumps({**_LEFT, "since": "2026-01-02T03:04:05"}),
        _LEFT,
        "\ud800",
    ],
    ids=["empty", "cut", "older", "unknown action", "no zone", "not text", "no character"],
)
def test_what_cannot_be_read_counts_as_nothing_remembered(left, tmp_path, monkeypatch, caplog):
    mac = ReplayedMac(tmp_path / "machine", 1)
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac.folder))
    store = Store(mlops_hardware_gate=left)
    context = {"task_state_store": store, "ti": SimpleNamespace(try_number=1), "task": None}
    gate(Hardware())(context)  # after a wait for heat, Moderate would be too hot
    assert "cannot be read, so the wait starts again" in caplog.text
    mac.heat(2)
    with pytest.raises(AirflowRescheduleException):
        gate(Hardware())(context)
    assert json.loads(store["mlops_hardware_gate"])["decision"]["waiting_for"] == ["thermal"]


def test_what_can_be_read_counts(tmp_path, monkeypatch):
    mac = ReplayedMac(tmp_path / "machine", 1)
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac.folder))
    left = {**_LEFT, "since": datetime.now(UTC).isoformat()}
    store = Store(mlops_hardware_gate=json.dumps(left))
    context = {"task_state_store": store, "ti": SimpleNamespace(try_number=1), "task": None}
    with pytest.raises(AirflowRescheduleException):
        gate(Hardware())(context)


def test_in_airflow_too_a_damaged_memory_fails_no_task(airflow):
    said = airflow.test(left="{")
    assert "cannot be read, so the wait starts again" in said
    assert "state success" in said, said
    assert airflow.ran == "ran with all\n"
