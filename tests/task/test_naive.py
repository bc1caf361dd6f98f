"""The naive baseline: what one column alone says, or the same for every row."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.naive import naive
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression

RNG = np.random.default_rng(1)


def test_the_column_that_ranks_best_is_chosen():
    label = RNG.integers(0, 2, 2000).astype("float32")
    rows = {"noise": RNG.normal(size=2000), "known": np.where(label == 1, "late", "early").astype(object)}
    columns = (Column("noise", "number"), Column("known", "category"))
    unseen = {"noise": np.zeros(3), "known": np.array(["late", "early", "never seen"], dtype=object)}
    name, probability = naive(BINARY, rows, label, columns, unseen=unseen)
    assert name == "known"
    assert probability[0] > 0.9
    assert probability[1] < 0.1
    assert probability[2] == pytest.approx(label.mean(), rel=1e-4)


def test_a_column_of_rare_levels_is_not_chosen_for_knowing_its_own_rows():
    rng = np.random.default_rng(0)
    calls = rng.poisson(1.0, 2000).astype(float)
    label = (rng.random(2000) < 0.1 + 0.1 * calls).astype(np.int64)
    rows = {"day": rng.integers(0, 1000, 2000).astype(str), "calls": calls}
    columns = [Column("day", "category"), Column("calls", "number")]
    assert naive(BINARY, rows, label, columns, unseen=rows)[0] == "calls"


def test_a_value_that_fills_a_bin_has_it_to_itself():
    refunds = np.append(np.zeros(960), np.arange(1.0, 41.0))
    label = (refunds > 0).astype(np.int64)
    _, rate = naive(
        BINARY, {"x": refunds}, label, [Column("x", "number")], unseen={"x": np.array([0.0, 7.0, np.nan])}
    )
    assert rate[0] < 0.01
    assert rate[1] > 0.9
    assert rate[2] == pytest.approx(0.04)


def test_a_number_is_cut_into_bins_and_missing_is_a_bin_of_its_own():
    x = RNG.normal(size=4000)
    x[:400] = np.nan
    label = (np.abs(np.nan_to_num(x, nan=3)) > 1).astype("float32")
    _, probability = naive(
        BINARY, {"x": x}, label, (Column("x", "number"),), unseen={"x": np.array([np.nan, 0.0, 2.5])}
    )
    assert probability[0] > 0.95 > 0.1 > probability[1]
    assert probability[2] > 0.9


def test_a_value_missing_only_in_the_rows_to_predict_gets_the_overall_rate():
    x = RNG.normal(size=1000)
    label = (x > 0).astype("float32")
    columns = (Column("x", "number"),)
    _, probability = naive(BINARY, {"x": x}, label, columns, unseen={"x": np.array([np.nan, 2.0])})
    assert probability[0] == pytest.approx(label.mean())
    assert probability[1] > 0.9


COLUMNS = (Column("noise", "number"), Column("kind", "category"))
TASKS = {
    "binary": (BINARY, lambda signal: (signal > 0).astype("float32")),
    "multiclass": (Multiclass(("early", "late", "on time")), lambda signal: np.digitize(signal, [-1, 1])),
    "regression": (Regression(), lambda signal: signal * 10),
    "quantile": (Quantile(), lambda signal: signal * 10),
}


def table(rows=2000, seed=4):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], rows).astype(object)
    signal = np.select([kind == "a", kind == "b"], [1.5, -1.5], 0) + 0.5 * rng.normal(size=rows)
    return {"noise": rng.normal(size=rows), "kind": kind}, signal


@pytest.mark.parametrize("name", TASKS)
def test_the_column_that_does_best_by_the_tasks_metric_is_chosen(name):
    task, label_of = TASKS[name]
    rows, signal = table()
    label = label_of(signal)
    column, answers = naive(task, rows, label, COLUMNS, unseen=rows)
    assert column == "kind"
    whole = task.group_answers(np.zeros(len(label), dtype=int), label, 1)
    same = np.repeat(whole, len(label), axis=0)
    assert task.metric.compare(label, answers, same).lower > 0.1
    never = naive(task, rows, label, COLUMNS, unseen={"noise": np.zeros(1), "kind": np.array(["z"], object)})
    assert never[1] == pytest.approx(whole), "a level that was never seen: as all rows"


@pytest.mark.parametrize("name", ["multiclass", "regression", "quantile"])
def test_where_no_column_says_anything_the_same_is_said_of_every_row(name):
    task, label_of = TASKS[name]
    rows, signal = table()
    label = label_of(np.random.default_rng(5).permutation(signal))
    column, answers = naive(task, rows, label, COLUMNS[:1], unseen={"noise": np.arange(7.0)})
    assert column == ""
    assert len(answers) == 7
    assert (answers == answers[0]).all()


def test_a_column_of_rare_levels_is_not_chosen_for_a_number_either():
    rng = np.random.default_rng(6)
    calls = rng.poisson(1.0, 2000).astype(float)
    rows = {"day": rng.integers(0, 1000, 2000).astype(str), "calls": calls}
    columns = [Column("day", "category"), Column("calls", "number")]
    label = calls + rng.normal(size=2000)
    assert naive(Regression(), rows, label, columns, unseen=rows)[0] == "calls"
