"""How much: what a label is, what an answer means, and how it is judged."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.task.kinds import from_dict
from runtime_lib.task.regression import Regression

RNG = np.random.default_rng(2)
TASK = Regression(center=20.0, scale=5.0)


def test_a_label_is_a_finite_number():
    values = [1, 2.5, -3, "4", None, np.nan, np.inf, True, "much"]
    assert TASK.wrong_labels(values).tolist() == [False] * 3 + [True] * 6
    assert TASK.wrong_labels(pd.Series([1.5, np.nan, -np.inf, 0])).tolist() == [False, True, True, False]
    assert TASK.wrong_labels(pd.Series([1, None], dtype="Int64")).tolist() == [False, True]
    assert TASK.wrong_labels(pd.Series([True, False])).all(), "yes and no are another task"
    assert TASK.wrong_labels(pd.Series(["fast", "slow"])).all()


def test_centre_and_scale_are_those_of_the_middle_half():
    label = RNG.normal(30, 4, 20_000)
    learned = Regression().learn(label)
    assert (learned.center, learned.scale) == (pytest.approx(30, abs=0.15), pytest.approx(4, rel=0.03))
    label[:20] = 1e12  # a few wild ones move neither
    wild = Regression().learn(label)
    assert (wild.center, wild.scale) == (pytest.approx(30, abs=0.2), pytest.approx(4, rel=0.05))


def test_a_label_that_is_mostly_the_same_has_a_scale():
    learned = Regression().learn([0.0] * 90 + [10.0] * 10)
    assert learned.center == 0
    assert learned.scale == pytest.approx(3)


@pytest.mark.parametrize("values", [[], [3.0, 3.0, 3.0]])
def test_labels_that_teach_nothing_are_refused(values):
    with pytest.raises(DataError, match=f"All {len(values)} training rows have the same label"):
        Regression().learn(values)


def test_a_network_learns_scaled_labels_and_answers_in_their_unit():
    label = TASK.read([20, 25, 10])
    target = TASK.target(label)
    assert (target.dtype, target.shape) == (np.float32, (3, 1))
    assert target[:, 0].tolist() == [0, 1, -2]
    assert TASK.answer(target) == pytest.approx(label)
    assert TASK.answer(target).shape == (3,)


def test_the_figures_are_those_of_scikit_learn():
    from sklearn import metrics

    label = RNG.normal(30, 4, 500)
    answer = label + RNG.normal(1, 2, 500)
    figures = TASK.figures(label, answer)
    assert figures["mae"] == pytest.approx(metrics.mean_absolute_error(label, answer))
    assert figures["rmse"] == pytest.approx(metrics.root_mean_squared_error(label, answer))
    assert figures["r2"] == pytest.approx(metrics.r2_score(label, answer))
    assert figures["bias"] == pytest.approx(1, abs=0.3)
    assert (figures["mean"], figures["rows"]) == (pytest.approx(label.mean()), 500)
    with pytest.raises(DataError, match="no rows"):
        TASK.figures(label[:0], answer[:0])


def test_labels_that_are_all_the_same_can_be_judged():
    figures = TASK.figures(np.full(5, 3.0), np.full(5, 3.0))
    assert (figures["mae"], figures["rmse"], figures["r2"]) == (0, 0, 0)
    for metric in TASK.metrics.values():
        assert metric.interval(np.full(5, 3.0), np.full(5, 3.0)) == (0, 0)


def test_the_answer_is_the_label():
    answer = np.array([1.5, 2.0])
    assert TASK.outputs == ("value",)
    assert TASK.decide(answer, TASK.decision(answer, answer)) is None
    assert TASK.records(answer, None) == [1.5, 2.0]
    assert TASK.columns(answer).keys() == {"value"}
    assert (TASK.from_columns(TASK.columns(answer)) == answer).all()
    assert TASK.confusion(answer, answer, {}) is None
    assert TASK.class_names == ()


def test_answers_of_a_model_with_another_scale_are_taken_as_they_are():
    answer = np.array([1.5, 2.0])
    assert TASK.translate(answer, Regression(1, 2)) is answer


def test_a_group_has_its_median_and_a_group_of_few_that_of_all():
    group = np.repeat([0, 1, 2], [101, 19, 40])
    label = np.concatenate([np.arange(101.0), np.full(19, 1000.0), np.full(40, -5.0)])
    answers = TASK.group_answers(group, label, 4)
    assert answers.tolist() == [50, np.median(label), -5, np.median(label)]


def test_a_linear_regression_follows_a_line_and_no_single_row():
    inputs = RNG.normal(size=(500, 2)).astype("float32")
    label = 100 + inputs @ [3, -2] + RNG.normal(size=500) * 0.1
    wild = np.append(label[:-5], [1e5] * 5)
    task = Regression().learn(wild)
    answer = task.linear(inputs, wild, unseen=inputs)
    assert np.median(np.abs(answer - label)) < 0.2


def test_leaks_are_looked_for_above_and_below_the_middle():
    [(what, asked)] = TASK.questions(np.array([1.0, 5.0, 3.0])).items()
    assert what == "a label above 3"
    assert asked.tolist() == [0, 1, 0]


def test_it_is_stored_with_what_it_learned():
    assert from_dict(json.loads(json.dumps(TASK.to_dict()))) == TASK


def test_curves_say_how_far_off_the_answers_are():
    label = RNG.normal(size=1000)
    curves = TASK.curves(label, np.zeros(1000))
    off, share = np.array(curves["residuals"]).T
    assert (np.diff(off) >= 0).all()
    assert np.interp(0.5, share, off) == pytest.approx(np.median(label), abs=0.1)
    assert sum(rows for *_, rows in curves["calibration"]) == 1000


def test_r2_may_be_below_zero_and_so_may_its_lower_bound():
    label, answer = np.random.default_rng(0).normal(size=(2, 200))
    metric = TASK.metrics["r2"]
    lower, upper = metric.interval(label, answer)
    assert lower < metric.value(label, answer) < upper
