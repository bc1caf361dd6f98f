"""Where the model is worse than elsewhere: performance by the values of its category inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.monitoring.performance import FEWEST
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.statistics import benjamini_hochberg
from runtime_lib.profiles.table import TableProfile
from runtime_lib.task.metric import Z95, Metric
from runtime_lib.task.task import Task

__all__ = ["Slice", "find_slices", "sliced_columns"]

_MOST_VALUES = 30  # of a column: more are identifiers, and each would have too few rows
_ALPHA = 0.05


@dataclass(frozen=True)
class Slice:
    """Rows that share a value of a column; None: those where it is missing.

    Attributes:
        live: the figure, with one-sided 95 % bounds.
        others: the figure of all other rows.
        q: of being worse than them, adjusted for the number of slices.
        worse: surely worse than the others, and by at least the drop that matters.
    """

    column: str
    value: str | None
    rows: int
    live: float
    lower: float
    upper: float
    others: float
    q: float
    worse: bool = False


def sliced_columns(profile: TableProfile) -> list[str]:
    """Names of the inputs whose values are few."""
    return [
        name
        for name, column in profile.columns.items()
        if isinstance(column, CategoryProfile)
        and not name.startswith("(")
        and column.complete
        and 2 <= len(column.counts) <= _MOST_VALUES
    ]


def find_slices(
    task: Task,
    metric: Metric,
    label: Array,
    answer: Array,
    parts: Mapping[str, Array],
    *,
    max_drop: float,
) -> tuple[Slice, ...]:
    """Judge each value by itself, against all other rows; the worst first.

    A slice's figure is compared with that of the rows without it by the normal test of two independent
    figures, their errors taken from their bounds; q is Benjamini & Hochberg's over all slices.

    Args:
        label, answer: of `n` labelled predictions.
        parts: column → its value in each row, `(n,)`.
        max_drop: relative to the others, from where a slice counts as worse.
    """
    found: list[tuple[Slice, float]] = []
    for column, values in parts.items():
        # The commonest: a column that had few values in training may have thousands by now.
        for value, _ in Counter(values.tolist()).most_common(_MOST_VALUES + 1):
            own = values == value if value is not None else np.array([each is None for each in values])
            if min(task.support(label[own]), task.support(label[~own])) >= FEWEST:
                found.append(_slice(metric, column, value, label, answer, own))
    q = benjamini_hochberg([p for _, p in found]) if found else []
    judged = [
        replace(each, q=value, worse=_matters(metric, each, value, max_drop))
        for (each, _), value in zip(found, q, strict=True)
    ]
    return tuple(sorted(judged, key=lambda each: metric.gain(each.live, each.others)))


def _slice(
    metric: Metric, column: str, value: str | None, label: Array, answer: Array, own: Array
) -> tuple[Slice, float]:
    live, others = (metric.value(label[which], answer[which]) for which in (own, ~own))
    lower, upper = metric.interval(label[own], answer[own])
    error = float(np.hypot(upper - lower, np.subtract(*metric.interval(label[~own], answer[~own])))) / (
        2 * Z95
    )
    loss = -metric.gain(live, others)
    p = _upper_tail(loss / error) if error > 0 else float(loss <= 0)
    return Slice(column, value, int(own.sum()), live, lower, upper, others, 1.0), p


def _upper_tail(z: float) -> float:
    from math import erfc, sqrt

    return 0.5 * erfc(z / sqrt(2))


def _matters(metric: Metric, each: Slice, q: float, max_drop: float) -> bool:
    return q < _ALPHA and -metric.gain(each.live, each.others) >= abs(each.others) * max_drop
