"""Yes or no: what a label is, what an answer means, and how it is judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.task.binary import log_loss_rows, standard_error
from runtime_lib.task.kinds import BINARY

RNG = np.random.default_rng(1)


def test_a_logistic_regression_follows_a_line():
    inputs = RNG.normal(size=(500, 2)).astype("float32")
    label = (inputs @ [1, -2] > 0).astype("float32")
    assert BINARY.figures(label, BINARY.linear(inputs, label, unseen=inputs))["roc_auc"] > 0.99


def test_one_class_cannot_be_judged():
    with pytest.raises(DataError, match="All 3 rows have the same label"):
        BINARY.figures(np.zeros(3), np.array([0.1, 0.2, 0.3]))


def test_a_label_is_0_or_1():
    values = [0, 1, 1.0, 2, 0.5, np.nan]
    assert BINARY.wrong_labels(values).tolist() == [False, False, False, True, True, True]
    assert BINARY.wrong_labels(pd.Series([True, False])).tolist() == [False, False]
    assert BINARY.wrong_labels(pd.Series([1, None], dtype="Int64")).tolist() == [False, True]
    assert BINARY.wrong_labels(pd.Series(["1", "yes"])).tolist() == [True, True]


def test_the_rarer_label_is_counted():
    assert [BINARY.support(np.array(label)) for label in ([], [1, 1], [0, 1, 1])] == [0, 0, 1]


@pytest.mark.filterwarnings("error")
def test_log_odds_become_probabilities_at_any_size():
    raw = np.array([-1000, -100, -1, 0, 1, 1000], dtype="float32")[:, None]
    probability = BINARY.answer(raw)
    assert probability.shape == (6,)
    assert probability == pytest.approx([0, np.exp(-100), 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])
    assert probability[1] > 0, "rows far below 0 keep their order"


def test_the_threshold_flags_as_many_rows_as_have_label_1():
    label = (RNG.random(1000) < 0.3).astype("float32")
    probability = RNG.random(1000)
    flagged = BINARY.decide(probability, BINARY.decision(label, probability))
    assert flagged.sum() == pytest.approx(label.sum(), abs=1)


def test_a_gain_follows_the_metrics_direction():
    assert BINARY.metric.gain(0.8, 0.7) == pytest.approx(0.1)
    assert BINARY.metrics["brier"].gain(0.2, 0.1) == pytest.approx(-0.1)


def test_a_certain_answer_that_is_wrong_costs_much_but_not_everything():
    rows = log_loss_rows(np.array([0, 1, 1]), np.array([1.0, 1.0, 0.5]))
    assert rows[0] > 30
    assert rows == pytest.approx([rows[0], 0, np.log(2)])
    assert np.isfinite(rows).all()


def test_the_standard_error_is_that_of_the_published_example():
    # Hanley & McNeil 1982: area 0.893, 51 abnormal and 58 normal images, standard error 0.032
    assert standard_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.0015)


def test_the_bounds_of_an_average_precision_cover_it_nine_times_of_ten():
    """On 30 % ones with a shift of 1.19, where a million rows give an average precision of 0.644."""
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        label = (random.random(600) < 0.3).astype(float)
        probability = 1 / (1 + np.exp(-(random.normal(size=600) + 1.19 * label)))
        live = BINARY.figures(label, probability)["average_precision"]
        lower, upper = BINARY.metrics["average_precision"].interval(label, probability)
        assert lower < live < upper
        held += lower <= 0.644 <= upper
    assert 0.84 <= held / 200 <= 0.97


@pytest.mark.parametrize("live", [0.0, 1.0])
def test_the_bounds_of_an_average_precision_stay_between_0_and_1(live):
    lower, upper = BINARY.metrics["average_precision"].bounds(live, np.array([1.0] * 20 + [0.0] * 80))
    assert 0 <= lower <= live <= upper <= 1
    assert 0.05 < upper - lower < 0.3


def test_the_bounds_of_an_auc_cover_it_nine_times_of_ten():
    """Both together 90 %: of 400 samples from one population."""
    truth, covered = 0.7602, 0  # of two normal distributions one standard deviation apart
    for _ in range(400):
        label = (RNG.random(300) < 0.4).astype(int)
        score = RNG.normal(size=300) + label
        lower, upper = BINARY.metric.interval(label, 1 / (1 + np.exp(-score)))
        covered += lower <= truth <= upper
    assert 340 <= covered <= 380


def test_curves_have_few_points_and_the_area_that_the_figures_say():
    random = np.random.default_rng(4)
    probability = random.random(20_000)
    label = (random.random(20_000) < probability**2).astype(int)
    drawn, known = BINARY.curves(label, probability), BINARY.figures(label, probability)
    for kind, figure in (("roc", "roc_auc"), ("precision_recall", "average_precision")):
        x, y = np.array(drawn[kind]).T
        assert len(x) <= 62
        assert (np.diff(x) >= 0).all()
        assert np.trapezoid(y, x) == pytest.approx(known[figure], abs=0.02)
    mean, share, rows = np.array(drawn["calibration"]).T
    assert rows.tolist() == [2000] * 10
    assert share == pytest.approx(mean**2, abs=0.05)


def test_curves_of_few_rows_and_of_ties_can_be_drawn():
    drawn = BINARY.curves(np.array([0, 1, 1]), np.array([0.2, 0.9, 0.9]))
    assert drawn["roc"] == [[0, 0], [0, 1], [1, 1]]
    assert drawn["precision_recall"][0] == [1, 1]
    assert len(drawn["calibration"]) == 3
    with pytest.raises(DataError, match="same label"):
        BINARY.curves(np.zeros(3), np.zeros(3))


def test_confusion_counts_every_row_once():
    label, probability = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.7, 0.2, 0.9, 0.5])
    assert BINARY.confusion(label, probability, {"threshold": 0.5}) == [[2, 1], [1, 1]]
