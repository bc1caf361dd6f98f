"""How well one column alone tells the label: areas under the ROC curve, from counts of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.suspect import Kind

__all__ = ["Counts", "Signal", "area", "count_categories", "count_numbers", "least", "signals"]

_Z95 = 1.6448536269514722  # one-sided 95 % quantile of the normal distribution
_BINS = 100
_ROWS_PER_VALUE = 5  # fewer rows of a value tell nothing about it


@dataclass(frozen=True)
class Signal:
    """What a column tells by itself.

    `figure`: area under the ROC curve, 0.5 to 1. `least`: its one-sided 95 % lower bound, see `least`.
    """

    kind: Kind
    figure: float
    least: float


@dataclass(frozen=True)
class Counts:
    """Rows by value, part and label: `(values + 1, 2, 2)`, whole numbers.

    The last value is "missing". Parts: 0 train, 1 held out. Labels: 0, 1. `ordered`: the values ascend.
    """

    rows: Array
    ordered: bool

    @property
    def present(self) -> Array:
        """Rows by value and label, without the missing: `(values, 2)`."""
        counted: Array = self.rows[:-1].sum(axis=1)
        return counted


def count_numbers(values: Array, label: Array, held_out: Array) -> Counts:
    """Count the rows of each number; `values` `float64` `(n,)`, NaN for missing; label, held_out: 0 or 1."""
    present = ~np.isnan(values)
    distinct, places = np.unique(values[present], return_inverse=True)
    codes = np.full(len(values), len(distinct))
    codes[present] = places
    return Counts(_cross(codes, len(distinct), label, held_out), ordered=True)


def count_categories(codes: Array, levels: int, label: Array, held_out: Array) -> Counts:
    """Count the rows of each level; `codes` as from `pandas.factorize`: -1 is missing."""
    return Counts(_cross(np.where(codes < 0, levels, codes), levels, label, held_out), ordered=False)


def least(figure: float, rows: int) -> float:
    """The one-sided 95 % lower bound of a share by the score interval (Wilson 1927, JASA 22:209-212).

    For an area under the ROC curve `rows` are those of the rarer label: such an area is never known better
    than a share of that many rows, and unlike its standard error the bound does not shrink to nothing at 1.
    So 50 rows that are told apart without a mistake are no proof of more than 0.949.
    """
    if not rows:
        return 0.0
    z2 = _Z95**2 / rows
    half = _Z95 * math.sqrt(figure * (1 - figure) / rows + z2 / rows / 4)
    return max((figure + z2 / 2 - half) / (1 + z2), 0.0)


def area(counts: Array) -> float:
    """Area under the ROC curve of ordered groups, `(groups, 2)` rows by label; 0.5 without both labels."""
    zeros, ones = counts[:, 0].astype(float), counts[:, 1].astype(float)
    if not (pairs := zeros.sum() * ones.sum()):
        return 0.5
    below = np.cumsum(zeros) - zeros
    return float((ones * (below + zeros / 2)).sum() / pairs)


def signals(counts: Counts) -> Iterator[Signal]:
    """What a column tells in each of its ways: by its order, by its values, by being missing."""
    if counts.ordered:
        yield _signal("ranks", area(counts.present), counts.present)
    yield _explained(counts)
    missing = np.stack([counts.present.sum(axis=0), counts.rows[-1].sum(axis=0)])
    yield _signal("missing", area(missing), missing)


def _cross(codes: Array, values: int, label: Array, held_out: Array) -> Array:
    cells = codes * 4 + held_out.astype(int) * 2 + label.astype(int)
    return np.bincount(cells, minlength=(values + 1) * 4).reshape(-1, 2, 2)


def _signal(kind: Kind, figure: float, counts: Array) -> Signal:
    figure = max(figure, 1 - figure)
    return Signal(kind, figure, least(figure, int(counts.sum(axis=0).min())))


def _explained(counts: Counts) -> Signal:
    """By the rate of each value in the training rows, judged on the held-out ones."""
    rows = _binned(counts.rows) if counts.ordered else counts.rows
    train, held_out = rows[:, 0], rows[:, 1]
    base = train[:, 1].sum() / max(train.sum(), 1)
    # One pseudo-row at the overall rate: a value that training never saw, or once, claims nothing.
    rate = (train[:, 1] + base) / (train.sum(axis=1) + 1)
    order, group = np.unique(rate, return_inverse=True)
    judged = np.stack([np.bincount(group, held_out[:, which], len(order)) for which in (0, 1)], axis=1)
    figure = area(judged)
    return Signal("explains", max(figure, 0.5), least(max(figure, 0.5), int(judged.sum(axis=0).min())))


def _binned(rows: Any) -> Array:
    """Numbers that hardly repeat, in bins of equal mass; the missing ones stay apart."""
    present = rows[:-1].sum(axis=(1, 2))
    total = present.sum()
    if total >= _ROWS_PER_VALUE * len(present):
        return rows  # type: ignore[no-any-return]
    bins = np.minimum((np.cumsum(present) - present) * _BINS // max(total, 1), _BINS - 1)
    binned = np.zeros((_BINS + 1, 2, 2), dtype=rows.dtype)
    np.add.at(binned, bins.astype(int), rows[:-1])
    binned[-1] = rows[-1]
    return binned
