"""Raw columns as trees take them."""

from __future__ import annotations

import json

import numpy as np

from runtime_lib.data.columns import Column
from runtime_lib.training.trainers.levels import Levels

COLUMNS = (Column("size", "number", True), Column("kind", "category", True), Column("age", "number", False))


def table(**columns):
    return {name: np.array(v, dtype=object if name == "kind" else float) for name, v in columns.items()}


LEVELS = Levels.fit(table(size=[1, 2, np.nan], kind=["b", "a", None], age=[5, 6, 7]), COLUMNS)


def test_numbers_stay_and_categories_become_places_among_the_sorted_levels():
    matrix = LEVELS.matrix(table(size=[np.nan, 1e9], kind=["a", "b"], age=[5, 6]))
    assert np.array_equal(matrix, [[np.nan, 0, 5], [1e9, 1, 6]], equal_nan=True)
    assert LEVELS.categories == [1]


def test_a_level_that_training_did_not_have_is_missing():
    codes = LEVELS.matrix(table(size=[1, 1, 1], kind=["zz", None, "a"], age=[1, 1, 1]))[:, 1]
    assert np.array_equal(codes, [np.nan, np.nan, 0], equal_nan=True)


def test_the_order_of_the_columns_survives_json_with_sorted_keys():
    stored = json.loads(json.dumps(LEVELS.to_dict(), sort_keys=True))
    assert Levels.from_dict(stored) == LEVELS
    assert Levels.from_dict(stored).names == ["size", "kind", "age"]
