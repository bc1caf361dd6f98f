"""What a label is, what an answer means, and the two baselines."""

from __future__ import annotations

from typing import get_args

import msgspec
import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.errors import DataError
from runtime_lib.settings import Registry
from runtime_lib.task import binary

RNG = np.random.default_rng(1)


def test_the_column_that_ranks_best_is_chosen():
    label = RNG.integers(0, 2, 2000).astype("float32")
    rows = {"noise": RNG.normal(size=2000), "known": np.where(label == 1, "late", "early").astype(object)}
    columns = (Column("noise", "number"), Column("known", "category"))
    unseen = {"noise": np.zeros(3), "known": np.array(["late", "early", "never seen"], dtype=object)}
    name, probability = binary.naive(rows, label, columns, unseen=unseen)
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
    assert binary.naive(rows, label, columns, unseen=rows)[0] == "calls"


def test_a_value_that_fills_a_bin_has_it_to_itself():
    refunds = np.append(np.zeros(960), np.arange(1.0, 41.0))
    label = (refunds > 0).astype(np.int64)
    _, rate = binary.naive(
        {"x": refunds}, label, [Column("x", "number")], unseen={"x": np.array([0.0, 7.0, np.nan])}
    )
    assert rate[0] < 0.01
    assert rate[1] > 0.9
    assert rate[2] == pytest.approx(0.04)


def test_a_number_is_cut_into_bins_and_missing_is_a_bin_of_its_own():
    x = RNG.normal(size=4000)
    x[:400] = np.nan
    label = (np.abs(np.nan_to_num(x, nan=3)) > 1).astype("float32")
    _, probability = binary.naive(
        {"x": x}, label, (Column("x", "number"),), unseen={"x": np.array([np.nan, 0.0, 2.5])}
    )
    assert probability[0] > 0.95 > 0.1 > probability[1]
    assert probability[2] > 0.9


def test_a_logistic_regression_follows_a_line():
    inputs = RNG.normal(size=(500, 2)).astype("float32")
    label = (inputs @ [1, -2] > 0).astype("float32")
    assert binary.figures(label, binary.logistic(inputs, label, unseen=inputs))["roc_auc"] > 0.99


def test_one_class_cannot_be_judged():
    with pytest.raises(DataError, match="All 3 rows have the same label"):
        binary.figures(np.zeros(3), np.array([0.1, 0.2, 0.3]))


def test_a_label_is_0_or_1():
    values = [0, 1, 1.0, 2, 0.5, np.nan]
    assert binary.wrong_labels(values).tolist() == [False, False, False, True, True, True]
    assert binary.wrong_labels(pd.Series([True, False])).tolist() == [False, False]
    assert binary.wrong_labels(pd.Series([1, None], dtype="Int64")).tolist() == [False, True]
    assert binary.wrong_labels(pd.Series(["1", "yes"])).tolist() == [True, True]


def test_the_rarer_label_is_counted():
    assert [binary.rarer(np.array(label)) for label in ([], [1, 1], [0, 1, 1])] == [0, 0, 1]


@pytest.mark.filterwarnings("error")
def test_log_odds_become_probabilities_at_any_size():
    raw = np.array([-1000, -100, -1, 0, 1, 1000], dtype="float32")[:, None]
    probability = binary.answer(raw)
    assert probability.shape == (6,)
    assert probability == pytest.approx([0, np.exp(-100), 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])
    assert probability[1] > 0, "rows far below 0 keep their order"


def test_the_threshold_flags_as_many_rows_as_have_label_1():
    label = (RNG.random(1000) < 0.3).astype("float32")
    probability = RNG.random(1000)
    flagged = binary.decide(probability, binary.threshold(label, probability))
    assert flagged.sum() == pytest.approx(label.sum(), abs=1)


def test_the_gate_takes_the_tasks_metrics():
    [metric] = [field for field in msgspec.structs.fields(Registry) if field.name == "metric"]
    assert get_args(metric.type) == tuple(binary.METRICS)
    assert metric.default == binary.METRIC.name


