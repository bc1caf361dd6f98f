"""Each kind of task with each trainer, in a project on real flights: from the copy to training again.

On nine months, in the deep tests alone. `MLOPS_TESTS_TABLE=FILE` adds a line for each to the table of
docs/tasks.md; its seconds are those of the CPU, which other work on the machine hardly changes.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.test_run import mlops, reports
from tests.support.depth import DEEP
from tests.support.months import replay, serve, train_again, watch

KINDS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae", "quantile": "pinball"}
LINEAR = {
    "binary": "linear_model.LogisticRegression(max_iter=300)",
    "multiclass": "linear_model.LogisticRegression(max_iter=300)",
    "regression": 'linear_model.SGDRegressor(loss="huber", epsilon=15, random_state=7)',
    "quantile": 'ensemble.HistGradientBoostingRegressor(loss="quantile", random_state=7)',
}
NETWORK = 'Architecture("mlp", {"inputs": inputs, "outputs": outputs, **params["network"]})'
TRAINERS = {
    "network in torch": ("", NETWORK),
    "network in MLX": ("", NETWORK),
    "gradient boosting": ("", 'GradientBoosting(params["boosting"])'),
    "LightGBM": (
        "from runtime_lib.training.trainers.lightgbm import LightGBM\n",
        'LightGBM(params["boosting"])',
    ),
    "XGBoost": (
        "from runtime_lib.training.trainers.xgboost import XGBoost\n",
        'XGBoost(params["boosting"])',
    ),
    "scikit-learn": (
        "from sklearn import ensemble, linear_model\n"
        "from runtime_lib.training.trainers.sklearn import Sklearn\n",
        "Sklearn({linear})",
    ),
}
# By how much an answer to one row may differ from the same among others: MLX has no double precision, and
# a product of matrices is added up in blocks.
ALONE = {"network in MLX": 1e-6, "scikit-learn": 1e-12}
CASES = [(kind, trainer) for kind in KINDS for trainer in TRAINERS]
LAST, LATER = "2013-09", "2013-10"


def make(render, kind: str, trainer: str) -> Path:
    project = render(task_kind=kind, project_name="kinds", project_package="kinds")
    imports, made = TRAINERS[trainer]
    path = project / "src" / "kinds" / "model.py"
    head, found, body = path.read_text().partition("    return {\n")
    assert found, body
    head = head.replace("from runtime_lib", f"{imports}from runtime_lib", 1)
    path.write_text(head + f"    return {made.replace('{linear}', LINEAR[kind])}\n")
    return project


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request, render, monkeypatch):
    kind, trainer = request.param
    monkeypatch.setenv("MLOPS_TRAINING__FRAMEWORK", "mlx" if trainer == "network in MLX" else "torch")
    monkeypatch.setenv("MLOPS_SERVING__FRAMEWORK", os.environ["MLOPS_TRAINING__FRAMEWORK"])
    return kind, trainer, make(render, kind, trainer)


def cpu_seconds() -> float:
    """Of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def note(kind: str, trainer: str, project: Path, seconds: float) -> None:
    """A line of the table of docs/tasks.md."""
    if not (table := os.environ.get("MLOPS_TESTS_TABLE")):
        return
    report, metric = reports(project)["evaluation"], KINDS[kind]
    low, high = report["intervals"][metric]
    naive = report["naive"][metric]
    figure = report["candidate"][metric]
    sure = f"{figure:.4f} | {low:.4f} to {high:.4f}"
    line = f"| {kind} | {trainer} | {metric} | {sure} | {naive:.4f} | {seconds:.0f} |\n"
    with Path(table).open("a") as file:
        file.write(line)


@pytest.mark.slow
@pytest.mark.skipif(
    not DEEP,
    reason="tests/docs/test_own_data.py goes as far with one kind, test_text_and_images.py with another, and "
    "tests/training/trainers with each trainer: nox -s deep",
)
def test_a_project_of_each_kind_goes_from_the_copy_to_training_again(case):
    kind, trainer, project = case
    start = cpu_seconds()
    said = mlops(project, "run", "--set", f"data.last={LAST}", "--set", "split.test=2")
    note(kind, trainer, project, cpu_seconds() - start)
    assert "Gate: champion" in said
    metric, report = KINDS[kind], reports(project)["evaluation"]
    assert report["task"] == kind
    assert f"Held-out {metric}: model {report['candidate'][metric]:.4f}" in said

    requests, labels = replay(project, LATER)
    answers = serve(project, requests, tolerance=ALONE.get(trainer, 0))
    performance = watch(project, labels)["performance"]
    known = pd.read_parquet(labels)["id"].isin(answers.index).sum()
    assert performance["metric"] == metric
    assert performance["labelled"] == known > 2_000
    assert performance["held_out"] == report["candidate"][metric]
    assert performance["lower"] < performance["live"] < performance["upper"]
    train_again(project, LATER)
