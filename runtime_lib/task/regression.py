"""How much: a label is a number, an answer the number that is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.task.curves import reliability, spread
from runtime_lib.task.metric import Metric
from runtime_lib.task.scaled import Scaled, group_quantiles, line

__all__ = ["Regression"]


@dataclass(frozen=True)
class Regression(Scaled):
    kind: ClassVar[str] = "regression"
    loss: ClassVar[str] = "huber"

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("value",)

    def answer(self, raw: Array) -> Array:
        return raw[:, 0].astype(np.float64) * self.scale + self.center

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return _METRICS

    def described(self, label: Array, answer: Array) -> dict[str, float]:
        """The mean of what was answered too much, and of the labels."""
        return {"bias": float((answer - label).mean()), "mean": float(label.mean())}

    def curves(self, label: Array, answer: Array) -> dict[str, list[list[float]]]:
        """`calibration`: mean answer and label. `residuals`: share of the rows below. `spread`: by answer."""
        residual = np.sort(label - answer)
        shares = np.linspace(0.01, 0.99, 61)
        return {
            "calibration": reliability(answer, label),
            "spread": spread(answer, label),
            "residuals": [
                [round(float(q), 5), round(float(p), 5)]
                for q, p in zip(np.quantile(residual, shares), shares, strict=True)
            ],
        }

    def group_answers(self, group: Array, label: Array, groups: int) -> Array:
        """Medians, which the mean absolute error is smallest at."""
        return group_quantiles(group, label, groups, np.array([0.5]))[:, 0]

    def linear(self, inputs: Array, label: Array, *, unseen: Array) -> Array:
        fitted = line(inputs, (label - self.center) / self.scale)
        answer: Array = fitted.predict(unseen) * self.scale + self.center
        return answer


def _absolute_rows(label: Array, answer: Array) -> Array:
    rows: Array = np.abs(label - answer)
    return rows


def _root(label: Array, answer: Array) -> float:
    return float(np.sqrt(np.mean((label - answer) ** 2)))


def _root_rows(label: Array, answer: Array) -> Array:
    """Each row's share of the root mean square error, by the delta method."""
    squares, root = (label - answer) ** 2, _root(label, answer)
    rows: Array = root + (squares - squares.mean()) / (2 * root) if root else squares
    return rows


def _explained(label: Array, answer: Array) -> float:
    spread = float(np.mean((label - label.mean()) ** 2))
    return 1 - float(np.mean((label - answer) ** 2)) / spread if spread else 0.0


def _explained_rows(label: Array, answer: Array) -> Array:
    """Each row's share of R², by the delta method."""
    spreads, value = (label - label.mean()) ** 2, _explained(label, answer)
    if not (spread := spreads.mean()):
        return np.zeros(len(label))
    rows: Array = value + ((1 - value) * spreads - (label - answer) ** 2) / spread
    return rows


_METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", "mean absolute error", 0, _absolute_rows),
        Metric("rmse", "root mean square error", 0, _root_rows, _root),
        Metric("r2", "R²", 1, _explained_rows, _explained, guessed=0.0, lowest=-math.inf),
    )
}
