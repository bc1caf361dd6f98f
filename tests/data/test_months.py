"""Months are ingested whole, turned into features, and split by time."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from runtime_lib.data.calendar import complete_on, newest_complete
from runtime_lib.data.months import ingest, make_features, months, split
from runtime_lib.data.reads import Read, plan
from runtime_lib.data.validation import validate
from runtime_lib.errors import DataError, SettingsError


def month_table(month: str) -> pd.DataFrame:
    days = pd.date_range(f"{month}-01", periods=4, tz="UTC")
    return pd.DataFrame({"id": [f"{d:%F}" for d in days], "time": days, "x": range(4), "label": [0, 1, 0, 1]})


def test_months_include_both_ends_and_cross_the_year():
    assert months("2012-11", "2013-02") == ["2012-11", "2012-12", "2013-01", "2013-02"]


@pytest.mark.parametrize("first", ["2013", "2013-13", "january", 201301])
def test_a_month_that_is_none_is_refused(first):
    with pytest.raises(SettingsError, match=f"data.first = '?{first}'?"):
        months(first, "2013-12")


def test_an_end_before_the_start_is_refused():
    with pytest.raises(SettingsError, match="lies before"):
        months("2013-02", "2013-01")


def test_an_empty_month_is_named_and_nothing_is_left(tmp_path):
    def load(month):
        return month_table(month).head(0 if month == "2013-02" else 4)

    with pytest.raises(DataError, match="2013-02 has no rows"):
        ingest(load, tmp_path / "raw", first="2013-01", last="2013-03")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def features(tmp_path):
    ingest(month_table, tmp_path / "raw", first="2013-01", last="2013-05")
    make_features(lambda raw: raw, tmp_path / "raw", tmp_path / "features")
    return tmp_path / "features"


def test_the_split_keeps_the_order_of_time(features, tmp_path):
    split(features, tmp_path / "split", validation=1, test=2)
    parts = [
        pd.read_parquet(tmp_path / "split" / f"{name}.parquet") for name in ("train", "validation", "test")
    ]
    assert [len(part) for part in parts] == [8, 4, 8]
    assert parts[0]["time"].max() < parts[1]["time"].min()
    assert parts[1]["time"].max() < parts[2]["time"].min()


@pytest.mark.parametrize(("validation", "test"), [(0, 1), (1, 0), (3, 2)])
def test_a_split_that_leaves_nothing_is_refused(features, tmp_path, validation, test):
    with pytest.raises(SettingsError, match="5 months cannot be split"):
        split(features, tmp_path / "split", validation=validation, test=test)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda t: t.drop(columns="label"), "no column 'label' for 2013-01"),
        (lambda t: t.assign(id="same"), "id 'same' twice"),
        (
            lambda t: t.assign(label=2),
            r"labels \[2\] for 2013-01 \(the first in row 0\); each must be 0 or 1, as task.kind",
        ),
        (lambda t: t.assign(label=[*t["label"][1:], None]), r"labels \[nan\] for 2013-01"),
        (lambda t: t.head(0), "no rows for 2013-01"),
    ],
)
def test_features_without_keys_are_refused(features, tmp_path, spoil, named):
    with pytest.raises(DataError, match=named):
        make_features(spoil, tmp_path / "raw", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_validation_names_month_column_rule_and_rows(tmp_path):
    import pandera.pandas as pa

    def load(month):
        table = month_table(month)
        return table.assign(x=table["x"].where(table.index != 2, -5)) if month == "2013-02" else table

    ingest(load, tmp_path / "raw", first="2013-01", last="2013-02")
    schema = pa.DataFrameSchema({"x": pa.Column(int, pa.Check.ge(0)), "label": pa.Column(int)}, unique=["id"])
    with pytest.raises(
        DataError, match=r"2013-02: column 'x', rule greater_than_or_equal_to\(0\): row 2, value -5"
    ):
        validate(schema, tmp_path / "raw", tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("values", "kind", "named"),
    [
        (
            [True, None, False],
            bool,
            r"rule dtype\('bool'\): the column is 'object' \(yes and no with missing",
        ),
        (
            [1990.0, None, 1980.0],
            int,
            r"rule dtype\('int64'\): row 1, value nan \(whole numbers with missing",
        ),
    ],
)
def test_a_type_without_missing_values_says_what_to_use(tmp_path, values, kind, named):
    import pandera.pandas as pa

    (tmp_path / "raw").mkdir()
    pd.DataFrame({"x": values}).to_parquet(tmp_path / "raw/2013-01.parquet")
    schema = pa.DataFrameSchema({"x": pa.Column(kind, nullable=True)})
    with pytest.raises(DataError, match=named):
        validate(schema, tmp_path / "raw", tmp_path / "report.json")
    # What it says is what works.
    kinds = {bool: pa.Column("boolean", nullable=True, coerce=True), int: pa.Column(float, nullable=True)}
    validate(pa.DataFrameSchema({"x": kinds[kind]}), tmp_path / "raw", tmp_path / "report.json")


def test_a_column_of_another_type_without_missing_values_gets_no_such_advice(tmp_path):
    import pandera.pandas as pa

    (tmp_path / "raw").mkdir()
    pd.DataFrame({"x": ["a", "b"]}).to_parquet(tmp_path / "raw/2013-01.parquet")
    with pytest.raises(DataError, match=r"rule dtype\('int64'\)") as caught:
        validate(pa.DataFrameSchema({"x": pa.Column(int)}), tmp_path / "raw", tmp_path / "report.json")
    assert "missing values" not in str(caught.value)


def test_a_damaged_month_is_named(features, tmp_path):
    (features / "2013-03.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"2013-03.parquet cannot be read"):
        split(features, tmp_path / "split", validation=1, test=1)


def test_months_that_are_labelled_in_part_are_named(features, tmp_path, capsys):
    def known(raw):
        return raw[(raw["time"].dt.month < 4) | (raw["x"] < 1)]

    make_features(known, tmp_path / "raw", tmp_path / "again")
    said = capsys.readouterr().err
    assert "no label: 6 rows, in 2013-04 (3 of 4), 2013-05 (3 of 4)." in said
    make_features(lambda raw: raw, tmp_path / "raw", tmp_path / "again")
    assert "no label" not in capsys.readouterr().err


def test_a_load_that_fails_or_returns_no_table_names_the_month(tmp_path):
    with pytest.raises(KeyError) as caught:
        ingest(lambda month: {}[month], tmp_path / "raw", first="2013-01", last="2013-02")
    assert "load('2013-01')" in caught.value.__notes__[0]
    with pytest.raises(DataError, match=r"load\('2013-01'\) returned list, not a table"):
        ingest(lambda month: [], tmp_path / "raw", first="2013-01", last="2013-02")


@pytest.mark.parametrize(
    ("today", "labels_after", "newest"),
    [
        (date(2025, 1, 1), 0, "2024-12"),
        (date(2025, 1, 30), 30, "2024-11"),
        (date(2025, 1, 31), 30, "2024-12"),
        (date(2024, 3, 1), 1, "2024-01"),
    ],
)
def test_the_newest_complete_month(today, labels_after, newest):
    assert newest_complete(today, labels_after) == newest
    assert complete_on(newest, labels_after) <= today


def test_a_plan_says_why_each_month_is_read():
    def read(day, **more):
        moment = datetime(2025, 1, day, tzinfo=UTC)
        return Read(**{"read": moment, "key": "k", "rows": 1, "digest": "d", **more})

    reads = {
        "2024-10": read(5),
        "2024-11": read(5, key="other"),
        "2024-09": read(5, again=True),
        "2024-12": read(5),
    }
    months = ["2024-09", "2024-10", "2024-11", "2024-12", "2025-01"]
    assert plan(months, reads, today=date(2025, 1, 31), labels_after=30, key="k") == {
        "2024-09": "asked for",
        "2024-10": "",
        "2024-11": "what reads it has changed",
        "2024-12": "complete since 2025-01-31, last read on 2025-01-05",
        "2025-01": "new",
    }
    assert plan(["2024-12"], reads, today=date(2025, 1, 30), labels_after=30) == {"2024-12": ""}
