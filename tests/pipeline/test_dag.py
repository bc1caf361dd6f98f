"""The Airflow DAG is the pipeline of dvc.yaml: it runs, skips what did not change, repeats what did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import runtime_lib
from tests.pipeline.test_run import STAGES, small
from tests.support.depth import DEEP
from tests.support.projects import airflow_home, borrowed, run
from tests.support.replayed import ReplayedMac

_TEST = """
import json, runpy
import runtime_lib
print("library", runtime_lib.__file__)
dag = runpy.run_path("dags/late_flights_dags.py")["pipeline"]
print("edges", json.dumps({task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}))
print("state", dag.test().state)
"""


class Scheduled:
    """A project whose DAG runs in Airflow; in the deep run in an environment of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        home = shutil.copytree(home, root / "var" / "airflow")
        self.env = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        }
        if DEEP:
            run(root, "uv", "sync", "--quiet", "--group", "airflow")
        else:
            self.env |= borrowed()

    def uv(self, *command: str, **variables: str) -> str:
        return run(self.root, "uv", "run", "--no-sync", *command, **self.env, **variables)

    def test(self, *, day: str = "2013-04-01", **variables: str) -> str:
        return self.uv("python", "-c", _TEST, MLOPS_TODAY=day, **variables)

    def written(self) -> dict[str, int]:
        """When each stage's output was last written."""
        outputs = {
            "ingest": "data/raw",
            "featurize": "data/features",
            "split": "data/split",
            "train": "models/candidate",
            "evaluate": "reports/evaluation.json",
            "register": "reports/registered.json",
        }
        return {stage: (self.root / path).stat().st_mtime_ns for stage, path in outputs.items()}

    def months(self) -> list[str]:
        return [path.stem for path in sorted((self.root / "data/raw").glob("*.parquet"))]

    def set(self, *changes: str) -> None:
        from runtime_lib.pipeline.run import set_params

        set_params(self.root / "params.yaml", changes)


@pytest.fixture(scope="module")
def scheduled(render, tmp_path_factory):
    project = Scheduled(small(render(project_name="late-flights")), airflow_home(tmp_path_factory))
    project.set("data.last=latest")
    return project


@pytest.mark.slow
def test_the_dag_runs(scheduled):
    said = scheduled.test()
    assert "state success" in said
    # In the deep run the project has installed the library of this repository.
    assert DEEP or f"library {runtime_lib.__file__}\n" in said
    edges = json.loads(said.partition("edges ")[2].splitlines()[0])
    assert set(edges) == {*STAGES, "promote"}
    assert edges["train"] == ["split"]
    assert edges["evaluate"] == ["split", "train"]
    assert set(edges["promote"]) == set(STAGES)
    promotion = json.loads((scheduled.root / "reports" / "promotion.json").read_text())
    assert promotion["promoted"]
    assert scheduled.months() == ["2013-01", "2013-02", "2013-03"]


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="test_run.py skips what did not change; in a DAG: nox -s deep")
def test_a_second_run_changes_nothing(scheduled):
    first = scheduled.written()
    assert "state success" in scheduled.test()
    assert scheduled.written() == first


@pytest.mark.slow
@pytest.mark.skipif(
    not DEEP, reason="test_pre_execute.py refuses tasks in real Airflow; in a DAG: nox -s deep"
)
def test_no_stage_starts_on_a_machine_that_is_hot_or_too_small(scheduled, tmp_path):
    before = scheduled.written()
    mac = ReplayedMac(tmp_path / "mac", 3)
    hot = {"MLOPS_HARDWARE_REPLAY": str(mac.folder), "MLOPS_HARDWARE__MAX_WAIT": "2"}
    said = scheduled.test(**hot)
    assert "state failed" in said
    assert "Thermal pressure Trapping, allowed up to Moderate." in said
    assert scheduled.written() == before

    said = scheduled.test(MLOPS_HARDWARE__MEMORY_GIB=str(10**12 / 2**30))
    assert "state failed" in said
    assert "The work needs 931.32 GiB, and this machine can give" in said
    assert scheduled.written() == before


@pytest.mark.slow
@pytest.mark.skipif(
    not DEEP, reason="test_pre_execute.py shrinks a demand, test_run.py repeats; in a DAG: nox -s deep"
)
def test_what_changed_trains_within_what_its_machine_has_left(scheduled):
    from runtime_lib.hardware import facts
    from runtime_lib.hardware.admit.capacity import capacity

    scheduled.set("train.network.hidden=[5]")
    before = scheduled.written()
    # As much as there is in all is more than is free: the training is told what is, and plans with that.
    whole = capacity(facts())
    assert whole
    sizes = {"MEMORY_GIB": str((whole - 2**20) / 2**30), "LEAST_MEMORY_GIB": "0.1"}
    said = scheduled.test(**{f"MLOPS_HARDWARE__{key}": value for key, value in sizes.items()})
    assert "state success" in said
    assert "Hardware: shrink." in said
    after = scheduled.written()
    assert [stage for stage in before if after[stage] != before[stage]] == ["train", "evaluate", "register"]
    record = json.loads((scheduled.root / "models" / "record" / "record.json").read_text())
    limit = json.loads(record["tags"]["mlops.plan"])["memory_limit_bytes"]
    assert 2**30 / 10 <= limit < whole - 2**20


@pytest.mark.slow
@pytest.mark.skipif(
    not DEEP, reason="test_refresh.py runs the task's command on later days; a DAG: nox -s deep"
)
def test_the_next_month_is_trained_on_by_itself(scheduled):
    before = scheduled.written()
    assert "state success" in scheduled.test(day="2013-05-01")
    assert scheduled.months()[-1] == "2013-04"
    after = scheduled.written()
    assert all(after[stage] != before[stage] for stage in before)
