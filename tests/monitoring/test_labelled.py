"""What is drawn of labels that have arrived: by task, live beside held-out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib import settings
from runtime_lib.data.columns import Column, check_rows
from runtime_lib.monitoring.labelled import drawn, look_at
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.performance import judge_performance
from runtime_lib.serving.log import PredictionLog
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from runtime_lib.training.profile import build_profile

CLASSES = ("early", "late", "on time")
TASKS = {
    "binary": BINARY,
    "multiclass": Multiclass(CLASSES),
    "regression": Regression(),
    "quantile": Quantile(levels=(0.1, 0.5, 0.9)),
}
DRAWN = {
    "binary": ["roc", "precision_recall", "calibration"],
    "multiclass": ["calibration", "confusion", "recall"],
    "regression": ["calibration", "residuals", "spread"],
    "quantile": ["coverage", "pinball"],
}


def rows(kind, count=2_000, seed=0, shift=0.0):
    """Labels, and answers that know some of them; with a shift, labels have moved and answers have not."""
    random = np.random.default_rng(seed)
    number = random.normal(size=count)
    label = 10 * number + 5 * random.normal(size=count)
    if kind == "binary":
        return (label + shift > 0).astype("float32"), 1 / (1 + np.exp(-3 * number))
    if kind == "multiclass":
        scores = np.column_stack([-2 * number, 2 * number, np.ones(count)])
        powers = np.exp(scores)
        truth = np.digitize(label + shift, [-7, 7])  # early, on time, late
        return np.array([0, 2, 1])[truth], powers / powers.sum(axis=1, keepdims=True)
    if kind == "regression":
        return label + shift, 10 * number
    return label + shift, 10 * number[:, None] + 5 * np.array([-1.2816, 0, 1.2816])


@pytest.fixture(params=TASKS)
def kind(request):
    return request.param


def of(kind, held_out=True, **how):
    task = TASKS[kind]
    before, now = rows(kind), rows(kind, seed=1, **how)
    figures = task.figures(*before) if held_out else None
    performance = judge_performance(task, *now, figures, predictions=2_000)
    labelled = look_at(task, *now, task.curves(*before) if held_out else {})
    return labelled, {chart.file: chart for chart in drawn(labelled, performance)}


def test_each_task_has_its_drawings(kind):
    labelled, charts = of(kind)
    assert list(charts) == DRAWN[kind]
    assert list(labelled.curves) == ["live", "held-out"]
    assert json.loads(json.dumps(labelled.curves)) == labelled.curves


def test_live_is_drawn_beside_held_out_where_that_is_known(kind):
    _, beside = of(kind)
    _, alone = of(kind, held_out=False)
    assert list(alone) == list(beside)
    for name, chart in beside.items():
        marks = chart.svg.count('class="mark"')
        lines = chart.svg.count('"curve held-out"') > 0
        assert bool(marks or lines) == (name not in ("confusion", "spread")), name
        assert "held-out" not in alone[name].svg
        assert "mark" not in alone[name].svg


def test_what_has_moved_is_seen():
    confused, spread, coverage = (of(kind, shift=8)[0] for kind in ("multiclass", "regression", "quantile"))
    counts = np.array(confused.confusion)
    assert counts.sum() == 2_000
    assert confused.classes == CLASSES
    early, late, _ = counts.diagonal() / counts.sum(axis=1)
    assert early > late, "of rows that are late by now, some were answered as on time"
    live, before = (np.array(spread.curves[who]["spread"]) for who in ("live", "held-out"))
    assert live[:, 2] == pytest.approx(np.full(10, 8), abs=2)
    assert before[:, 2] == pytest.approx(np.zeros(10), abs=2)
    live, before = (np.array(coverage.curves[who]["coverage"]) for who in ("live", "held-out"))
    assert before[:, 1] == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert (live[:, 1] < before[:, 1] - 0.05).all()


def test_recall_and_error_are_the_figures_of_the_table():
    for kind, start in (("multiclass", "recall"), ("quantile", "pinball")):
        task = TASKS[kind]
        figures = task.figures(*rows(kind, seed=1))
        shown = {name: value for name, value in figures.items() if name.startswith(f"{start}.")}
        assert len(shown) == 3
        svg = of(kind)[1][start].svg
        assert all(f">{value:.3f}<" in svg for value in shown.values())
    losses = [figures[f"pinball.p{level}"] for level in (10, 50, 90)]
    assert figures["pinball"] == pytest.approx(np.mean(losses))


def test_a_few_labels_draw_nothing(kind):
    task = TASKS[kind]
    label, answer = rows(kind, count=12)
    assert not look_at(task, label, answer, {}).curves
    performance = judge_performance(task, label, answer, None, predictions=20)
    assert list(drawn(look_at(task, label, answer, {}), performance)) == []


@dataclass(frozen=True)
class Version:
    version: str
    folder: Path
    digest: str
    held_out: dict[str, float] | None = None


def test_the_page_and_the_report_hold_them(kind, tmp_path):
    task = TASKS[kind]
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    columns, (label, answer) = [Column("x", "number")], rows(kind, count=600)
    profile = build_profile(
        {"x": np.arange(600.0)},
        columns,
        task=task,
        answer=answer,
        label=label,
        metrics=task.figures(label, answer),
    )
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    project = settings.load(tmp_path, environ={})
    log = PredictionLog(project.predictions)
    checked = check_rows({"x": np.arange(600.0)}, columns)
    ids = [f"id-{row}" for row in range(600)]
    log.append(ids, checked, task.columns(answer), model="demo", version="2", time=datetime.now(UTC))
    log.close()
    told = [task.class_names[int(one)] for one in label] if kind == "multiclass" else label
    pd.DataFrame({"id": ids, "label": told}).to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "params.yaml").write_text(f"task:\n  kind: {kind}\n")
    add_labels(project, tmp_path / "labels.csv")
    project.report("evaluation").parent.mkdir()
    before = {"live": task.curves(label, answer)}["live"]
    project.report("evaluation").write_text(
        json.dumps({"format": 2, "digest": "of the champion", "curves": {"candidate": before}})
    )
    verdicts = [
        monitor(project, champion=Version("2", tmp_path, digest)) for digest in ("of the champion", "other")
    ]
    assert [list(verdict.labelled.curves) for verdict in verdicts] == [["live", "held-out"], ["live"]]
    report = json.loads(project.monitoring_report.read_text())
    assert report["labelled"]["task"] == kind
    assert set(report["labelled"]["curves"]["live"]) == set(before)
    page = project.monitoring_page.read_text()
    assert [name for name in DRAWN[kind] if f'id="{name}"' not in page] == []
    assert "<script" not in page
