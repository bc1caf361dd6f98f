"""Numbers that are the label's mean of a group of rows, computed with the rows that are to be judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.suspect import Suspect

__all__ = ["encoded", "groupings"]

_LEAST_GROUPS, _LEAST_ROWS = 10, 5
_CONSTANT = 0.99  # of the variance lies between groups
_FIT = 0.2
_QUANTILE = -4.753424308822899  # of the normal distribution, at one in a million


@dataclass(frozen=True)
class Grouping:
    """`codes` `(n,)`: the group of each row, from 0; -1 in none. `spans`: groups have rows in all parts."""

    name: str
    codes: Array
    spans: bool


def groupings(categories: Mapping[str, Array], day: Array | None) -> Iterator[Grouping]:
    """Every category, every day, and every category on every day.

    Args:
        categories: codes of each text column, -1 for missing. day: a number for each row's day.
    """
    for name, codes in categories.items():
        yield Grouping(f"'{name}'", codes, spans=True)
    if day is None:
        return
    yield Grouping("day", day, spans=False)
    for name, codes in categories.items():
        pairs = np.where(codes < 0, -1, day * (codes.max() + 2) + codes)
        _, places = np.unique(pairs, return_inverse=True)
        yield Grouping(f"'{name}' and day", np.where(codes < 0, -1, places), spans=False)


def encoded(column: str, values: Array, label: Array, part: Array, grouping: Grouping) -> Suspect | None:
    """Is the column the label's mean of these groups, with the test rows in it?

    A number that does not know these labels misses a group's mean by its sampling noise: the squared
    distances, in units of p(1-p)/rows, add up to about the number of groups. One that stays below a fifth of
    that, and below the chi-square quantile of one in a million, was computed from the labels (quantile by
    Wilson & Hilferty 1931, PNAS 17:684-688).

    Groups with rows in all parts are judged on all rows, but may then be the mean of the training rows alone,
    which is fair: such a column is closer to that.

    Args:
        values: `float64` `(n,)`, NaN for missing. part: 0 train, 1 validation, 2 test, `(n,)`.
    """
    here = (grouping.codes >= 0) & ~np.isnan(values)
    here &= True if grouping.spans else part == 2  # the others' groups are of other days
    if not here.any():
        return None
    table = _group(values[here], label[here], grouping.codes[here])
    if table is None:
        return None
    mean_value, rows, mean = table
    distance, freedom = _distance(mean_value, rows, mean), len(rows) - 2
    if distance > min(_FIT * freedom, _quantile(freedom)):
        return None
    if grouping.spans and _fair(values, label, part, grouping.codes, mean_value):
        return None
    why = (
        f"it is the label's mean of each group of the same {grouping.name}, {len(rows):,} groups, closer "
        f"than chance allows: it was computed with the labels that it is to predict"
    )
    return Suspect(column, "encoding", distance / freedom, why)


def _group(values: Array, label: Array, codes: Array) -> tuple[Array, Array, Array] | None:
    """Value, rows and label's mean of each group that is large enough; None unless the value is constant."""
    count = np.bincount(codes)
    large = count >= _LEAST_ROWS
    if large.sum() < _LEAST_GROUPS:
        return None
    safe = np.maximum(count, 1)
    mean = np.bincount(codes, values) / safe
    inner, whole = float(((values - mean[codes]) ** 2).sum()), float(((values - values.mean()) ** 2).sum())
    if whole == 0 or inner > (1 - _CONSTANT) * whole:
        return None
    return mean[large], count[large], (np.bincount(codes, label) / safe)[large]


def _distance(value: Array, rows: Array, mean: Array) -> float:
    """Of the groups' means from a straight line through the values, in units of their sampling variance."""
    base = float((mean * rows).sum() / rows.sum())
    weights = rows / max(base * (1 - base), 1e-9)
    design = np.stack([np.ones_like(value), (value - value.mean()) / max(value.std(), 1e-300)], axis=1)
    root = np.sqrt(weights)
    fit, *_ = np.linalg.lstsq(design * root[:, None], mean * root, rcond=None)
    expected = np.clip(design @ fit, 0.5 / rows, 1 - 0.5 / rows)
    return float((rows * (mean - expected) ** 2 / (expected * (1 - expected))).sum())


def _quantile(freedom: int) -> float:
    part = 2 / (9 * freedom)
    return float(freedom * max(1 - part + _QUANTILE * math.sqrt(part), 0.0) ** 3)


def _fair(values: Array, label: Array, part: Array, codes: Array, value: Array) -> bool:
    """Whether it is closer to the mean of the training rows, or of those before the test months."""
    everything = _miss(values, label, codes, part <= 2)
    return min(_miss(values, label, codes, part <= last) for last in (0, 1)) <= everything


def _miss(values: Array, label: Array, codes: Array, of: Array) -> float:
    """Squared distance of the values, over all rows, from the label's mean over the rows `of`."""
    count = np.bincount(codes[of & (codes >= 0)], minlength=codes.max() + 1)
    mean = np.bincount(codes[of & (codes >= 0)], label[of & (codes >= 0)], codes.max() + 1) / np.maximum(
        count, 1
    )
    here = (codes >= 0) & ~np.isnan(values)
    here[here] = count[codes[here]] >= _LEAST_ROWS
    return float(((values[here] - mean[codes[here]]) ** 2).mean()) if here.any() else math.inf
