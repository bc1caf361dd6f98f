"""A figure that decisions rest on: its direction, its error, and how two models compare on the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from runtime_lib.data.columns import Array

__all__ = ["Z95", "Bounds", "Gain", "Metric"]

Z95 = 1.6448536269514722  # one-sided 95 % quantile of the normal distribution

# From labels and answers: each row's share `(n,)`, or the figure itself.
Rows = Callable[[Array, Array], Array]
Score = Callable[[Array, Array], float]
# From a figure and the labels that it is of: its one-sided 95 % bounds, below and above.
Bounds = Callable[[float, Array], tuple[float, float]]


@dataclass(frozen=True)
class Gain:
    """By how much a model is better than another on the same rows, and the standard error of that.

    In the unit of `Metric.margin`. `lower` and `upper` are one-sided 95 % bounds, together a 90 % interval.
    """

    value: float
    error: float

    @property
    def lower(self) -> float:
        return self.value - Z95 * self.error

    @property
    def upper(self) -> float:
        return self.value + Z95 * self.error


@dataclass(frozen=True)
class Metric:
    """One of a task's figures.

    Attributes:
        name, title: in files, and in a sentence.
        best: of a perfect model; at 1 higher is better, at 0 lower.
        rows: each row's share of the figure. Their mean is the figure, or differs from it by less than its
            error; their spread over √n is its standard error. For a figure that is no mean over the rows
            these are the values of its influence function (Hampel 1974, JASA 69:383-393).
        score: the figure itself, where it is not just the mean of `rows`.
        bounds: of the figure, where its distribution is known better than by `rows`.
        guessed: of a model that guesses, as a number or as the name of the figure that it equals.
        lowest: that the figure can be.
    """

    name: str
    title: str
    best: float
    rows: Rows
    score: Score | None = None
    bounds: Bounds | None = None
    guessed: float | str | None = None
    lowest: float = 0.0

    def value(self, label: Array, answer: Array) -> float:
        return self.score(label, answer) if self.score else float(self.rows(label, answer).mean())

    def gain(self, value: float, other: float) -> float:
        """By how much `value` is better than `other`, in the metric's own unit; negative: worse."""
        return value - other if self.best else other - value

    def margin(self, value: float, other: float) -> float:
        """The gain in the unit of the gate's margins.

        For a metric between 0 and 1 that is its own unit. An error has no scale that margins could know, so
        its gain is the share of the other's error that is gone: 0.1 is a tenth less.
        """
        if self.best:
            return self.gain(value, other)
        return self.gain(value, other) / other if other else -float(value > 0)

    def compare(self, label: Array, answer: Array, other: Array) -> Gain:
        """Compare two models row by row, in the unit of `margin`.

        What makes a row hard is the same for both and leaves the difference, so its error is a fraction of
        that of either figure.
        """
        value, base = self.value(label, answer), self.value(label, other)
        ours, theirs = self.rows(label, answer), self.rows(label, other)
        # Of a ratio by the delta method; of a difference it is the difference of the rows.
        rows = ours - theirs if self.best else (value / base * theirs - ours) / base if base else ours
        return Gain(self.margin(value, base), _standard_error(rows))

    def apart(self, value: float, other: float, errors: tuple[float, float]) -> Gain:
        """Compare two figures of which only the errors are known; wider than `compare`, never narrower."""
        scale = 1.0 if self.best else abs(other) or 1.0
        return Gain(self.margin(value, other), math.hypot(*errors) / scale)

    def error(self, label: Array, answer: Array) -> float:
        """Standard error of the figure, in its own unit."""
        return _standard_error(self.rows(label, answer))

    def interval(self, label: Array, answer: Array) -> tuple[float, float]:
        """One-sided 95 % bounds of the figure, below and above; together a 90 % interval."""
        value = self.value(label, answer)
        if self.bounds:
            return self.bounds(value, label)
        half = Z95 * self.error(label, answer)
        highest = 1.0 if self.best else math.inf
        return max(value - half, min(self.lowest, value)), min(value + half, max(highest, value))

    def by_chance(self, figures: Mapping[str, float]) -> float | None:
        """What a model that guesses reaches on the rows of these figures; None: the naive baseline says."""
        return figures[self.guessed] if isinstance(self.guessed, str) else self.guessed


def _standard_error(rows: Array) -> float:
    return float(np.std(rows, ddof=1) / math.sqrt(len(rows))) if len(rows) > 1 else math.inf
