"""The types of raw rows: what JSON and CSV cannot say is known from the months."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from runtime_lib.data.raw import RawTypes, as_json, as_stored, read_types, write_types
from runtime_lib.errors import DataError
from runtime_lib.tables import read_table

DAYS = ["2025-01-05T10:00:00.123456", "2025-03-30T01:30:00", "2025-10-26T00:30:00"]
TABLE = pd.DataFrame(
    {
        "whole": [1, 2**53 + 1, -3],
        "gaps": [1.5, None, 0.1 + 0.2],
        "masked": pd.array([1, None, 3], dtype="Int64"),
        "yes": [True, False, True],
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "code": ["007", None, "NA"],
        "utc": pd.to_datetime(DAYS, format="ISO8601", utc=True),
        "vienna": pd.to_datetime(DAYS, format="ISO8601", utc=True).tz_convert("Europe/Vienna"),
        "naive": pd.to_datetime(DAYS, format="ISO8601"),
        "late": pd.to_datetime([None, *DAYS[1:]], format="ISO8601", utc=True),
        "span": pd.to_timedelta(["1 days 00:00:01", None, "3 ms"]),
        "kind": pd.Categorical(["a", "b", "a"]),
        "date": [date(2025, 1, 5), None, date(2025, 1, 6)],
        "money": [Decimal("1.10"), Decimal("2.25"), None],
    }
)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "2025-01.parquet"
    TABLE.to_parquet(path, index=False)
    return path


def test_rows_through_json_are_those_of_the_month(month: Path, tmp_path: Path) -> None:
    write_types(RawTypes.of([month]), tmp_path)
    types = read_types(tmp_path)
    assert types is not None
    stored = as_stored(TABLE)
    sent = json.loads(json.dumps(as_json(stored), allow_nan=False))
    assert_frame_equal(types.parse(sent), stored)
    for row in range(len(TABLE)):  # one at a time: a gap that is not in the row changes no type
        one = types.parse({name: values[row : row + 1] for name, values in sent.items()})
        for name in set(TABLE) - {"kind"}:
            assert str(one[name].dtype) == str(stored[name].dtype), name
            assert_frame_equal(one[[name]], stored[[name]].iloc[[row]].reset_index(drop=True))


def test_a_csv_file_gets_the_months_types(month: Path, tmp_path: Path) -> None:
    types = RawTypes.of([month])
    columns = ["whole", "gaps", "yes", "code", "utc", "vienna", "naive", "late"]
    TABLE[columns].to_csv(tmp_path / "rows.csv", index=False)
    table = read_table(tmp_path / "rows.csv", text=types.text)
    assert_frame_equal(types.cast(table), as_stored(TABLE[columns]))


def test_months_that_differ_have_the_type_that_holds_both(tmp_path: Path) -> None:
    months = {
        "2025-01": {"n": [1, 2], "flag": [True, False], "open": [None, None], "mixed": ["a", "b"]},
        "2025-02": {"n": [1.0, None], "flag": [True, True], "open": ["yes", None], "mixed": [1, 2]},
    }
    for name, columns in months.items():
        pd.DataFrame(columns).to_parquet(tmp_path / f"{name}.parquet")
    types = RawTypes.of(sorted(tmp_path.glob("*.parquet")))
    assert types.columns == {"n": "float64", "flag": "bool", "open": "str", "mixed": "object"}
    assert str(types.cast(pd.DataFrame(months["2025-01"]))["n"].dtype) == "float64"


def test_months_of_several_zones_are_named(tmp_path):
    for month, zone in (("2025-01", "UTC"), ("2025-02", "America/New_York")):
        at = pd.to_datetime([f"{month}-05T10:00:00"], utc=True).tz_convert(zone)
        pd.DataFrame({"at": at}).to_parquet(tmp_path / f"{month}.parquet", index=False)
    files = sorted(tmp_path.glob("*.parquet"))
    types = RawTypes.of(files)
    with pytest.raises(
        DataError, match=r"'at' has times of several zones.*here America/New_York.*tz_convert"
    ):
        types.cast(read_table(files[1]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"whole": [1, "2"]}, "Raw column 'whole', row 1: '2' is not a whole number"),
        ({"whole": [1.5]}, "row 0: 1.5 is not a whole number"),
        ({"gaps": [True]}, "row 0: True is not a number"),
        ({"code": [7]}, "'code', row 0: 7 is not text"),
        ({"utc": ["soon"]}, "'utc', row 0: 'soon' is not a time"),
        ({"utc": [1736071200]}, "row 0: 1736071200 is not a time"),
        ({"naive": ["2025-01-05T10:00:00Z"]}, "is not a time without an offset"),
        ({"date": ["05.01.2025"]}, "'05.01.2025' is not a date"),
        ({"whole": [10**30]}, "'whole' cannot be read as int64"),
        ({"wind": [1]}, "Raw column 'wind' is unknown. The raw months have: whole, gaps"),
        ({"whole": [1], "gaps": [1, 2]}, "differ in length"),
        ({"whole": []}, "no rows"),
        ({}, "no rows"),
    ],
)
def test_a_value_of_another_kind_is_named(month: Path, rows: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        RawTypes.of([month]).parse(rows)
