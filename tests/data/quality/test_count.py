"""Counts are the same however the rows are divided, take constant memory, and survive being stored."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.data.quality import AllowedValues, NotMissing, Pattern, Range
from runtime_lib.data.quality.count import MOST_EXAMPLES, QualityCount, count_rules
from runtime_lib.data.quality.judge import judge

RULES = [
    Range("x", least=-10, most=10),
    AllowedValues("word", ["a", "bb"]),
    Pattern("word", "[ab]*", action="warn"),
    NotMissing("x"),
]
ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-20, 20).map(float),
        st.none() | st.text("abc", max_size=3),
    ),
    min_size=1,
    max_size=60,
)


def table(rows) -> pa.Table:
    numbers, words = zip(*rows, strict=True)
    return pa.table({"x": pa.array(numbers, pa.float64()), "word": pa.array(words, pa.string())})


def count(batch, first: int) -> QualityCount:
    numbers = list(range(first, first + len(batch)))
    return QualityCount(len(batch), 0, count_rules(judge(batch, RULES), batch, RULES, "2013-01", numbers))


@given(ROWS, st.lists(st.integers(0, 60), max_size=6))
def test_merged_parts_equal_one_pass(rows, cuts):
    whole = table(rows)
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = [count(whole.slice(start, end - start), start) for start, end in pairwise(edges)]
    left = QualityCount()
    for part in parts:
        left = left.merge(part)
    right = QualityCount()
    for part in reversed(parts):
        right = part.merge(right)
    assert left == right == count(whole, 0)
    assert QualityCount.from_dict(json.loads(json.dumps(left.to_dict()))) == left


@given(ROWS)
def test_pandas_and_arrow_are_counted_alike(rows):
    one, other = count(table(rows), 0), count(table(rows).to_pandas(), 0)
    # pandas and Arrow write the same float in two ways only where it is missing.
    assert {name: (c.rows, c.bad) for name, c in one.rules.items()} == {
        name: (c.rows, c.bad) for name, c in other.rules.items()
    }
    assert [e.row for c in one.rules.values() for e in c.examples] == [
        e.row for c in other.rules.values() for e in c.examples
    ]


@given(ROWS)
def test_each_rule_counts_what_a_loop_over_the_rows_does(rows):
    found = count(table(rows), 0).rules
    assert found["range x"].bad == sum(x is not None and not -10 <= x <= 10 and x == x for x, _ in rows)
    assert found["set word"].bad == sum(word is not None and word not in ("a", "bb") for _, word in rows)
    assert found["pattern word"].bad == sum(word is not None and "c" in word for _, word in rows)
    assert found["missing x"].bad == sum(x is None or x != x for x, _ in rows)


def test_examples_name_the_first_bad_rows_with_their_values_and_no_more():
    found = count(pd.DataFrame({"x": np.arange(8.0, 30.0), "word": ["a" * 500] * 22}), 100).rules
    assert found["range x"].bad == 19
    assert [(e.row, e.value) for e in found["range x"].examples] == [
        (103 + place, f"{11.0 + place}") for place in range(MOST_EXAMPLES)
    ]
    assert all(len(e.value) <= 80 for e in found["set word"].examples)
    gap = count(pd.DataFrame({"x": [None], "word": ["a"]}).astype({"x": float}), 0).rules["missing x"]
    assert [e.value for e in gap.examples] == ["missing"]


def test_memory_does_not_grow_with_the_batches():
    def batches(number):
        rng = np.random.default_rng(1)
        for _ in range(number):
            yield table([*zip(rng.normal(0, 8, 2_000), ["c"] * 2_000, strict=True)])

    def peak(number) -> int:
        tracemalloc.start()
        total = QualityCount()
        for batch in batches(number):
            total = total.merge(count(batch, total.rows))
        assert total.rules["pattern word"].bad == total.rows == number * 2_000
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert peak(40) < 1.5 * peak(4)