def test_a_gain_follows_the_metrics_direction():
    assert binary.METRIC.gain(0.8, 0.7) == pytest.approx(0.1)
    assert binary.Metric("brier", "Brier score", best=0, guessed=0.25).gain(0.2, 0.1) == pytest.approx(-0.1)


def test_the_standard_error_is_that_of_the_published_example():
    # Hanley & McNeil 1982: area 0.893, 51 abnormal and 58 normal images, standard error 0.032
    assert binary.standard_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.0015)


def test_the_bounds_of_an_average_precision_cover_it_nine_times_of_ten():
    """On 30 % ones with a shift of 1.19, where a million rows give an average precision of 0.644."""
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        label = (random.random(600) < 0.3).astype(float)
        probability = 1 / (1 + np.exp(-(random.normal(size=600) + 1.19 * label)))
        live = binary.figures(label, probability)["average_precision"]
        lower, upper = binary.bounds(live, label, "average_precision")
        held += lower <= 0.644 <= upper
    assert 0.84 <= held / 200 <= 0.97


@pytest.mark.parametrize("live", [0.0, 1.0])
def test_the_bounds_of_an_average_precision_stay_between_0_and_1(live):
    lower, upper = binary.bounds(live, np.array([1.0] * 20 + [0.0] * 80), "average_precision")
    assert 0 <= lower <= live <= upper <= 1
    assert 0.05 < upper - lower < 0.3


def test_the_bounds_of_an_auc_cover_it_nine_times_of_ten():
    """Both together 90 %: of 400 samples from one population."""
    truth, covered = 0.7602, 0  # of two normal distributions one standard deviation apart
    for _ in range(400):
        label = (RNG.random(300) < 0.4).astype(int)
        score = RNG.normal(size=300) + label
        lower, upper = binary.bounds(binary.figures(label, 1 / (1 + np.exp(-score)))["roc_auc"], label)
        covered += lower <= truth <= upper
    assert 340 <= covered <= 380


def test_a_value_missing_only_in_the_rows_to_predict_gets_the_overall_rate():
    x = RNG.normal(size=1000)
    label = (x > 0).astype("float32")
    columns = (Column("x", "number"),)
    _, probability = binary.naive({"x": x}, label, columns, unseen={"x": np.array([np.nan, 2.0])})
    assert probability[0] == pytest.approx(label.mean())
    assert probability[1] > 0.9


def test_curves_have_few_points_and_the_area_that_the_figures_say():
    random = np.random.default_rng(4)
    probability = random.random(20_000)
    label = (random.random(20_000) < probability**2).astype(int)
    drawn, known = binary.curves(label, probability), binary.figures(label, probability)
    for kind, figure in (("roc", "roc_auc"), ("precision_recall", "average_precision")):
        x, y = np.array(drawn[kind]).T
        assert len(x) <= 62
        assert (np.diff(x) >= 0).all()
        assert np.trapezoid(y, x) == pytest.approx(known[figure], abs=0.02)
    mean, share, rows = np.array(drawn["calibration"]).T
    assert rows.tolist() == [2000] * 10
    assert share == pytest.approx(mean**2, abs=0.05)


def test_curves_of_few_rows_and_of_ties_can_be_drawn():
    drawn = binary.curves(np.array([0, 1, 1]), np.array([0.2, 0.9, 0.9]))
    assert drawn["roc"] == [[0, 0], [0, 1], [1, 1]]
    assert drawn["precision_recall"][0] == [1, 1]
    assert len(drawn["calibration"]) == 3
    with pytest.raises(DataError, match="same label"):
        binary.curves(np.zeros(3), np.zeros(3))


def test_confusion_counts_every_row_once():
    label, probability = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.7, 0.2, 0.9, 0.5])
    assert binary.confusion(label, probability, 0.5) == [[2, 1], [1, 1]]
