"""How good answers are that have no label yet, by what the model itself says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.task.binary import Binary
from runtime_lib.task.metric import Z95, Metric
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.task import Task

__all__ = ["Estimate", "estimate", "is_estimable"]

_DRAWS = 40
_FEWEST = 200
_SEED = 20_260


@dataclass(frozen=True)
class Estimate:
    """A figure of answers without labels.

    Attributes:
        lower, upper: between which the real figure lies in nine of ten cases while the assumption holds.
    """

    metric: str
    rows: int
    value: float
    lower: float
    upper: float
    assumption: str


def is_estimable(task: Task) -> bool:
    """Whether its answers are probabilities."""
    return isinstance(task, (Binary, Multiclass))


def estimate(task: Task, metric: Metric, answer: Array) -> Estimate | None:
    """Expect the figure that the labels will give if the probabilities are right.

    Labels are drawn by the model's own probabilities, and judged as real ones would be; the mean of the draws
    is the expected figure (as Kivimäki et al. 2025 do for figures of the confusion matrix, "Performance
    estimation in binary classification using calibrated confidence", arXiv:2505.05295). It sees what moves
    the answers, like fewer clear cases; what makes probabilities wrong it cannot see.

    Args:
        answer: of the task, `(m, …)`.

    Returns:
        None where answers are no probabilities, or too few.
    """
    if not is_estimable(task) or len(answer) < _FEWEST:
        return None
    draw = np.random.default_rng(_SEED)
    values = []
    for _ in range(_DRAWS):
        label = _drawn(task, answer, draw)
        if task.support(label):
            values.append(metric.value(label, answer))
    if len(values) < 2:
        return None
    value = float(np.mean(values))
    # The error of the mean of some draws is added to how one of them varies.
    half = Z95 * float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / len(values))
    return Estimate(
        metric.name,
        len(answer),
        value,
        max(value - half, min(metric.lowest, value)),
        min(value + half, 1.0) if metric.best else value + half,
        "the probabilities are as right as they were on held-out data",
    )


def _drawn(task: Task, answer: Array, draw: np.random.Generator) -> Array:
    if isinstance(task, Binary):
        return np.asarray(draw.random(len(answer)) < answer, dtype=np.int64)
    places = (draw.random((len(answer), 1)) > np.cumsum(answer, axis=1)).sum(axis=1)
    return np.asarray(np.minimum(places, answer.shape[1] - 1))
