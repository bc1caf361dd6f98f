"""The gate in front of a task, in real Airflow: it waits, starts, gives up and refuses as the machine is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hardware.replayed import ReplayedMac

pytest.importorskip("airflow.sdk")
pytestmark = pytest.mark.slow

_DAG = """
import os
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from runtime_lib.hardware.schedule import Demand, Policy
from runtime_lib.pipeline.gate import gate

with DAG("gated") as dag:
    BashOperator(
        task_id="work",
        bash_command="echo ran with ${MLOPS_HARDWARE__MEMORY_GIB:-all} >> ran.txt",
        cwd=os.environ.get("PROJECT"),
        append_env=True,
        retries=2,
        retry_delay=0,
        pre_execute=gate(eval(os.environ.get("POLICY", "Policy()")), eval(os.environ.get("DEMAND", "None"))),
    )
"""
_TEST = """
import os, runpy
print("state", runpy.run_path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"] + "/gated.py")["dag"].test().state)
"""


@dataclass
class Airflow:
    home: Path
    project: Path
    env: dict[str, str]

    def mac(self, level: int) -> ReplayedMac:
        mac = ReplayedMac(self.project / "machine", level)
        self.env["MLOPS_HARDWARE_REPLAY"] = str(mac.folder)
        return mac

    def test(
        self, policy: str = "Policy()", demand: str = "None", *, on_wait: Callable[[], None] | None = None
    ) -> str:
        """Run the DAG; `on_wait` is called when the task has been put off for the first time."""
        env = {**self.env, "PROJECT": str(self.project), "POLICY": policy, "DEMAND": demand}
        command, said = [sys.executable, "-u", "-c", _TEST], ""
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            watchdog = threading.Timer(120, process.kill)
            watchdog.start()
            assert process.stdout is not None
            for line in process.stdout:
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
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    (folder / "dags" / "gated.py").write_text(_DAG)
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=_env(folder), check=True, capture_output=True
    )
    return folder


def _env(home: Path) -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("MLOPS_HARDWARE")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }


@pytest.fixture
def airflow(home: Path, tmp_path: Path) -> Airflow:
    return Airflow(home, tmp_path, _env(home))


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

    said = airflow.test("Policy(max_wait=6)", on_wait=cool)
    assert "Thermal pressure Trapping, allowed up to Moderate." in said
    assert "state success" in said, said
    assert "Thermal pressure Nominal, allowed up to Nominal." in said
    assert airflow.ran == "ran with all\n"


def test_after_a_wait_the_next_look_remembers_what_for(airflow):
    mac = airflow.mac(2)
    # Moderate is cool enough to begin with, and too hot to start again.
    said = airflow.test("Policy(max_wait=6)", on_wait=lambda: mac.heat(1))
    assert "Thermal pressure Moderate, allowed up to Nominal, to start again after a wait." in said
    assert "state failed" in said, said
    assert airflow.ran == ""


def test_it_gives_up_after_max_wait_and_says_why(airflow):
    airflow.mac(2)
    said = airflow.test("Policy(max_wait=3)")
    assert "state failed" in said, said
    assert "was not fit for this task for 3 s (hardware.max_wait)" in said
    assert "Thermal pressure Heavy, allowed up to Moderate." in said
    assert airflow.ran == ""


@pytest.mark.parametrize("mac", [False, True])
def test_a_demand_of_a_terabyte_fails_without_a_retry(airflow, mac):
    if mac:
        airflow.mac(0)
    said = airflow.test("Policy(unknown='run')", "Demand(memory_bytes=1000 * 10**9)")
    assert "state failed" in said, said
    assert "The work needs 931.32 GiB, and this machine can give" in said
    assert said.count("Hardware: refuse.") == 1
    assert airflow.ran == ""


def test_a_demand_that_shrinks_is_told_its_amount(airflow):
    airflow.mac(0)
    said = airflow.test(demand="Demand(memory_bytes=32 * 2**30, least_memory_bytes=2**30)")
    assert "state success" in said, said
    assert airflow.ran == "ran with 16.0\n"
