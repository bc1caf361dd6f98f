"""What holds for every trainer on every task: it learns, is stored, is repeated, and explains itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble._forest import ForestClassifier, ForestRegressor

from runtime_lib.errors import CapacityError
from runtime_lib.hardware.device.limits import applied
from runtime_lib.task.naive import naive
from runtime_lib.tracking.record import read, record_folder
from runtime_lib.training.model import Model
from runtime_lib.training.train import train
from tests.training.trainers.conftest import (
    INPUTS,
    KINDS,
    WHICH,
    fit,
    fitted,
    make_project,
    make_table,
    project,
    trainer,
    without,
)

ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from runtime_lib.data.columns import check_rows
from runtime_lib.training.model import Model, read_columns

for folder in map(Path, sys.argv[1:]):
    columns, table = read_columns(folder), pd.read_parquet(folder / "rows.parquet")
    answers = Model.load(folder).predict(check_rows({c.name: table[c.name] for c in columns}, columns))
    np.save(folder / "answers.npy", answers)
    assert "torch" not in sys.modules, "a second OpenMP"
"""


def test_it_learns_more_than_one_column_says(each):
    task, split, metric = each.task, each.split, each.task.metric
    _, simple = naive(
        task, split.train, split.train_label, each.trial.prepared.columns, unseen=split.validation
    )
    label = split.validation_label
    gain = metric.compare(label, each.trial.fit.answer, simple)
    assert gain.lower > 0.05


def test_the_answer_of_the_fit_is_that_of_the_model(each):
    assert np.array_equal(each.trial.predict(each.split.validation), each.trial.fit.answer)


def test_stored_models_give_identical_answers_in_another_process(tmp_path):
    models = {f"{which}-{kind}": fitted(which, kind) for which in WHICH for kind in KINDS}
    for name, model in models.items():
        model.trial.save(tmp_path / name)
        make_table(model.kind, 9, 300)[INPUTS].to_parquet(tmp_path / name / "rows.parquet")
    folders = [str(tmp_path / name) for name in models]
    subprocess.run([sys.executable, "-c", ELSEWHERE, *folders], check=True)
    for name, model in models.items():
        there = np.load(tmp_path / name / "answers.npy")
        assert np.array_equal(there, model.trial.predict(model.rows())), name


def test_a_seed_repeats_the_fit_and_another_does_not(each, request):
    which, kind = request.node.callspec.params["each"]
    again = fit(project(kind), trainer(which, kind))
    other = fit(project(kind), trainer(which, kind), seed=8)
    rows = each.rows()
    assert np.array_equal(again.predict(rows), each.trial.predict(rows))
    if not (which == "linear" or (which, kind) == ("trees", "quantile")):  # these draw nothing
        assert not np.array_equal(other.predict(rows), each.trial.predict(rows))


def test_a_level_never_seen_is_answered_as_a_missing_one(each):
    unseen, missing = each.rows(carrier="ZZ"), each.rows(carrier=None)
    answers = each.trial.predict(unseen)
    assert np.isfinite(answers).all()
    assert np.array_equal(answers, each.trial.predict(missing))
    assert not np.array_equal(answers, each.trial.predict(each.rows(carrier="AA")))


def test_rows_of_missing_values_alone_are_answered(each):
    answers = each.trial.predict(each.rows(carrier=None, distance=np.nan))
    assert np.isfinite(answers).all()


def test_a_row_has_the_same_answer_alone_and_among_others(each):
    rows = each.rows()
    alone = {name: values[:1] for name, values in rows.items()}
    together = each.trial.predict(rows)[:1]
    assert each.trial.predict(alone) == pytest.approx(together, abs=1e-12)
    assert each.trial.fit.fitted.answer(rows, at_once=7)[:1] == pytest.approx(together, abs=1e-12)


def test_contributions_add_up_to_the_answer(each):
    rows, answer = each.rows(), each.trial.predict(each.rows())
    found = each.trial.fit.fitted.contributions(rows)
    if isinstance(
        getattr(each.trial.fit.fitted, "estimators", [None])[0], ForestClassifier | ForestRegressor
    ):
        assert found is None
        return
    columns, base = found
    assert columns.shape == (300, each.task.width, 3)
    assert base.shape == (300, each.task.width)
    raw = columns.sum(axis=2) + base
    assert np.abs(each.task.answer(raw) - answer).max() < 1e-6
    # What is there without the columns is the same for every row, but for rounding.
    assert np.ptp(base, axis=0).max() < 1e-5
    assert np.abs(columns[:, :, 0]).mean() > 5 * np.abs(columns[:, :, 2]).mean()


def test_importance_tells_what_the_label_rests_on(each):
    found = each.trial.fit.fitted.importance()
    assert list(found) == INPUTS
    assert min(found["distance"], found["carrier"]) > found["noise"] >= 0


