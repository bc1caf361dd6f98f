"""Figures and how sure they are: every row's share, the error, and two models on the same rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runtime_lib.task.kinds import BINARY
from runtime_lib.task.metric import Z95, Gain, Metric
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.ranking import area_rows, precision_rows
from runtime_lib.task.regression import Regression

ROWS = 400
TASKS = {
    "binary": BINARY,
    "multiclass": Multiclass(("a", "b", "c")),
    "regression": Regression(),
    "quantile": Quantile(),
}
METRICS = [(kind, name) for kind, task in TASKS.items() for name in task.metrics]
EVERY = pytest.mark.parametrize(("kind", "name"), METRICS)


def sample(kind, seed, *, rows=ROWS, skill=1.0, other=0.5):
    """Labels, the answers of a model, and those of another that makes many of the same mistakes."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=rows)  # what no model knows
    if kind == "binary":
        label = (rng.random(rows) < 0.3).astype(int)
        scores = [np.round(s * label + hard + 0.3 * rng.normal(size=rows), 1) for s in (skill, other)]
        return label, *(1 / (1 + np.exp(-score)) for score in scores)  # rounded: some are equal
    if kind == "multiclass":
        label = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
        raw = [
            s * np.eye(3)[label] + rng.normal(size=(rows, 3)) * 0.3 + np.outer(hard, [1, 0, -1])
            for s in (skill, other)
        ]
        return label, *(TASKS[kind].answer(each) for each in raw)
    label = 10 + hard + rng.normal(size=rows)
    answers = [10 + hard * s + rng.normal(size=rows) * 0.2 for s in (skill, other)]
    if kind == "quantile":
        answers = [answer[:, None] + np.array([-1.2, 0, 1.2]) for answer in answers]
    return label, *answers


def metric_of(kind, name):
    return TASKS[kind].metrics[name]


@EVERY
def test_the_rows_of_a_figure_have_it_as_their_mean(kind, name):
    metric = metric_of(kind, name)
    label, answer, _ = sample(kind, 1)
    rows = metric.rows(label, answer)
    assert rows.shape == (ROWS,)
    assert np.isfinite(rows).all()
    apart = abs(rows.mean() - metric.value(label, answer))
    assert apart < 0.1 * metric.error(label, answer)


@EVERY
def test_the_error_of_a_figure_is_that_of_a_bootstrap(kind, name):
    metric = metric_of(kind, name)
    label, answer, _ = sample(kind, 2)
    assert metric.error(label, answer) == pytest.approx(
        spread(lambda some: metric.value(label[some], answer[some])), rel=0.15
    )


@EVERY
def test_the_error_of_a_comparison_is_that_of_a_bootstrap_over_the_same_rows(kind, name):
    metric = metric_of(kind, name)
    label, answer, other = sample(kind, 3)
    gain = metric.compare(label, answer, other)
    again = spread(
        lambda some: metric.margin(
            metric.value(label[some], answer[some]), metric.value(label[some], other[some])
        )
    )
    assert gain.error == pytest.approx(again, rel=0.15)
    assert gain.value == metric.margin(metric.value(label, answer), metric.value(label, other))
    assert gain.value > 0
    assert metric.compare(label, answer, answer) == Gain(0, pytest.approx(0, abs=1e-12))


def spread(figure, times=1000):
    """The standard error by drawing rows again."""
    rng = np.random.default_rng(0)
    return np.std([figure(rng.integers(0, ROWS, ROWS)) for _ in range(times)])


@EVERY
def test_an_interval_covers_what_a_large_table_says_nine_times_of_ten(kind, name):
    metric, held, times = metric_of(kind, name), 0, 300
    truth = metric.value(*sample(kind, 99, rows=200_000)[:2])
    for seed in range(times):
        label, answer, _ = sample(kind, 1000 + seed)
        lower, upper = metric.interval(label, answer)
        assert lower <= metric.value(label, answer) <= upper
        held += lower <= truth <= upper
    assert 0.84 <= held / times <= 0.96


