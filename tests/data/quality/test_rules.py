"""Each kind of rule finds the rows or months that break it, and a rule that makes no sense is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from runtime_lib.data.quality import AllowedValues, Freshness, NotMissing, Pattern, Range, Unique, Volume
from runtime_lib.data.quality.judge import judge
from runtime_lib.data.quality.month_rules import Month
from runtime_lib.data.quality.rule import check_names
from runtime_lib.data.quality.stored import rule_of
from runtime_lib.errors import DataError, SettingsError

NAN = float("nan")
TABLE = pd.DataFrame(
    {
        "whole": [1, 2, 3, 40, 5],
        "gaps": [1.5, NAN, -2.0, np.inf, 0.0],
        "text": ["EWR", "JFK", None, "ewr", ""],
        "level": pd.Categorical(["a", "b", None, "c", "a"]),
        "yes": [True, False, True, True, False],
        "at": pd.to_datetime(
            ["2013-01-01", "2013-01-30 12:00", None, "2013-01-02", "2013-01-03"], utc=True, format="ISO8601"
        ),
    }
)
ARROW = pa.Table.from_pandas(TABLE, preserve_index=False)
BATCHES = {
    "pandas": TABLE,
    "table": ARROW,
    "in pieces": pa.concat_tables([ARROW.slice(0, 2), ARROW.slice(2)]),
    "batch": ARROW.to_batches()[0],
}


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (Range("whole", least=2, most=5), [0, 3]),
        (Range("whole", least=1.5), [0]),
        (Range("gaps", most=1), [0, 3]),
        (Range("gaps", least=-1), [2]),
        (AllowedValues("text", ["EWR", "JFK"]), [3, 4]),
        (AllowedValues("level", {"a", "b"}), [3]),
        (AllowedValues("whole", (1, 2, 3)), [3, 4]),
        (AllowedValues("gaps", [0, 1.5]), [2, 3]),
        (AllowedValues("yes", [True]), [1, 4]),
        (Pattern("text", "[A-Z]{3}"), [3, 4]),
        (Pattern("text", "EWR|JFK|ew"), [3, 4]),
        (Pattern("level", "a|b"), [3]),
        (NotMissing("gaps"), [1]),
        (NotMissing("text"), [2]),
        (NotMissing("level"), [2]),
        (NotMissing("at"), [2]),
        (NotMissing("whole"), []),
        (Unique("yes"), [2, 3, 4]),
        (Unique(["yes", "level"]), []),
        (Unique("level"), [4]),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else value.name,
)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_rule_finds_the_rows_that_break_it(rule, bad, batch):
    judged = judge(batch, [rule])
    assert judged.bad[rule.name].dtype == bool
    assert judged.bad[rule.name].tolist() == [row in bad for row in range(5)]
    assert rule_of(rule.to_dict()) == rule


def test_decimals_and_pandas_own_whole_numbers_are_numbers():
    table = pd.DataFrame({"d": [Decimal("1.50"), None, Decimal("9")], "w": pd.array([1, None, 9], "Int64")})
    for name in ("d", "w"):
        assert Range(name, most=5).bad(table).tolist() == [False, False, True]
        assert NotMissing(name).bad(table).tolist() == [False, True, False]


def test_a_column_without_any_value_breaks_only_not_missing():
    table = pd.DataFrame({"x": [None, None]})
    rules = [Range("x", least=0), AllowedValues("x", ["a"]), Pattern("x", "a"), NotMissing("x")]
    assert [judge(table, [rule]).any([rule.name]).sum() for rule in rules] == [0, 0, 0, 2]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Range("hole", least=0), r"'range hole': there is no column 'hole'. Did you mean 'whole'\?"),
        (Range("text", least=0), r"'range text': column 'text' is of type large_string, .* takes numbers"),
        (AllowedValues("text", [1, 2]), r"'set text': .* takes numbers"),
        (AllowedValues("whole", ["1"]), r"'set whole': .* is of type int64, and the rule takes text"),
        (AllowedValues("whole", [1.5]), r"'set whole': .* takes values as 1.5"),
        (Pattern("whole", "1"), r"'pattern whole': .* takes text"),
        (Unique(["whole", "nowhere"]), r"there is no column 'nowhere'. There are: whole, gaps"),
    ],
)
def test_a_column_that_does_not_fit_is_named(rule, named):
    with pytest.raises(DataError, match=named):
        judge(TABLE, [rule])


def test_a_column_of_several_types_is_named():
    with pytest.raises(DataError, match="'range x': column 'x' cannot be judged, it holds values of several"):
        judge(pd.DataFrame({"x": [1, "a"]}), [Range("x", least=0)])


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Range("x"), "'range x' has no bound: give least, most or both"),
        (lambda: Range("x", least=9, most=1), "least = 9: it is above most = 1"),
        (lambda: Range("x", least="1"), "least = '1': write a finite number"),
        (lambda: Range("x", most=NAN), "most = nan: write a finite number"),
        (lambda: Range("x", most=True), "most = True: write a finite number"),
        (lambda: Range(3, least=0), "Range: 3 is no column"),
        (lambda: Range("", least=0), "Range: '' is no column"),
        (lambda: Range("x", least=0, action="drop"), "action = 'drop': choose one of quarantine, warn, stop"),
        (lambda: Range("x", least=0, max_bad=0.1, at="served"), "at = 'served': choose one of raw, inputs"),
        (lambda: Range("x", least=0, max_bad=5), "max_bad = 5: write a share of rows from 0 to below 1"),
        (lambda: Range("x", least=0, max_bad="0"), "max_bad = '0': write a share"),
        (lambda: AllowedValues("x", "EWR"), "values = 'EWR': write a list"),
        (lambda: AllowedValues("x", []), "at least one value"),
        (lambda: AllowedValues("x", ["a", 1]), r"values = \['a', 1\]: write values of one kind"),
        (lambda: AllowedValues("x", ["a", None]), "missing is the rule NotMissing"),
        (lambda: Pattern("x", "(a"), r"pattern = '\(a': it is no regular expression"),
        (lambda: Pattern("x", 3), "pattern = 3: it is no regular expression"),
        (lambda: judge(TABLE, [Pattern("text", "(?=a)")]), r"pattern = '\(\?=a\)': RE2 does not read it"),
        (lambda: Unique([]), "name a column, or a list of columns"),
        (lambda: Unique("x", at="inputs"), "at = 'inputs': choose one of raw"),
        (lambda: Freshness("at"), "'freshness at' has no limit: give hours or days"),
        (lambda: Freshness("at", hours=-1), "hours = -1: write how old"),
        (lambda: Freshness("at", hours=1, action="quarantine"), "choose one of warn, stop"),
        (lambda: Volume(), "'volume' has no bound"),
        (lambda: Volume(least=-1), "least = -1: write a number of 0 or more"),
        (lambda: Volume(least_share=2, most_share=1), "least_share = 2: it is above most_share = 1"),
        (lambda: check_names([NotMissing("x"), NotMissing("x")]), "Two quality rules are named 'missing x'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name_and_value(make, named):
    with pytest.raises(SettingsError, match=named):
        make()


READ = datetime(2013, 3, 5, tzinfo=UTC)


def month(
    name: str = "2013-01", rows: int = 5, earlier: tuple[int, ...] = (), read: datetime = READ
) -> Month:
    return Month(name, TABLE.head(rows), read, earlier)


@pytest.mark.parametrize(
    ("rule", "when", "reason"),
    [
        # The newest row is of the 30th, 12:00; the month is over 36 hours later.
        (Freshness("at", hours=36), month(), ""),
        (
            Freshness("at", hours=35),
            month(),
            "newest row is of 2013-01-30 12:00, 36.0 hours before 2013-02-01",
        ),
        (Freshness("at", days=1), month(read=datetime(2013, 1, 31, 6, tzinfo=UTC)), ""),
        (
            Freshness("at", hours=1),
            month(read=datetime(2013, 1, 31, tzinfo=UTC)),
            "12.0 hours before 2013-01-31",
        ),
        (Freshness("at", hours=1), month(name="north", read=READ), "before 2013-03-05"),
        (Volume(least=5, most=5), month(), ""),
        (Volume(least=6), month(), "5 rows, fewer than 6"),
        (Volume(most=4), month(), "5 rows, more than 4"),
        (Volume(least_share=0.5), month(earlier=(11, 11)), ""),
        (Volume(least_share=0.5), month(earlier=(10, 10, 1000)), ""),
        (
            Volume(least_share=0.5),
            month(earlier=(11, 11, 1)),
            "5 rows, fewer than 0.5 times the median of the 3",
        ),
        (
            Volume(most_share=2),
            month(earlier=(2, 2, 2)),
            "5 rows, more than 2 times the median of the 3 months",
        ),
    ],
)
def test_a_rule_of_months_says_how_it_is_broken(rule, when, reason):
    found = rule.broken(when)
    assert bool(found) == bool(reason)
    assert reason in found
    assert rule_of(rule.to_dict()) == rule


def test_a_month_without_times_is_not_fresh():
    table = pd.DataFrame({"at": pd.to_datetime([None, None], utc=True), "day": ["2013-01-31", "x"]})
    assert Freshness("at", days=1).broken(Month("2013-01", table, READ)) == "no row has a time in 'at'"
    with pytest.raises(DataError, match=r"'freshness day': column 'day' is of type .* takes times"):
        Freshness("day", days=1).broken(Month("2013-01", table, READ))


def test_rows_that_lack_a_part_of_the_key_are_not_compared():
    table = pd.DataFrame({"id": [None, None, "a", "a", "a"], "day": [1, 1, 1, None, 1]})
    assert judge(table, [Unique(["id", "day"])]).bad["unique id, day"].tolist() == [False] * 4 + [True]