def test_the_plan_is_of_the_cpu_and_grows_with_the_table(each):
    plan, kind = each.trial.kept.plan, each.trial.fit.fitted.framework
    assert (plan.device.framework, plan.device.name) == (kind, "cpu")
    with applied(plan):
        pass
    one, many = (each.trial.fit.fitted.plan(each.settings, rows) for rows in (1, 1_000_000))
    assert one.memory_bytes < many.memory_bytes
    assert one.device.framework == kind


@pytest.mark.parametrize("which", WHICH)
def test_a_fit_is_planned_with_the_table_and_refused_where_it_does_not_fit(which):
    made, table = trainer(which, "binary"), fitted(which, "binary").trial.prepared.table
    plan = made.plan(project("binary"), replace(table, rows=1_000_000), 1)
    assert plan.memory_bytes - made.plan(project("binary"), table, 1).memory_bytes > 100e6
    assert "1,000,000 rows" in plan.reasons[1]
    with pytest.raises(
        CapacityError, match=rf"\({plan.device.framework} on cpu\).*It would fit with at most .* rows"
    ):
        made.plan(project("binary"), replace(table, rows=10**12), 1)


@pytest.mark.parametrize("which", ["lightgbm", "xgboost", "linear"])
def test_the_stage_records_the_trainer_and_writes_the_candidate(which, tmp_path, capsys):
    settings, made = make_project("quantile", tmp_path), trainer(which, "quantile")
    train(settings, lambda inputs, outputs, params: made, {"seed": 3})
    state, measured = read(record_folder(settings))
    model = Model.load(settings.candidate)
    assert state.tags["mlops.framework"] == state.params["trainer"] == model.framework == made.name
    assert state.params["seed"] == 3
    assert "epoch/validation_pinball" in {each.name for each in measured}
    kept = {each.name: each.value for each in measured}["kept_epoch"]
    assert 1 <= kept <= 60
    assert f"Training with {made.name} on cpu: its trainer uses no GPU." in capsys.readouterr().out


@pytest.mark.parametrize("which", ["lightgbm", "xgboost", "linear"])
def test_it_needs_no_framework_of_networks(which, tmp_path):
    """As a project with this extra alone has none."""
    code = f"""{without("torch", "mlx")}
from tests.training.trainers.conftest import fit, make_project, trainer
from pathlib import Path
print(fit(make_project("binary", Path({str(tmp_path)!r})), trainer({which!r}, "binary")).figures["roc_auc"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0.9


def test_a_long_fit_is_told_in_some_fifty_figures():
    from runtime_lib.training.trainers.lightgbm import LightGBM

    told = []
    long = LightGBM({"rounds": 400, "patience": 400, "num_leaves": 3})
    fit(project("regression"), long, on_epoch=lambda number, figures: told.append((number, figures)))
    assert 45 <= len(told) <= 55
    assert told[-1][0] == 400
    assert set(told[0][1]) == {"validation_mae"}


@pytest.mark.parametrize("which", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_is_the_tasks_metric_in_its_unit(which, kind):
    told = {}
    found = fit(
        project(kind), trainer(which, kind), on_epoch=lambda number, figures: told.update({number: figures})
    )
    split, task = fitted(which, kind).split, found.prepared.task
    metric, last = task.metric.name, max(told)
    assert found.fit.epoch <= last == found.fit.epochs
    best = task.metric.value(split.validation_label, found.fit.answer)
    for figures in told.values():
        assert task.metric.gain(figures[f"validation_{metric}"], best) <= 1e-6 * abs(best)
    assert told[last][f"validation_{metric}"] == pytest.approx(best, rel=0.02)


def test_reloaded_in_this_process_it_is_of_the_same_kind(each, tmp_path):
    each.trial.save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    assert (model.framework, model.device) == (each.trial.fit.fitted.framework, "cpu")
    assert type(model.fitted) is type(each.trial.fit.fitted)
    assert model.fitted.importance() == each.trial.fit.fitted.importance()


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_boosting_keeps_its_best_round_and_no_later_one(kind):
    found = fitted("histogram", kind)
    fit = found.trial.fit
    assert 1 <= fit.epoch < fit.epochs
    assert {each.n_iter_ for each in fit.fitted.estimators} <= set(range(1, fit.epoch + 1))
    assert max(each.n_iter_ for each in fit.fitted.estimators) == fit.epoch
    for estimator in fit.fitted.estimators:
        assert estimator.n_iter_ == np.argmin(-estimator.validation_score_[1:]) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_boosting_tells_its_loss_by_the_name_and_in_the_unit_of_a_metric(kind):
    told = {}
    found = fit(
        project(kind),
        trainer("histogram", kind),
        on_epoch=lambda number, figures: told.update({number: figures}),
    )
    name = {"binary": "log_loss"}.get(kind, found.prepared.task.metric.name)
    assert max(told) == found.fit.epochs
    lowest = min(figures[f"validation_{name}"] for figures in told.values())
    split = fitted("histogram", kind).split
    metric = found.prepared.task.metrics[name]
    # For quantiles each level has a best round of its own, which their mean does not.
    assert metric.value(split.validation_label, found.fit.answer) == pytest.approx(lowest, rel=0.02)
