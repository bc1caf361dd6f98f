"""A table is checked against the columns before training and before every prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import Column, check_rows, columns_of
from runtime_lib.errors import DataError

COLUMNS = (
    Column("distance", "number"),
    Column("temp", "number", nullable=True),
    Column("carrier", "category"),
)


def rows(**changes):
    return {"distance": [1, 2], "temp": [3.5, None], "carrier": ["UA", "B6"], **changes}


def test_good_rows_become_typed_arrays():
    checked = check_rows(rows(), COLUMNS)
    assert list(checked) == ["distance", "temp", "carrier"]
    assert checked["distance"].dtype == np.float64
    assert np.isnan(checked["temp"][1])
    assert checked["carrier"].tolist() == ["UA", "B6"]


def test_a_dataframe_gives_the_same_as_lists():
    from_table = check_rows({c: pd.DataFrame(rows())[c].to_numpy() for c in rows()}, COLUMNS)
    from_lists = check_rows(rows(), COLUMNS)
    for name in from_lists:
        np.testing.assert_array_equal(from_table[name], from_lists[name])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"distance": ["far", 2]}, "'distance', row 0: 'far' is not a number"),
        ({"distance": [1, float("inf")]}, "'distance', row 1: inf is not a finite number"),
        ({"distance": [1, 10**400]}, "'distance', row 1: inf is not a finite number"),
        ({"distance": [1, None]}, "'distance', row 1: a value is missing"),
        ({"distance": [[1], 2]}, r"'distance', row 0: \[1\] is not a number"),
        ({"distance": [1, 2, 3]}, "differ in length"),
        ({"carrier": ["UA", 7]}, "'carrier', row 1: 7 is not text"),
        ({"carrier": [None, "UA"]}, "'carrier', row 0: a value is missing"),
        ({"wind": [1, 2]}, "'wind' is unknown"),
    ],
)
def test_a_bad_value_is_named_with_its_place(changes, named):
    with pytest.raises(DataError, match=named):
        check_rows(rows(**changes), COLUMNS)


def read(rows, columns):
    """The checked rows as bytes, or the words of the refusal."""
    try:
        checked = check_rows(rows, columns)
    except DataError as error:
        return str(error)
    return [
        (name, of.dtype, of.tobytes() if of.dtype != object else of.tolist()) for name, of in checked.items()
    ]


MIXED = (
    Column("a", "number"),
    Column("t", "category"),
    Column("b", "number", nullable=True),
    Column("u", "text", nullable=True),
    Column("c", "number"),
)
ODD = (None, True, 7, 2**53 + 1, 2**63, -(2**64), 10**400, np.nan, np.inf, -0.0, 5e-324, "1.5", np.str_("x"))
ODD = (*ODD, b"x", [1.0], np.float32(0.1), np.int64(3), pd.NA, pd.NaT, 1 + 2j, {})


def test_lists_of_json_are_read_as_what_is_read_value_by_value():
    """A tuple is no list of JSON's, and takes the other way."""
    random, refused = np.random.default_rng(4), 0
    for _ in range(1_500):
        count = int(random.integers(1, 5))
        lists = {
            c.name: random.normal(size=count).tolist() if c.kind == "number" else ["x"] * count for c in MIXED
        }
        for _ in range(random.integers(3)):
            lists[random.choice([*lists])][random.integers(count)] = ODD[random.integers(len(ODD))]
        found = read(lists, MIXED)
        assert found == read({name: tuple(values) for name, values in lists.items()}, MIXED)
        refused += isinstance(found, str)
    assert 300 < refused < 1_000


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="'carrier' is missing"):
        check_rows({"distance": [1], "temp": [2]}, COLUMNS)


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="no rows"):
        check_rows(rows(distance=[], temp=[], carrier=[]), COLUMNS)


def test_columns_are_described_by_what_they_hold():
    table = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "c": ["a", None], "id": ["1", "2"]})
    assert columns_of(table, without=["id"]) == (
        Column("n", "number"),
        Column("x", "number", nullable=True),
        Column("c", "category", nullable=True),
    )


def test_a_time_is_not_an_input():
    with pytest.raises(DataError, match="'when' is of type datetime64"):
        columns_of(pd.DataFrame({"when": pd.to_datetime(["2013-01-01"])}))
