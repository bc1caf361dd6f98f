"""The C library of a booster answers as its package does, and is found with or without it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime_lib.errors import MissingExtraError, ModelError
from runtime_lib.training.trainers import c_library as of_library
from runtime_lib.training.trainers import lightgbm_c, xgboost_c
from runtime_lib.training.trainers.c_library import c_library

RNG = np.random.default_rng(11)


def make_matrix(rows):
    """Two numbers and a category of five levels, each with gaps."""
    matrix = np.column_stack([RNG.normal(size=(rows, 2)), RNG.integers(0, 5, rows)]).astype(np.float64)
    matrix[RNG.random(matrix.shape) < 0.1] = np.nan
    return matrix


MATRIX = make_matrix(600)
LABELS = {1: (np.nan_to_num(MATRIX[:, 0]) > 0).astype(int), 3: RNG.integers(0, 3, 600)}


def lightgbm(outputs):
    """The package's booster with its own answer, and ours."""
    package = pytest.importorskip("lightgbm")
    kind = {"objective": "multiclass", "num_class": 3} if outputs == 3 else {"objective": "binary"}
    table = package.Dataset(MATRIX, LABELS[outputs], categorical_feature=[2])
    booster = package.train({**kind, "verbosity": -1, "num_leaves": 8}, table, 20)
    scorer = lightgbm_c.Scorer(booster.model_to_string())
    return lambda rows: booster.predict(rows, raw_score=True), scorer


def xgboost(outputs):
    package = pytest.importorskip("xgboost")
    kind = (
        {"objective": "multi:softprob", "num_class": 3} if outputs == 3 else {"objective": "binary:logistic"}
    )
    types = ["q", "q", "c"]

    def table(rows, label=None):
        return package.DMatrix(rows, label=label, feature_types=types)

    booster = package.train({**kind, "max_depth": 3}, table(MATRIX, LABELS[outputs]), 20)
    scorer = xgboost_c.Scorer(bytes(booster.save_raw("ubj")), types)
    return lambda rows: booster.predict(table(rows), output_margin=True, strict_shape=True), scorer


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("make", [lightgbm, xgboost])
def test_every_digit_is_that_of_the_package(make, outputs):
    answer, scorer = make(outputs)
    rows = make_matrix(3_000)
    for some in (rows[:1], rows[:16], rows, np.asfortranarray(rows), rows[::7]):
        for threads in (1, 2, 0):
            found = scorer.raw(some, threads=threads)
            assert (found.dtype, found.shape) == (np.float64, (len(some), outputs))
            assert np.array_equal(found, np.asarray(answer(some), dtype=np.float64).reshape(found.shape))


@pytest.mark.parametrize("make", [lightgbm, xgboost])
def test_threads_that_ask_at_once_get_their_own_answers(make):
    _, scorer = make(3)
    asked = [make_matrix(size) for size in (1, 40, 3, 200) * 20]
    expected = [scorer.raw(rows, threads=1) for rows in asked]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda rows: scorer.raw(rows, threads=1), asked)
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "damaged", [lambda: lightgbm_c.Scorer("no model"), lambda: xgboost_c.Scorer(b"no model", ["q"])]
)
def test_what_is_no_model_is_refused(damaged):
    with pytest.raises(ModelError, match=r"(?s)cannot read the model: .+ Train it again"):
        damaged()


def test_rows_of_another_width_are_refused():
    _, scorer = lightgbm(1)
    with pytest.raises(ModelError, match="number of features"):
        scorer.raw(MATRIX[:, :2], threads=1)


def test_a_library_that_lies_elsewhere_is_asked_of_its_package(monkeypatch):
    pytest.importorskip("lightgbm")
    own = c_library("lightgbm", "lib_lightgbm", owner="lightgbm.basic")
    monkeypatch.setattr(of_library, "find_spec", lambda name: None)
    elsewhere = c_library.__wrapped__("lightgbm", "lib_lightgbm", owner="lightgbm.basic")
    assert elsewhere._name == own._name


def test_a_package_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.setattr(of_library, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="lightgbm"):
        c_library.__wrapped__("lightgbm", "lib_lightgbm", owner="lightgbm.basic")
