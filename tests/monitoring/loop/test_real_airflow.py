"""A drop that asks real Airflow: the pipeline's DAG starts by the event, and keeps its own schedule."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.monitoring.loop.airflow import asset_of
from tests.pipeline.test_airflow_here import Running
from tests.support.depth import DEEP
from tests.support.mlops_serve import MLOPS
from tests.support.projects import airflow_home
from tests.support.readings import answer, first_version, make, monitor
from tests.support.servers import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEEP, reason="real Airflow; test_airflow.py has its answers: nox -s deep"),
]
DAG = "readings_pipeline"
TODAY = "2025-08-02"


@pytest.fixture(scope="module")
def project(render: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The champion has answered July; its DAGs are there."""
    root = make(render, with_orchestration=True)
    first_version(root, today="2025-05-02")
    answer(root, "2025-07")
    shutil.copytree(airflow_home(tmp_path_factory), root / "var" / "airflow")
    return root


@pytest.fixture(scope="module")
def running(project: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "5")  # seconds until a file is missed
        started = Running(project)
    with started:
        yield started


class Api:
    def __init__(self, running: Running) -> None:
        said = running.said
        self.ask = running.ask
        self.token = running.ask("/auth/token", username=said["user"], password=said["password"])[
            "access_token"
        ]

    def get(self, path: str) -> dict[str, Any]:
        return self.ask(f"/api/v2/{path}", self.token)

    def runs(self) -> list[dict[str, Any]]:
        return list(self.get(f"dags/{DAG}/dagRuns")["dag_runs"])


@pytest.fixture
def api(running: Running) -> Api:
    found = Api(running)
    assert eventually(lambda: any(dag["dag_id"] == DAG for dag in found.get("dags")["dags"]), 240)
    return found


def dags(project: Path, *words: str) -> None:
    """`airflow dags …` on the project's Airflow."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(project / "var" / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }
    airflow = str(Path(MLOPS).with_name("airflow"))
    subprocess.run([airflow, "dags", *words], cwd=project, env=env, check=True, capture_output=True)


def drop(project: Path, running: Running, month: str = "", **variables: str) -> dict[str, Any]:
    retrain = "MLOPS_MONITORING__RETRAIN__"
    asking = {f"{retrain}HOW": "airflow", f"{retrain}AIRFLOW_URL": running.said["url"], **variables}
    return dict(monitor(project, month, today=TODAY, **asking)["retraining"])


def test_a_wrong_password_and_a_paused_dag_are_told_and_begin_no_cool_down(project, running, api):
    step = drop(project, running, "2025-07", MLOPS_AIRFLOW_PASSWORD="wrong")
    assert step["what"] == "failed"
    assert "refuses the login (HTTP 401, /auth/token)" in step["reason"]
    step = drop(project, running)  # a new DAG is paused
    assert step["what"] == "failed"
    assert f"The DAG {DAG} is paused" in step["reason"]
    assert api.runs() == []


def test_the_event_starts_the_dag_and_the_schedule_stays(project, running, api):
    dags(project, "unpause", DAG)
    assert api.get(f"dags/{DAG}")["timetable_summary"] == "Asset or 0 0 1 * *"
    assert api.get(f"dags/{DAG}")["next_dagrun_run_after"].endswith("-01T00:00:00Z")
    step = drop(project, running)
    assert step["what"] == "asked", step
    # Airflow 3.3 answers 500 to upstreamAssetEvents while the run is queued: its answer wants a start date.
    assert eventually(lambda: any(run["start_date"] for run in api.runs()), 240)
    [run] = api.runs()
    assert (run["run_type"], run["triggered_by"]) == ("asset_triggered", "asset")
    path = f"dags/{DAG}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents"
    [event] = api.get(path)["asset_events"]  # what a task finds as `triggering_asset_events`
    assert (event["name"], event["extra"]["version"]) == (asset_of("readings"), "1")
    assert event["extra"]["reason"] == step["reason"]
    assert drop(project, running)["what"] == "cooling"


def test_a_dag_that_is_gone_is_told(project, running, api):
    [file] = (project / "dags").glob("*.py")
    file.unlink()
    assert eventually(lambda: not api.get("assets")["assets"] or api.get(f"dags/{DAG}")["is_stale"], 300)
    step = drop(project, running, MLOPS_MONITORING__RETRAIN__COOL_DOWN_HOURS="0")
    assert step["what"] == "failed"
    assert f"has no DAG that waits for the asset '{asset_of('readings')}'" in step["reason"]
    assert json.loads((project / "var" / "monitoring" / "report.json").read_text())["steps"][-1] == step
