"""Is the model still as good as on held-out data? Judged on the predictions whose labels have come in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Performance", "Period", "auc_standard_error", "by_period", "judge_performance"]

METRIC = "roc_auc"
FEWEST = 20  # of either label in a day or week; with fewer, its point on the chart would be noise
Z95 = 1.6448536269514722  # one-sided 95 % quantile of the normal distribution


@dataclass(frozen=True)
class Performance:
    """The live figure against the held-out one; figures are None when they cannot be told.

    `lower` and `upper` are the one-sided 95 % bounds of `live`; `drop` is relative to `baseline`.
    `unknown` counts labels whose id no prediction has. `reason` tells the decision in a sentence.
    """

    metric: str
    baseline: float | None
    baseline_rows: int | None
    live: float | None
    lower: float | None
    upper: float | None
    drop: float | None
    predictions: int
    labelled: int
    unknown: int
    metrics: Mapping[str, float]
    retrain: bool
    reason: str

    @property
    def coverage(self) -> float:
        """Share of the predictions that have a label by now."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "coverage": self.coverage}


@dataclass(frozen=True)
class Period:
    """One day or week of predictions; `live` and its bounds are None with too few labels of either kind."""

    start: str
    days: int
    predictions: int
    labelled: int
    live: float | None
    lower: float | None
    upper: float | None


def auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve (Hanley & McNeil 1982, Radiology 143:29-36).

    Args:
        auc: the area, between 0 and 1.
        positives: rows with label 1, at least 1.
        negatives: rows with label 0, at least 1.
    """
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def bounds(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """The one-sided 95 % bounds of an area, below and above; together a 90 % interval."""
    error = Z95 * auc_standard_error(auc, positives, negatives)
    return max(auc - error, 0.0), min(auc + error, 1.0)


def judge_performance(
    label: NDArray[Any],
    probability: NDArray[Any],
    baseline: Mapping[str, float] | None,
    *,
    predictions: int,
    unknown: int = 0,
    max_drop: float = 0.05,
    min_rows: int = 500,
) -> Performance:
    """Compare labelled predictions with the held-out figure of the profile and decide on retraining.

    Retraining needs all three: `min_rows` labels, a drop of `max_drop` relative to the baseline, and the
    one-sided 95 % upper bound of the live figure below the baseline, so that no small sample triggers it.

    Args:
        label: 0 or 1, shape `(n,)`.
        probability: the logged predictions of the same rows, shape `(n,)`.
        baseline: the profile's `performance`, or None.
        predictions: all predictions of the period, labelled or not.
        unknown: labels without a prediction, for the report.
    """
    reference = (baseline or {}).get(METRIC)
    rows = (baseline or {}).get("rows")
    metrics: dict[str, float] = {}
    live = lower = upper = drop = None
    positives = int(np.sum(label))
    if 0 < positives < len(label):
        from runtime_lib.task.binary import binary_metrics

        metrics = binary_metrics(label, probability)
        live = metrics[METRIC]
        lower, upper = bounds(live, positives, len(label) - positives)
        drop = 1 - live / reference if reference else None
    retrain, reason = _decide(reference, live, upper, drop, len(label), max_drop, min_rows)
    return Performance(
        METRIC, reference, None if rows is None else int(rows), live, lower, upper, drop,
        predictions, len(label), unknown, metrics, retrain, reason,
    )  # fmt: skip


def by_period(time: NDArray[Any], probability: NDArray[Any], label: NDArray[Any]) -> tuple[Period, ...]:
    """Cut predictions into days, or into weeks from Monday when they span more than 31 days.

    Args:
        time: of the prediction, `datetime64` in UTC, shape `(n,)`.
        probability: shape `(n,)`.
        label: 0 or 1, NaN while unknown, shape `(n,)`.
    """
    day = time.astype("datetime64[D]").astype(np.int64)
    length = 1 if not day.size or np.ptp(day) < 31 else 7
    start = day if length == 1 else day - (day + 3) % 7  # day 0, 1970-01-01, was a Thursday
    return tuple(
        _period(
            str(np.datetime64(int(first), "D")), length, probability[start == first], label[start == first]
        )
        for first in np.unique(start)
    )


def _period(start: str, days: int, probability: NDArray[Any], label: NDArray[Any]) -> Period:
    known = ~np.isnan(label)
    positives = int(np.nansum(label))
    negatives = int(known.sum()) - positives
    live = lower = upper = None
    if min(positives, negatives) >= FEWEST:
        from runtime_lib.task.binary import binary_metrics

        live = binary_metrics(label[known], probability[known])[METRIC]
        lower, upper = bounds(live, positives, negatives)
    return Period(start, days, len(label), int(known.sum()), live, lower, upper)


def _decide(
    baseline: float | None,
    live: float | None,
    upper: float | None,
    drop: float | None,
    labels: int,
    max_drop: float,
    min_rows: int,
) -> tuple[bool, str]:
    if not labels:
        return False, "No labels yet: performance is unknown. Add them with `mlops monitor --labels FILE`."
    if live is None or upper is None:
        return False, f"All {labels:,} labels are the same: the ranking cannot be judged."
    if baseline is None or drop is None:
        return False, f"AUC is {live:.3f}, but the model's profile holds no figure to compare it with."
    if labels < min_rows:
        return False, f"AUC is {live:.3f} on {labels:,} labels; a decision needs {min_rows:,}."
    told = f"AUC {live:.3f} against {baseline:.3f} on held-out data ({-drop:+.1%}) on {labels:,} labels"
    if drop < max_drop:
        return False, f"{told}: less than the drop of {max_drop:.0%} that calls for retraining."
    if upper >= baseline:
        return (
            False,
            f"{told}: maybe chance, as its 95 % upper bound {upper:.3f} is not below {baseline:.3f}.",
        )
    return (
        True,
        f"{told}: fallen by {max_drop:.0%} or more, its 95 % upper bound {upper:.3f} below the baseline.",
    )
