"""The Airflow DAG is the pipeline of dvc.yaml: it runs, skips what did not change, repeats what did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.test_run import STAGES, small
from tests.projects import run

_TEST = """
import json, runpy
dag = runpy.run_path("dags/late_flights_dags.py")["pipeline"]
print("edges", json.dumps({task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}))
print("state", dag.test().state)
"""


class Scheduled:
    """A project of its own environment, whose DAG runs in Airflow."""

    def __init__(self, root: Path) -> None:
        self.root = root
        home = root / "var" / "airflow"
        self.env = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        }
        run(root, "uv", "sync", "--quiet", "--group", "airflow")
        self.uv("airflow", "db", "migrate")

    def uv(self, *command: str) -> str:
        return run(self.root, "uv", "run", "--no-sync", *command, **self.env)

    def test(self) -> str:
        return self.uv("python", "-c", _TEST)

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

    def set(self, *changes: str) -> None:
        from runtime_lib.pipeline.run import set_params

        set_params(self.root / "params.yaml", changes)


@pytest.fixture(scope="module")
def scheduled(render):
    return Scheduled(small(render(project_name="late-flights")))


@pytest.mark.slow
def test_the_dag_runs_skips_and_repeats(scheduled):
    said = scheduled.test()
    assert "state success" in said
    edges = json.loads(said.partition("edges ")[2].splitlines()[0])
    assert set(edges) == {*STAGES, "promote"}
    assert edges["train"] == ["split"]
    assert edges["evaluate"] == ["split", "train"]
    assert set(edges["promote"]) == set(STAGES)
    promotion = json.loads((scheduled.root / "reports" / "promotion.json").read_text())
    assert promotion["promoted"]

    first = scheduled.written()
    assert "state success" in scheduled.test()
    assert scheduled.written() == first

    scheduled.set("train.network.hidden=[4]")
    assert "state success" in scheduled.test()
    after = scheduled.written()
    assert [stage for stage in first if after[stage] != first[stage]] == ["train", "evaluate", "register"]
