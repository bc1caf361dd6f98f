"""What this library does for its projects is known from their settings, and only while those have it on."""

from __future__ import annotations

import pytest

from runtime_lib.audit.run import audit

PROJECT = {
    "pyproject.toml": """
        [project]
        name = "flights"
        version = "0.1.0"
        dependencies = ["runtime-lib[data] @ git+https://example.org/x.git@v0.9.0"]
    """,
    "mlops.toml": """
        [project]
        name = "flights"
        package = "flights"

        [registry]
        min_gain_over_baseline = 0.01
        min_gain_over_incumbent = 0.005

        [serving]
        engine = "local"
    """,
    "params.yaml": "train:\n  seed: 7\n",
    "dvc.yaml": """
        stages:
          train:
            cmd: python -m flights.stages train
            outs: [models/candidate]
          register:
            cmd: python -m flights.stages register
            deps: [models/candidate]
    """,
    "flights/__init__.py": "",
    "flights/stages.py": """
        from runtime_lib.pipeline.stages import Project, Stages

        stage = Stages()


        @stage
        def train(project: Project) -> None:
            from runtime_lib.training.train import train

            from flights.model import model

            train(project.settings, model, project.params["train"])


        @stage
        def register(project: Project) -> None:
            from runtime_lib.registry.register import register

            register(project.settings)


        if __name__ == "__main__":
            stage.main()
    """,
    "flights/model.py": "def model(inputs, outputs, params):\n    return None\n",
    "dags/flights_dags.py": """
        from pathlib import Path

        from runtime_lib.pipeline.airflow import monitoring_dag, pipeline_dag

        pipeline = pipeline_dag(Path(), schedule="@monthly")
        monitoring = monitoring_dag(Path(), schedule="@daily")
    """,
}
BROUGHT = {"A6", "A7", "A8", "A9", "Q3", "Q4", "R1", "V4"}


def passed(tree, **changes):
    files = dict(PROJECT)
    for name, (old, new) in changes.items():
        path = next(path for path in files if path.replace("/", "_").replace(".", "_") == name)
        assert old in files[path]
        files[path] = files[path].replace(old, new)
    found = audit(tree(files), strict=True)
    return {id for id, one in found.findings.items() if one.verdict == "pass"} & BROUGHT, found.facts


def test_what_the_library_does_counts(tree):
    passes, facts = passed(tree)
    assert passes == BROUGHT
    assert facts["automatic_retraining"].value is facts["cd"].value is facts["regression_tests"].value is True
    assert (facts["seeds"].value, facts["tracker"].value, facts["model_registry"].value) == (
        "yes",
        "mlflow",
        "mlflow",
    )
    assert facts["automatic_retraining"].evidence[0].path == "dags/flights_dags.py"


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"dags_flights_dags_py": ('schedule="@monthly"', "schedule=None")}, {"A6", "A7"}),
        ({"dags_flights_dags_py": ('schedule="@monthly"', 'schedule="@once"')}, {"A6", "A7"}),
        ({"dags_flights_dags_py": ("pipeline = ", "# pipeline = ")}, {"A6", "A7"}),
        ({"mlops_toml": ("min_gain_over_incumbent = 0.005", "min_gain_over_incumbent = -1")}, {"Q4"}),
        ({"mlops_toml": ("min_gain_over_baseline = 0.01", "# no bound")}, {"Q3"}),
        ({"mlops_toml": ('engine = "local"', "port = 8000")}, {"A9"}),
        ({"params_yaml": ("seed: 7", "seed: null")}, {"R1"}),
        ({"flights_stages_py": ("register(project.settings)", "pass")}, {"Q3", "Q4"}),
        (
            {"pyproject_toml": ("runtime-lib[data] @ git+https://example.org/x.git@v0.9.0", "pandas")},
            BROUGHT - {"A7", "A8"},
        ),  # its DAG is there
    ],
)
def test_what_is_off_does_not(tree, changes, gone):
    assert passed(tree, **changes)[0] == BROUGHT - gone


RUNS = """
    import subprocess


    def mlops(folder, *words):
        done = subprocess.run(["mlops", *words], cwd=folder)
        assert done.returncode == 0


    def test_the_pipeline_runs(tmp_path):
        mlops(tmp_path, "run", "--set=train.epochs=2")
        assert (tmp_path / "reports").exists()
"""
CI = """
    on: pull_request
    jobs:
      checks:
        runs-on: ubuntu-latest
        steps:
          - run: uv run pytest
"""


@pytest.mark.parametrize("ci", [True, False])
def test_a_test_that_runs_the_pipeline_trains_where_ci_runs_it(tree, ci):
    pipeline = {".github/workflows/ci.yml": CI} if ci else {}
    facts = audit(tree({**PROJECT, **pipeline, "tests/test_flow.py": RUNS}), strict=True).facts
    assert facts["integration_tests"].value is True
    assert facts["ci_trains"].value is ci
