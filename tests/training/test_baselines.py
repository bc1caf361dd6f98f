"""The naive baseline is the best single column; the figures are the field's."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.errors import DataError
from runtime_lib.task.binary import binary_metrics
from runtime_lib.training.baselines import logistic_probability, naive_probability

RNG = np.random.default_rng(1)


def test_the_column_that_ranks_best_is_chosen():
    label = RNG.integers(0, 2, 2000).astype("float32")
    rows = {"noise": RNG.normal(size=2000), "told": np.where(label == 1, "late", "early").astype(object)}
    columns = (Column("noise", "number"), Column("told", "category"))
    target = {"noise": np.zeros(3), "told": np.array(["late", "early", "never seen"], dtype=object)}
    name, probability = naive_probability(rows, label, columns, target=target)
    assert name == "told"
    assert probability[0] > 0.9
    assert probability[1] < 0.1
    assert probability[2] == pytest.approx(label.mean(), rel=1e-4)


def test_a_number_is_cut_into_bins_and_missing_is_a_bin_of_its_own():
    x = RNG.normal(size=4000)
    x[:400] = np.nan
    label = (np.abs(np.nan_to_num(x, nan=3)) > 1).astype("float32")
    _, probability = naive_probability(
        {"x": x}, label, (Column("x", "number"),), target={"x": np.array([np.nan, 0.0, 2.5])}
    )
    assert probability[0] > 0.95 > 0.1 > probability[1]
    assert probability[2] > 0.9


def test_a_logistic_regression_follows_a_line():
    inputs = RNG.normal(size=(500, 2)).astype("float32")
    label = (inputs @ [1, -2] > 0).astype("float32")
    assert binary_metrics(label, logistic_probability(inputs, label, target=inputs))["roc_auc"] > 0.99


def test_one_class_cannot_be_judged():
    with pytest.raises(DataError, match="All 3 rows have the same label"):
        binary_metrics(np.zeros(3), np.array([0.1, 0.2, 0.3]))
