"""What is seen before anything is trained: dates and ids taken for inputs, columns that are filled later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.leaks.keys import counting, key_levels
from runtime_lib.data.months import ingest, make_features, read_suspects, split
from runtime_lib.errors import DataError
from tests.support.planted import customers

FIRST, LAST = "2025-01", "2025-08"


def raw_customers():
    """As a database has them: 30 % still open, and a refund once it is known how it ended."""
    table = customers(3_000)
    open_rows = np.random.default_rng(2).random(len(table)) < 0.3
    bills = table["time"] - pd.to_timedelta(np.arange(len(table)) % 700, unit="D")
    return table.assign(
        label=table["label"].where(~open_rows),
        late=np.where(np.arange(len(table)) % 100 < 80, 1.0 + np.arange(len(table)), np.nan),
        refund=np.where(open_rows, np.nan, 7.0),
        last_bill=bills.dt.strftime("%Y-%m-%d"),
        nickname=[f"n{row % 1200}" for row in range(len(table))],
    )


def make(tmp_path, features, label=None):
    table = raw_customers()
    ingest(
        lambda month: table[table["time"].dt.strftime("%Y-%m") == month],
        tmp_path / "raw",
        first=FIRST,
        last=LAST,
    )
    make_features(features, tmp_path / "raw", tmp_path / "features", label)
    return {suspect.column: suspect.kind for suspect in read_suspects(tmp_path / "features")}


def inputs(raw, *more):
    return raw[["id", "time", "tenure", "city", *more]]


def outcome(raw):
    return raw["label"]


def closed(raw, *more):
    """`features` as before 0.6: with the label, and without the open rows."""
    raw = raw[raw["label"].notna()]
    return inputs(raw, *more).assign(label=raw["label"])


def test_a_column_filled_only_once_the_outcome_is_known(tmp_path, capsys):
    assert make(tmp_path, lambda raw: inputs(raw, "refund"), outcome) == {"refund": "afterwards"}
    said = capsys.readouterr().out
    assert "Too good to be true? refund (afterwards): filled in 100.0% of" in said
    assert "in service it will be missing" in said


@pytest.mark.parametrize("name", ["refund", "paid"])
def test_the_same_where_features_drops_the_open_rows(tmp_path, name):
    """Under another name, and with its gaps filled, it is still the raw column."""
    found = make(
        tmp_path, lambda raw: closed(raw, "refund").rename(columns={"refund": name}).fillna({name: 0})
    )
    assert found == {name: "afterwards"}


def test_rows_numbered_anew_are_not_mistaken_for_the_first_ones(tmp_path):
    """Sorted with the open rows last, "filled in the first rows only" would look like a leak."""

    def features(raw):
        return closed(raw.sort_values("late", kind="stable"), "late").reset_index(drop=True)

    assert make(tmp_path, features) == {}


def test_a_date_as_text_is_named_with_its_levels_and_what_to_do(tmp_path, capsys):
    """A newcomer's date gave 2,186 inputs, without a word."""
    assert make(tmp_path, lambda raw: inputs(raw, "last_bill"), outcome) == {"last_bill": "date"}
    said = capsys.readouterr().out
    assert "levels such as '2023-" in said
    assert "Turn it into numbers in features()" in said


def test_many_levels_that_are_neither_ids_nor_dates_are_said_and_stop_nothing(tmp_path, capsys):
    assert make(tmp_path, lambda raw: inputs(raw, "nickname"), outcome) == {}
    assert "'nickname' has 1,200 levels" in capsys.readouterr().out


def test_an_id_of_two_months_is_said(tmp_path, capsys):
    """Labels of one month were joined to predictions of another, and performance dropped in the report."""
    make(tmp_path, lambda raw: inputs(raw), outcome)
    assert "two months" not in capsys.readouterr().out

    def by_customer(raw):
        return inputs(raw).assign(id=[f"c{number}" for number in range(len(raw))])

    assert make(tmp_path / "again", by_customer, outcome) == {}
    assert "The id 'c0' is in two months" in capsys.readouterr().out


def test_the_split_takes_them_along(tmp_path):
    make(tmp_path, lambda raw: inputs(raw, "refund"), outcome)
    split(tmp_path / "features", tmp_path / "split", validation=1, test=1)
    assert [suspect.column for suspect in read_suspects(tmp_path / "split")] == ["refund"]


def test_honest_features_leave_no_file_of_suspects(tmp_path):
    assert make(tmp_path, inputs, outcome) == {}
    assert not (tmp_path / "features" / "suspects.json").exists()


def test_a_date_left_in_is_refused_before_the_training(tmp_path):
    with pytest.raises(DataError, match=r"Column 'seen' is of type datetime64.*Turn it into a number"):
        make(tmp_path, lambda raw: inputs(raw).assign(seen=raw["time"]), outcome)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    "shape",
    [
        "2025-03-09",
        "2025/3/9",
        "09.03.2025",
        "9/3/2025",
        "20250309",
        "2025-03-09 14:30",
        "2025-03-09T14:30:00.5Z",
    ],
)
def test_dates_are_known_in_every_usual_shape(shape):
    levels = {"d": [shape, *(shape.replace("9", str(n % 9)) + " " * (n // 9) for n in range(25))]}
    assert [suspect.kind for suspect in key_levels(levels, {"d": 10_000})] == ["date"]


@pytest.mark.parametrize("shape", ["2025", "2025-03", "Monday", "14:30", "DE-10115", "12-34-56", "1.2.3"])
def test_what_is_no_day_is_no_date(shape):
    levels = {"d": [f"{shape}{' ' * n}" for n in range(25)]}
    assert key_levels(levels, {"d": 10_000}) == []


@pytest.mark.parametrize(
    ("name", "levels", "rows", "found"),
    [
        ("code", 900, 1_000, True),  # nearly one a row
        ("customer_id", 5_500, 132_000, True),  # each of them 24 times, and called an id
        ("postcode", 5_500, 132_000, False),
        ("store_id", 300, 132_000, False),
        ("code", 15, 16, False),
    ],
)
def test_an_id_is_known_by_its_levels_and_name(name, levels, rows, found):
    values = {name: [f"k{number}" for number in range(levels)]}
    assert [suspect.kind for suspect in key_levels(values, {name: rows})] == ["identifier"] * found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.arange(1_000) + 70_000, True),
        (np.random.default_rng(1).permutation(1_000) * 3, True),
        (np.append(np.arange(1_000), np.nan), True),
        (np.arange(1_000) * 1_000, False),  # amounts, all different and far apart
        (np.arange(1_000) / 2, False),
        (np.arange(1_000) // 2, False),
        (np.arange(100), False),
    ],
)
def test_a_number_that_counts_the_rows(values, found):
    assert (counting("n", values.astype(float)) is not None) is found
