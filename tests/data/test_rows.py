"""A `Checker` takes and refuses what `check_rows` does, in the same words, a request at a time."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.data.rows import Checker, Rows
from runtime_lib.errors import DataError
from tests.support.depth import DEEP

NAMES = ("a", "b", "c", "d")
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), True, False]),
)
TEXTS = st.sampled_from(["", "UA", "é", "1.5", "nan"])
ODD = st.sampled_from(
    [None, math.nan, math.inf, -math.inf, 10**400, -(10**400), "x", 7, [], [1.0], {}, {"a": 1}, [[1], [2, 3]]]
)


@st.composite
def models(draw):
    names = NAMES[: draw(st.integers(1, 4))]
    kinds = st.sampled_from(["number", "number", "category", "text"])
    return tuple(Column(name, draw(kinds), nullable=draw(st.booleans())) for name in names)


def values(column, odd):
    usual = NUMBERS if column.kind == "number" else TEXTS
    usual = usual | st.none() if column.nullable else usual
    return st.integers(0, 9).flatmap(lambda at: ODD if at < odd else usual)


@st.composite
def tables(draw, columns):
    """Mostly right; else with a wrong value, a column too few or too many, no row, another order."""
    odd = draw(st.sampled_from([0, 0, 0, 1]))
    columns = draw(st.permutations(columns)) if draw(st.booleans()) else columns
    names = tuple(column.name for column in columns)
    rows = draw(st.lists(st.tuples(*(values(c, odd) for c in columns)), min_size=0 if odd else 1, max_size=4))
    if not odd or draw(st.integers(0, 9)):
        return Rows(names, rows)
    if draw(st.booleans()):
        return Rows(names[1:], [row[1:] for row in rows])
    return Rows((*names, "more"), [(*row, 1) for row in rows])


def outcome(check, *args):
    """Arrays by the bytes that they hold, or the words of the refusal."""
    try:
        found = check(*args)
    except DataError as error:
        return str(error)
    return {name: [array.dtype, array.shape, array.tolist().__repr__()] for name, array in found.items()}


def both(checker, table):
    return checker.stack([checker.check(table)])


@settings(max_examples=20_000 if DEEP else 400, deadline=None)
@given(st.data())
def test_a_request_is_taken_or_refused_as_check_rows_does(data):
    columns = data.draw(models())
    table = data.draw(tables(columns))
    by_column = dict(table)
    wanted = outcome(check_rows, by_column, columns)
    checker = Checker(columns)
    assert outcome(both, checker, table) == wanted
    assert outcome(both, checker, by_column) == wanted


@settings(max_examples=5_000 if DEEP else 150, deadline=None)
@given(st.data())
def test_a_bad_request_is_refused_alone_and_the_rest_is_one_table(data):
    columns = data.draw(models())
    checker = Checker(columns)
    taken, held, refused = [], [], []
    for table in data.draw(st.lists(tables(columns), min_size=1, max_size=5)):
        try:
            held.append(checker.check(table))
        except DataError as error:
            refused.append((str(error), outcome(check_rows, dict(table), columns)))
        else:
            taken.append(table)
    assert all(ours == wanted for ours, wanted in refused)
    if taken:
        together = {c.name: [value for table in taken for value in table[c.name]] for c in columns}
        assert outcome(checker.stack, held) == outcome(check_rows, together, columns)
        assert [checked.length for checked in held] == [len(table.rows) for table in taken]


def test_whole_numbers_beyond_any_float_are_refused_though_their_sum_is_small():
    columns = (Column("a", "number"), Column("b", "number"))
    with pytest.raises(DataError, match="Column 'a', row 0: inf is not a finite number"):
        Checker(columns).check(Rows(("a", "b"), [(10**400, -(10**400))]))


def test_images_are_stacked_too():
    columns = (Column("a", "number"), Column("photo", "image", nullable=True, shape=(2, 2)))
    checker = Checker(columns)
    photo = [[0, 255], [51, 102]]
    requests = [Rows(("a", "photo"), [(1.5, photo)]), Rows(("photo", "a"), [(None, 2), (photo, 3)])]
    found = checker.stack([checker.check(request) for request in requests])
    wanted = check_rows({"a": [1.5, 2, 3], "photo": [photo, None, photo]}, columns)
    for name in ("a", "photo"):
        assert found[name].dtype == wanted[name].dtype
        np.testing.assert_array_equal(found[name], wanted[name])


def test_plain_rows_never_reach_check_rows(monkeypatch):
    """Else the quick way may be lost and nobody notices."""
    monkeypatch.setattr("runtime_lib.data.rows.check_rows", lambda *_: pytest.fail("the slow way"))
    columns = (*(Column(f"n{i}", "number", nullable=i == 3) for i in range(5)), Column("t", "category"))
    names = tuple(column.name for column in columns)
    checker = Checker(columns)
    checker.check(Rows(names, [(1, 2.5, True, 4, -0.0, "UA")]))
    checker.check(Rows(names[::-1], [["UA", 5, None, 3.0, 2, 1], ["DL", 5, 4, 3.0, 2, 1]]))


def test_arrays_of_a_stack_can_be_written_to():
    """torch warns of an array that cannot, and takes it for undefined behaviour."""
    checker = Checker([Column("a", "number"), Column("t", "text")])
    found = checker.stack([checker.check(Rows(("a", "t"), [(1, "x")]))])
    assert all(array.flags.writeable and array.flags.c_contiguous for array in found.values())


def test_orders_of_columns_that_are_remembered_are_few():
    columns = [Column(name, "number") for name in "abcde"]
    checker = Checker(columns)
    for names in permutations("abcde"):
        row = tuple(map("abcde".index, names))
        assert {n: v.tolist() for n, v in checker.stack([checker.check(Rows(names, [row]))]).items()} == {
            name: [place] for place, name in enumerate("abcde")
        }
    assert len(checker._plans) == 64
