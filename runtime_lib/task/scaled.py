"""What regression and quantiles share: a label is a number, and networks learn it near 0 and 1."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError
from runtime_lib.task.task import Task

__all__ = ["Scaled", "group_quantiles", "line"]

# Interquartile range of a normal distribution with a standard deviation of 1.
_NORMAL_RANGE = 1.3489795003921634
_FEW = 20  # rows; the quantiles of fewer say little, so such a group has those of all rows


@dataclass(frozen=True)
class Scaled(Task, ABC):
    """`center` and `scale` of the training labels; 0 and 1 until they are learned."""

    center: float = 0.0
    scale: float = 1.0

    labels: ClassVar[str] = "a finite number"

    def wrong_labels(self, values: Any) -> Array:
        array = np.asarray(values)
        if array.dtype.kind in "iuf":
            finite: Array = np.isfinite(array)
            return ~finite
        return np.array([not _is_number(value) for value in values], dtype=bool)

    def learn(self, values: Any) -> Self:
        """Centre and scale by quartiles, which a few extreme labels do not move."""
        label = np.asarray(values, dtype=np.float64)
        if not len(label) or label.min() == label.max():
            raise DataError(
                f"All {len(label):,} training rows have the same label"
                f"{f', {label[0]:g}' if len(label) else ''}: there is nothing to learn."
            )
        low, middle, high = np.quantile(label, [0.25, 0.5, 0.75])
        scale = float(high - low) / _NORMAL_RANGE or float(label.std())
        return replace(self, center=float(middle), scale=scale)

    def target(self, label: Array) -> Array:
        return np.asarray((label - self.center) / self.scale, dtype=np.float32)[:, None]

    def in_its_unit(self, shares: Array, base: Array) -> tuple[Array, Array, str]:
        return shares * self.scale, base * self.scale + self.center, "the label's own unit"

    def constant(self, label: Array) -> float:
        """The median."""
        return float(np.median(label))


def group_quantiles(group: Array, label: Array, groups: int, levels: Array) -> Array:
    """Quantiles of each group's labels, `(groups, len(levels))`; of fewer than 20 rows those of all rows."""
    order = np.lexsort((label, group))
    ordered, count = label[order], np.bincount(group, minlength=groups)
    start = np.cumsum(count) - count
    # As numpy does by default: between two rows by proportion.
    place = start[:, None] + np.maximum(count - 1, 0)[:, None] * levels
    below = np.minimum(np.floor(place).astype(np.int64), len(label) - 1)
    above = np.minimum(below + 1, np.maximum(start + count - 1, 0)[:, None])
    found = ordered[below] + (place - below) * (ordered[np.maximum(above, below)] - ordered[below])
    return np.where((count >= _FEW)[:, None], found, np.quantile(label, levels))


def line(inputs: Array, target: Array) -> Any:
    """A linear model of scaled labels by Huber's loss, which a few extreme ones do not move.

    By stochastic gradient descent: on the flights a hundred times as fast as by L-BFGS, for the same error.
    """
    from sklearn.linear_model import SGDRegressor

    return SGDRegressor(loss="huber", epsilon=1.0, alpha=1e-5, random_state=7).fit(inputs, target)


def _is_number(value: Any) -> bool:
    if isinstance(value, (str, bytes, bool, np.bool_)) or value is None:
        return False
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError, OverflowError):
        return False
