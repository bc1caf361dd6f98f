"""Points of what is drawn: a few dozen for a curve, ten groups for a calibration."""

from __future__ import annotations

import numpy as np

from runtime_lib.data.columns import Array

__all__ = ["POINTS", "points", "reliability", "rounded", "spread"]

POINTS = 60  # of a drawn curve
_BINS = 10


def points(way: Array, *axes: Array) -> list[list[float]]:
    """Some points of a curve, at equal steps of `way`, which never falls."""
    places = np.searchsorted(way, np.linspace(way[0], way[-1], POINTS + 1))
    chosen = np.unique(np.append(places, len(way) - 1))
    return rounded(np.column_stack([axis[chosen] for axis in axes]))


def reliability(answer: Array, label: Array) -> list[list[float]]:
    """Mean answer, mean label and rows, of ten groups of equally many rows in the order of the answers."""
    return rounded(np.array([[answer[b].mean(), label[b].mean(), len(b)] for b in _bins(answer)]))


def spread(answer: Array, label: Array) -> list[list[float]]:
    """Mean answer, and 10 %, 50 % and 90 % quantile of label minus answer, of such groups."""
    shares = (0.1, 0.5, 0.9)
    return rounded(
        np.array([[answer[b].mean(), *np.quantile(label[b] - answer[b], shares)] for b in _bins(answer)])
    )


def _bins(answer: Array) -> list[Array]:
    order = np.argsort(answer, kind="stable")
    return [some for some in np.array_split(order, _BINS) if len(some)]


def rounded(values: Array) -> list[list[float]]:
    return [[round(float(value), 5) for value in row] for row in values]
