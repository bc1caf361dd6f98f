"""The same values give the same profile, whatever library holds them."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from runtime_lib.errors import DataError
from runtime_lib.profiles.table import profile_table
from runtime_lib.profiles.values import coded_names, count_names, is_missing, kind_of, numbers

NUMBERS = {
    "list": [1, 2, None, 2],
    "numpy": np.array([1, 2, np.nan, 2]),
    "numpy, masked": np.ma.array([1.0, 2.0, 9.0, 2.0], mask=[0, 0, 1, 0]),
    "numpy, half": np.array([1, 2, np.nan, 2], dtype="f2"),
    "numpy, long": np.array([1, 2, np.nan, 2], dtype="g"),
    "numpy, other byte order": np.array([1, 2, np.nan, 2], dtype=">f8"),
    "numpy, objects": np.array([1, 2.0, None, np.nan], object)[[0, 1, 2, 1]],
    "arrow": pa.array([1, 2, None, 2]),
    "arrow, half": pa.array([1, 2, None, 2], pa.float32()),
    "arrow, chunked": pa.chunked_array([[1, 2], [None], [2]]),
    "arrow, sliced": pa.array([9, 1, 2, None, 2, 9])[1:5],
    "arrow, dictionary": pa.array([1, 2, None, 2]).dictionary_encode(),
    "arrow, decimal": pa.array([Decimal(1), Decimal(2), None, Decimal(2)]),
    "pandas": pd.Series([1, 2, None, 2]),
    "pandas, nullable": pd.Series([1, 2, None, 2], dtype="Int64"),
    "pandas, arrow": pd.Series([1, 2, None, 2], dtype="int64[pyarrow]"),
    "pandas, categorical": pd.Series([1, 2, None, 2], dtype="category"),
    "pandas, sparse": pd.Series(pd.arrays.SparseArray([1, 2, np.nan, 2])),
    "arrow, span": pa.array([1, 2, None, 2], pa.duration("s")),
    "arrow, time of day": pa.array([1_000, 2_000, None, 2_000], pa.time32("ms")),
    "numpy, span": np.array([1, 2, "NaT", 2], dtype="m8[s]"),
}
NAMES = {
    "list": ["a", "b", None, "b"],
    "numpy, objects": np.array(["a", "b", np.nan, "b"], object),
    "arrow": pa.array(["a", "b", None, "b"]),
    "arrow, large": pa.array(["a", "b", None, "b"], pa.large_string()),
    "arrow, view": pa.array(["a", "b", None, "b"], pa.string_view()),
    "arrow, dictionary": pa.array(["a", "b", None, "b"]).dictionary_encode(),
    "arrow, dictionary with repeats": pa.DictionaryArray.from_arrays([0, 1, 3, 2], ["a", "b", "b", None]),
    "arrow, dictionaries": pa.chunked_array(
        [pa.array(part).dictionary_encode() for part in (["a", "b"], [None, "b"])]
    ),
    "pandas, objects": pd.Series(["a", "b", pd.NaT, "b"], dtype=object),
    "pandas, texts": pd.Series(["a", "b", None, "b"]),
    "pandas, categorical": pd.Series(["a", "b", None, "b"], dtype="category"),
}
HOUR = 3_600
MOMENTS = {
    "list": [dt.datetime(1970, 1, 1, 1, tzinfo=dt.UTC), None],
    "numpy": np.array(["1970-01-01T01", "NaT"], dtype="M8[ms]"),
    "arrow": pa.array([HOUR, None], pa.timestamp("s")),
    "arrow, zone": pa.array([HOUR * 10**9, None], pa.timestamp("ns", "Europe/Berlin")),
    "pandas": pd.Series(pd.to_datetime(["1970-01-01 01:00", None])),
    "pandas, zone": pd.Series(pd.to_datetime(["1970-01-01 02:00", None])).dt.tz_localize("Europe/Berlin"),
}
TRUTHS = {
    "list": [True, False, None],
    "numpy, objects": np.array([True, False, None], object),
    "arrow": pa.array([True, False, None]),
    "pandas": pd.Series([True, False, None], dtype="boolean"),
}


def cases(table):
    return pytest.mark.parametrize("values", table.values(), ids=table.keys())


@cases(NUMBERS)
def test_numbers(values):
    assert kind_of(values) == "number"
    np.testing.assert_array_equal(numbers(values, "x"), [1, 2, np.nan, 2])


@cases(NAMES)
def test_names(values):
    assert kind_of(values) == "category"
    assert count_names(values) == ({"a": 1, "b": 2}, 1)


@cases(MOMENTS)
def test_moments_are_seconds(values):
    assert kind_of(values) == "number"
    np.testing.assert_array_equal(numbers(values, "x"), [HOUR, np.nan])


def test_a_moment_between_microseconds_is_a_number():
    assert numbers(pa.array([1_500_000_001], pa.timestamp("ns")), "x") == pytest.approx(1.5, abs=1e-8)


def test_a_day_is_a_number():
    assert numbers(pa.array([dt.date(1970, 1, 2)]), "x") == pytest.approx(24 * HOUR)


@cases(TRUTHS)
def test_truths_are_names(values):
    assert kind_of(values) == "category"
    assert count_names(values) == ({"True": 1, "False": 1}, 1)


def test_values_of_several_types_are_names():
    mixed = pd.Series(["a", 1, None, 2.5, pd.NA], dtype=object)
    assert kind_of(mixed) == "category"
    assert count_names(mixed) == ({"a": 1, "1": 1, "2.5": 1}, 2)


@pytest.mark.parametrize(
    "values",
    [
        *(NAMES[name] for name in ("list", "numpy, objects", "pandas, objects", "pandas, texts")),
        [1, True, 1.0, None, "1"],
        [float("nan"), float("nan"), 2.0],
        [["a"], ["a"], None],
        [],
    ],
    ids=str,
)
def test_names_by_their_places_are_those_of_each_row(values):
    names, codes = coded_names(values)
    texts = [None if is_missing(value) else str(value) for value in values]
    assert [[*names, None][code] for code in codes] == texts
    assert len(set(names)) == len(names)


def test_polars_is_understood():
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({"x": [1, 2, None, 2], "y": ["a", "b", None, "b"]}).with_columns(
        z=pl.col("y").cast(pl.Categorical)
    )
    profile = profile_table([table])
    assert profile.kinds == {"x": "number", "y": "category", "z": "category"}
    assert profile.columns["x"].nulls == 1
    assert profile.columns["y"].counts == profile.columns["z"].counts == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "values",
    [
        np.array([b"a"]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.nulls(3),
        pd.Series(pd.interval_range(0, 2)),
    ],
    ids=str,
)
def test_what_is_neither_is_neither(values):
    assert kind_of(values) is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["much"], "Failed to parse string: 'much'"),
        (pd.Series(["1", "much"]), "much"),
        (np.array(["much"]), "much"),
        (pa.array([[1]]), "list"),
        (pd.Series([1, "much"], dtype=object), "much"),
        (pd.Series(["much"], dtype="category"), "much"),
        (np.ones((2, 2)), "2 dimensions"),
    ],
)
def test_a_column_of_numbers_that_holds_others_is_named(values, why):
    with pytest.raises(DataError, match=rf"Column 'height' is to hold numbers but holds others: .*{why}"):
        numbers(values, "height")
