"""Rows as they came, checked for one request at a time and made into arrays for many at once.

An array costs microseconds to make, however few values it holds, and a request has one row. So a request
is checked with Python's own loops in C, and only a whole batch becomes arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from math import isfinite, nan
from operator import itemgetter
from struct import Struct, error
from typing import Any, NamedTuple

import numpy as np

from runtime_lib.data.columns import Array, Column, check_rows

__all__ = ["Checked", "Checker", "Rows", "Stacked"]

_MOST_PLANS = 64
"""Orders of names that are remembered; a client sends one, and nobody may fill the memory with others."""

Pick = Callable[[Sequence[Any]], Sequence[Any]]


class Rows(Mapping[str, list[Any]]):
    """A table of JSON values as rows; read as a mapping, it is column → values.

    Args:
        names: of the columns, each once.
        rows: each as long as `names` and in their order.
    """

    __slots__ = ("_columns", "names", "rows")

    def __init__(self, names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
        self.names, self.rows = names, rows
        self._columns: dict[str, list[Any]] | None = None

    def __getitem__(self, name: str) -> list[Any]:
        if self._columns is None:
            self._columns = {name: [row[place] for row in self.rows] for place, name in enumerate(self.names)}
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Checked(NamedTuple):
    """The rows of one request which fit the model's columns; `Checker.stack` makes arrays of them."""

    length: int
    numbers: bytes
    """`float64`, row by row."""
    texts: Sequence[Sequence[str | None]]
    """Row by row."""
    images: Mapping[str, Array]


class Stacked(Mapping[str, Array]):
    """Rows of many requests, as `check_rows` gives them; a column is made when one is asked for.

    Attributes:
        numbers: the columns that are numbers, side by side: `float64` `(n, d)`.
        side_by_side: their names, in that order.
        kinds: the name of every column, and whether it is no number; known without making the columns.
    """

    __slots__ = ("_columns", "_others", "kinds", "numbers", "side_by_side")

    def __init__(
        self,
        kinds: tuple[tuple[str, bool], ...],
        numbers: Array,
        side_by_side: tuple[str, ...],
        others: Mapping[str, Array],
    ) -> None:
        self.kinds, self._others = kinds, others
        self.numbers, self.side_by_side = numbers, side_by_side
        self._columns: dict[str, Array] | None = None

    def __getitem__(self, name: str) -> Array:
        if self._columns is None:
            numbers = zip(self.side_by_side, np.ascontiguousarray(self.numbers.T), strict=True)
            self._columns = {**dict(numbers), **self._others}
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.kinds])

    def __len__(self) -> int:
        return len(self.kinds)


class _Plan(NamedTuple):
    """What to pick out of rows whose values come in one certain order."""

    numbers: Pick
    texts: Pick
    required_numbers: Pick
    required_texts: Pick
    has_texts: bool


class Checker:
    """Checks rows as `check_rows` does, with the same words, but is made ready once for a model.

    Args:
        columns: what the model takes; an image has its shape.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self._names = tuple(column.name for column in columns)
        self._images = [column.name for column in columns if column.is_image]
        self._numbers = [column for column in columns if column.kind == "number"]
        self._texts = [column for column in columns if column.kind not in ("number", "image")]
        self._kinds = tuple((column.name, column.kind != "number") for column in columns)
        self._number_names = tuple(column.name for column in self._numbers)
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def check(self, rows: Mapping[str, Any]) -> Checked:
        """Check the rows of one request.

        Args:
            rows: quickest as `Rows`; else as `check_rows` takes them.

        Raises:
            DataError: as `check_rows`.
        """
        if type(rows) is Rows and rows.rows and not self._images:
            plan = self._plans.get(rows.names) or self._plan(rows.names)
            if plan and (checked := _quick(rows.rows, plan)):
                return checked
        return self._as_ever(rows)

    def stack(self, requests: Sequence[Checked]) -> Stacked:
        """Return what `check_rows` gives for all rows of these requests, one after another.

        Args:
            requests: at least one, all from this checker.
        """
        count = sum([request.length for request in requests])
        joined = bytearray().join([request.numbers for request in requests])  # writable, as torch wants it
        numbers = np.frombuffer(joined, dtype=np.float64).reshape(count, len(self._numbers))
        others: dict[str, Array] = {}
        if self._texts:
            rows = list(chain.from_iterable(request.texts for request in requests))
            texts = np.array(rows, dtype=object).reshape(count, len(self._texts))
            others = {c.name: v for c, v in zip(self._texts, np.ascontiguousarray(texts.T), strict=True)}
        for name in self._images:
            others[name] = np.concatenate([request.images[name] for request in requests])
        return Stacked(self._kinds, numbers, self._number_names, others)

    def _plan(self, names: tuple[str, ...]) -> _Plan | None:
        if len(names) != len(self._names) or set(names) != set(self._names):
            return None
        plan = _Plan(
            _pick([names.index(c.name) for c in self._numbers]),
            _pick([names.index(c.name) for c in self._texts]),
            _pick([names.index(c.name) for c in self._numbers if not c.nullable]),
            _pick([names.index(c.name) for c in self._texts if not c.nullable]),
            bool(self._texts),
        )
        if len(self._plans) < _MOST_PLANS:
            self._plans[names] = plan
        return plan

    def _as_ever(self, rows: Mapping[str, Any]) -> Checked:
        found = check_rows(rows, self._columns)
        numbers = [found[column.name] for column in self._numbers]
        return Checked(
            len(next(iter(found.values()), ())),
            np.stack(numbers, axis=1).tobytes() if numbers else b"",
            list(zip(*(found[column.name] for column in self._texts), strict=True)),
            {name: found[name] for name in self._images},
        )


def _pick(places: list[int]) -> Pick:
    """A getter of a row's values at these places; of a run of them a slice, which is a row of any length."""
    if not places:
        return itemgetter(slice(0))
    first, last = places[0], places[-1]
    return (
        itemgetter(*places) if places != list(range(first, last + 1)) else itemgetter(slice(first, last + 1))
    )


def _quick(rows: Sequence[Sequence[Any]], plan: _Plan) -> Checked | None:
    """None if a value may be wrong: then `check_rows` finds out, and says it."""
    numbers = _flat(rows, plan.numbers)
    if not _is_finite(numbers):
        numbers = [nan if value is None else value for value in numbers]
        known = [value for value in numbers if value == value]
        if not _is_finite(known) or not _is_finite(_flat(rows, plan.required_numbers)):
            return None
    texts: list[Sequence[Any]] = []
    if plan.has_texts:
        texts = [plan.texts(row) for row in rows]
        kinds = set(map(type, chain.from_iterable(texts)))
        if kinds - {str} and (kinds - {str, type(None)} or None in _flat(rows, plan.required_texts)):
            return None
    try:
        return Checked(len(rows), _doubles(len(numbers)).pack(*numbers), texts, {})
    except error:  # whole numbers beyond any float, whose sum is not
        return None


@lru_cache(_MOST_PLANS)
def _doubles(count: int) -> Struct:
    return Struct(f"{count}d")


def _flat(rows: Sequence[Sequence[Any]], pick: Pick) -> Sequence[Any]:
    return pick(rows[0]) if len(rows) == 1 else list(chain.from_iterable(map(pick, rows)))


def _is_finite(values: Sequence[Any]) -> bool:
    """Whether these are finite numbers, none missing. A sum too large for a float is said to be none."""
    try:
        total = sum(values)
        return type(total) in (int, float) and isfinite(total)
    except (TypeError, OverflowError):
        return False