@EVERY
def test_a_comparison_covers_the_true_gain_nine_times_of_ten(kind, name):
    metric, held, times = metric_of(kind, name), 0, 300
    label, answer, other = sample(kind, 98, rows=200_000)
    truth = metric.margin(metric.value(label, answer), metric.value(label, other))
    for seed in range(times):
        gain = metric.compare(*sample(kind, 2000 + seed))
        held += gain.lower <= truth <= gain.upper
    assert 0.84 <= held / times <= 0.96


def test_models_that_err_on_the_same_rows_are_compared_more_closely_than_either_is_known():
    label, answer, other = sample("regression", 5, skill=1.0, other=0.97)
    metric = Regression().metric
    alone = [metric.error(label, each) for each in (answer, other)]
    apart = metric.apart(metric.value(label, answer), metric.value(label, other), tuple(alone))
    paired = metric.compare(label, answer, other)
    assert paired.value == apart.value
    assert paired.error < 0.5 * apart.error


@pytest.mark.parametrize("rows", [area_rows, precision_rows])
def test_rows_of_a_ranking_do_not_depend_on_the_order_of_ties(rows):
    label, score, _ = sample("binary", 6)
    order = np.random.default_rng(1).permutation(ROWS)
    assert rows(label[order], score[order]) == pytest.approx(rows(label, score)[order])
    assert len(set(score)) < ROWS / 2, "else there are no ties"
    constant = rows(label, np.ones(ROWS))
    assert constant.mean() == pytest.approx(0.5 if rows is area_rows else label.mean())


def test_a_perfect_ranking_has_no_error_and_one_that_is_always_wrong_none_either():
    label = np.array([0] * 30 + [1] * 20)
    assert BINARY.metric.error(label, label.astype(float)) == 0
    assert BINARY.metric.error(label, 1.0 - label) == 0
    assert BINARY.metrics["average_precision"].error(label, label.astype(float)) == 0


def test_the_margin_of_an_error_is_a_share_of_the_others():
    error, share = Metric("mae", "", 0, np.subtract), Metric("r2", "", 1, np.subtract)
    assert (error.gain(9, 10), error.margin(9, 10)) == (1, pytest.approx(0.1))
    assert (error.gain(11, 10), error.margin(11, 10)) == (-1, pytest.approx(-0.1))
    assert (error.margin(0, 0), error.margin(1, 0)) == (0, -1)
    assert share.margin(0.9, 0.8) == share.gain(0.9, 0.8) == pytest.approx(0.1)
    assert error.apart(9, 10, (0.3, 0.4)) == Gain(0.1, 0.05)
    assert share.apart(0.9, 0.8, (0.03, 0.04)).error == pytest.approx(0.05)


def test_the_unit_of_an_error_does_not_change_the_gain():
    """Minutes or hours: a margin in params must mean the same."""
    label, answer, other = sample("regression", 7)
    for metric in (Regression().metrics["mae"], Regression().metrics["rmse"]):
        here, there = (
            metric.compare(label, answer, other),
            metric.compare(label / 60, answer / 60, other / 60),
        )
        assert (here.value, here.error) == (pytest.approx(there.value), pytest.approx(there.error))


def test_a_gain_that_is_the_same_share_of_every_row_is_sure():
    """Half the error everywhere: how large the errors are does not make that less certain."""
    label = np.random.default_rng(8).exponential(size=ROWS)
    gain = Regression().metric.compare(label, label * 0.5, np.zeros(ROWS))
    assert gain.value == pytest.approx(0.5)
    assert gain.error == pytest.approx(0, abs=1e-12)


def test_one_row_has_no_error_and_passes_nothing():
    gain = Regression().metric.compare(np.array([1.0]), np.array([1.0]), np.array([2.0]))
    assert gain == Gain(1, math.inf)
    assert gain.lower == -math.inf


def test_bounds_are_a_90_percent_interval():
    gain = Gain(0.5, 0.1)
    assert (gain.lower, gain.upper) == (0.5 - Z95 * 0.1, 0.5 + Z95 * 0.1)


@pytest.mark.parametrize(
    ("name", "guess"), [("roc_auc", 0.5), ("average_precision", 0.2), ("log_loss", None), ("brier", None)]
)
def test_what_a_guess_reaches_is_known_of_a_ranking_alone(name, guess):
    assert BINARY.metrics[name].by_chance({"rate": 0.2}) == guess
