"""Binary classification: what a label is, what a model answers, how that is judged, what it must beat.

The one place that knows that a label is 0 or 1 and an answer the probability of label 1. Other modules ask
here, so that another kind of task becomes another module with the same names. A label and an answer of `n`
rows have the shape `(n,)`, what a network gives for them the shape `(n, WIDTH)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.errors import DataError

__all__ = [
    "LABELS",
    "LOSS",
    "METRIC",
    "METRICS",
    "OUTPUT",
    "WIDTH",
    "Metric",
    "answer",
    "bounds",
    "confusion",
    "curves",
    "decide",
    "figures",
    "logistic",
    "naive",
    "rarer",
    "standard_error",
    "target",
    "threshold",
    "wrong_labels",
]

# In a message: "the label is 2; it must be 0 or 1".
LABELS = "0 or 1"
# The answer's name in the prediction log, the profile and the protocols.
OUTPUT = "probability"
# Numbers that a network gives for a row, and the name of the loss that it is trained with.
WIDTH, LOSS = 1, "binary_cross_entropy"

_Z95 = 1.6448536269514722  # one-sided 95 % quantile of the normal distribution
_BINS = 10
_POINTS = 60  # of a drawn curve


@dataclass(frozen=True)
class Metric:
    """One of the figures that a decision may rest on.

    `title`: its name in a sentence. `best`: of a perfect model; at 1 higher is better, at 0 lower. `guessed`:
    of a model that guesses, as a number, or as the name of the figure that it equals.
    """

    name: str
    title: str
    best: float
    guessed: float | str

    def gain(self, value: float, other: float) -> float:
        """By how much `value` is better than `other`, in the metric's unit; negative: worse."""
        return value - other if self.best else other - value

    def by_chance(self, figures: Mapping[str, float]) -> float:
        """What a model that guesses reaches on the rows of these figures."""
        return figures[self.guessed] if isinstance(self.guessed, str) else self.guessed


# For early stopping, the choice of the naive baseline's column, and monitoring; the gate's default.
METRIC = Metric("roc_auc", "AUC", best=1, guessed=0.5)
# By chance it is the share of label 1 (Saito and Rehmsmeier 2015, PLOS ONE 10(3), e0118432).
_AVERAGE_PRECISION = Metric("average_precision", "average precision", best=1, guessed="rate")
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (METRIC, _AVERAGE_PRECISION)}


def wrong_labels(values: Any) -> Array:
    """Where `values` (numbers, `(n,)`) are no labels, as booleans; a missing value is none either."""
    import pandas as pd

    return np.asarray(~pd.Series(values).isin([0, 1]), dtype=bool)


def rarer(label: Array) -> int:
    """Count the rows of the rarer label; at 0 nothing can be judged."""
    positives = int(np.sum(label))
    return min(positives, len(label) - positives)


def target(label: Array) -> Array:
    """Labels as the loss takes them: `float32`, `(n, WIDTH)`."""
    return np.asarray(label, dtype=np.float32)[:, None]


def answer(raw: Array) -> Array:
    """From a network's outputs `(n, WIDTH)`, log-odds, to probabilities of label 1, `float64` `(n,)`."""
    # 1 / (1 + exp(-x)), without overflow.
    return np.exp(-np.logaddexp(0.0, -raw[:, 0].astype(np.float64)))


def figures(label: Array, probability: Array) -> dict[str, float]:
    """Compare probabilities of label 1 with what happened.

    Returns:
        `roc_auc`, `average_precision`, `log_loss` (nats), `brier`, `rate` (share of label 1), `rows`.

    Raises:
        DataError: only one class is present, so that no ranking can be judged.
    """
    from sklearn import metrics

    label = label.astype(int)
    if len(classes := set(label.tolist())) < 2:
        raise DataError(
            f"All {len(label)} rows have the same label {classes or '(none)'}: nothing can be judged."
        )
    return {
        "roc_auc": float(metrics.roc_auc_score(label, probability)),
        "average_precision": float(metrics.average_precision_score(label, probability)),
        "log_loss": float(metrics.log_loss(label, probability)),
        "brier": float(metrics.brier_score_loss(label, probability)),
        "rate": float(label.mean()),
        "rows": float(len(label)),
    }


def standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of `METRIC`, an area under the ROC curve (Hanley & McNeil 1982, Radiology 143:29-36).

    Args:
        auc: the area, between 0 and 1.
        positives, negatives: rows with label 1 and 0, at least 1 of each.
    """
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def bounds(value: float, label: Array, metric: str = METRIC.name) -> tuple[float, float]:
    """One-sided 95 % bounds of a figure on these labels, below and above; together a 90 % interval.

    Of the AUC by its standard error. Of the average precision on the logit scale with the positives as sample
    size, as recommended by Boyd, Eng & Page 2013, "Area under the precision-recall curve: point estimates and
    confidence intervals" (ECML PKDD): deterministic, and as good here as a bootstrap over rows.

    Args:
        value: the figure on these labels, between 0 and 1.
        label: both labels occur, shape `(n,)`.
        metric: a name in `METRICS`.
    """
    positives = int(np.sum(label))
    if metric == "average_precision":
        return _logit_bounds(value, positives)
    error = _Z95 * standard_error(value, positives, len(label) - positives)
    return max(value - error, 0.0), min(value + error, 1.0)


def _logit_bounds(value: float, rows: int) -> tuple[float, float]:
    # 0 and 1 have no logit: as far from them as half a row.
    inner = min(max(value, 0.5 / rows), 1 - 0.5 / rows)
    centre, half = math.log(inner / (1 - inner)), _Z95 / math.sqrt(rows * inner * (1 - inner))
    lower, upper = (1 / (1 + math.exp(-point)) for point in (centre - half, centre + half))
    return min(lower, value), max(upper, value)


def curves(label: Array, probability: Array) -> dict[str, list[list[float]]]:
    """Return what is drawn of probabilities of label 1, each curve as a few dozen points, from left to right.

    Returns:
        `roc`: false and true positive rate. `precision_recall`: recall and precision. `calibration`: mean
        probability, share of label 1 and rows, of ten bins with equally many rows.

    Raises:
        DataError: only one class is present.
    """
    from sklearn import metrics

    figures(label, probability)  # refuses what cannot be judged
    wrong, right, _ = metrics.roc_curve(label, probability)
    precision, recall, _ = metrics.precision_recall_curve(label, probability)
    # Of a few rows the precision is chance, and the last point, of none, is scikit-learn's own.
    told = recall[::-1] >= 1 / _POINTS
    recall, precision = recall[::-1][told], precision[::-1][told]
    return {
        "roc": _points(wrong + right, wrong, right),
        "precision_recall": _points(recall, recall, precision),
        "calibration": _calibration(label, probability),
    }


def confusion(label: Array, probability: Array, threshold: float) -> list[list[int]]:
    """Count rows by what happened (0, 1) and within it by what was decided (0, 1)."""
    decided = decide(probability, threshold)
    return [[int(np.sum((label == truth) & (decided == said))) for said in (0, 1)] for truth in (0, 1)]


def _points(way: Array, *axes: Array) -> list[list[float]]:
    """Some points of a curve, at equal steps of `way`, which never falls."""
    places = np.searchsorted(way, np.linspace(way[0], way[-1], _POINTS + 1))
    chosen = np.unique(np.append(places, len(way) - 1))
    return _rounded(np.column_stack([axis[chosen] for axis in axes]))


def _calibration(label: Array, probability: Array) -> list[list[float]]:
    order = np.argsort(probability, kind="stable")
    bins = [some for some in np.array_split(order, _BINS) if len(some)]
    return _rounded(np.array([[probability[b].mean(), label[b].mean(), len(b)] for b in bins]))


def _rounded(values: Array) -> list[list[float]]:
    return [[round(float(value), 5) for value in row] for row in values]


def threshold(label: Array, probability: Array) -> float:
    """The threshold that flags as large a share of these rows as has label 1."""
    return float(np.quantile(probability, 1 - label.mean()))


def decide(probability: Array, threshold: float) -> Array:
    """Labels, `int64` `(n,)`: 1 where the probability is above the threshold."""
    return (probability > threshold).astype(np.int64)


def naive(
    rows: Mapping[str, Array], label: Array, columns: Sequence[Column], *, unseen: Mapping[str, Array]
) -> tuple[str, Array]:
    """Predict by the rate of one column, the one whose rates rank the training rows best.

    What an analyst would put on a slide ("evening flights are late"): numbers are cut into ten bins of
    equal mass, a value that fills one has it to itself, categories are kept, and each group predicts its
    training rate. The column is chosen on halves, each ranked by the rates of the other: by its own rates a
    column of a thousand rare levels would win every time.

    Args:
        rows: checked training rows, `n` of them. label: of them, `(n,)`.
        unseen: checked rows to predict, `m` of them.

    Returns:
        The column's name and probabilities of shape `(m,)`.
    """

    first = _half(label)

    def fitted(column: Column) -> tuple[float, str, Array]:
        group, group_of_unseen = _groups(rows[column.name], unseen[column.name], column)
        crossed = [
            _auc(label[half], _rates(group[~half], label[~half], group.max() + 1)[group[half]])
            for half in (first, ~first)
        ]
        known = np.append(_rates(group, label, group.max() + 1), label.mean())  # place -1: never seen
        return float(np.mean(crossed)), column.name, known[group_of_unseen]

    _, name, probability = max((fitted(column) for column in columns), key=lambda item: item[0])
    return name, probability


def logistic(inputs: Array, label: Array, *, unseen: Array) -> Array:
    """Fit a logistic regression on encoded rows `(n, width)`; predict `unseen` `(m, width)` as `(m,)`."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=300).fit(inputs, label)
    return fitted.predict_proba(unseen)[:, 1]  # type: ignore[no-any-return]


def _auc(label: Array, probability: Array) -> float:
    from sklearn.metrics import roc_auc_score

    if label.min(initial=1) == label.max(initial=0):
        return 0.5  # a half of very few rows
    return float(roc_auc_score(label, probability))


def _half(label: Array) -> Array:
    """Every other row of each label, as a mask."""
    half = np.zeros(len(label), dtype=bool)
    half[np.argsort(label, kind="stable")[::2]] = True
    return half


def _rates(group: Array, label: Array, groups: int) -> Array:
    """The rate of label 1 in each group; a pseudo-row at the overall rate keeps a tiny one from 0 or 1."""
    count = np.bincount(group, minlength=groups)
    rate: Array = (np.bincount(group, weights=label, minlength=groups) + label.mean()) / (count + 1)
    return rate


def _groups(values: Array, unseen: Array, column: Column) -> tuple[Array, Array]:
    """Number the groups of one column; a group that only `unseen` has gets the number -1."""
    if column.kind == "category":
        place = {value: number for number, value in enumerate(dict.fromkeys(values))}
        return (
            np.array([place[value] for value in values]),
            np.array([place.get(value, -1) for value in unseen]),
        )
    edges, times = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]), return_counts=True)
    edges = np.unique(np.append(edges, np.nextafter(edges[times > 1], np.inf)))
    missing = len(edges) + 1 if np.isnan(values).any() else -1
    group, group_of_unseen = (
        np.where(np.isnan(v), missing, np.searchsorted(edges, v, side="right")) for v in (values, unseen)
    )
    return group, group_of_unseen
