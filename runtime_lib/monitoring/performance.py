"""Is the model still as good as on held-out data? Judged on the predictions whose labels have come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_lib.task import binary

__all__ = ["Performance", "Period", "by_period", "judge_performance"]

FEWEST = 20  # of either label in a day or week; with fewer, its point on the chart would be noise


@dataclass(frozen=True)
class Performance:
    """The live figure of one metric against the held-out one; a figure is None when it is unknown.

    `lower` and `upper` are the one-sided 95 % bounds of `live`; `drop` is relative to `held_out`.
    `metrics` are all live figures. `unknown` counts labels whose id no prediction has. `reason` is the
    decision in a sentence.
    """

    metric: str
    held_out: float | None
    held_out_rows: int | None
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
    def title(self) -> str:
        """The metric's name in a sentence."""
        return binary.METRICS[self.metric].title

    @property
    def coverage(self) -> float:
        """Share of the predictions that have a label by now."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values; `baseline` and `baseline_rows` are the names of `held_out…` until 0.4."""
        old = {"baseline": self.held_out, "baseline_rows": self.held_out_rows}
        return {**asdict(self), "coverage": self.coverage, **old}


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


def judge_performance(
    label: NDArray[Any],
    probability: NDArray[Any],
    held_out: Mapping[str, float] | None,
    *,
    predictions: int,
    metric: str = binary.METRIC.name,
    unknown: int = 0,
    max_drop: float = 0.05,
    min_rows: int = 500,
) -> Performance:
    """Compare labelled predictions with the held-out figure and decide on retraining.

    Retraining needs all three: `min_rows` labels, a drop of `max_drop` relative to the held-out figure, and
    the one-sided 95 % upper bound of the live figure below it, so that no small sample triggers it.

    Args:
        label: 0 or 1, shape `(n,)`.
        probability: the logged predictions of the same rows, shape `(n,)`.
        held_out: the figures of the gate or the profile on rows that training did not see, or None.
        predictions: all predictions of the period, labelled or not.
        metric: a name in `task.binary.METRICS`; the higher the better.
        unknown: labels without a prediction, for the report.
    """
    expected, rows = (held_out or {}).get(metric), (held_out or {}).get("rows")
    metrics: dict[str, float] = {}
    live = lower = upper = drop = None
    if binary.rarer(label):
        metrics = binary.figures(label, probability)
        live = metrics[metric]
        lower, upper = binary.bounds(live, label, metric)
        drop = 1 - live / expected if expected else None
    title = binary.METRICS[metric].title
    retrain, reason = _decide(title, expected, live, upper, drop, len(label), unknown, max_drop, min_rows)
    return Performance(
        metric, expected, None if rows is None else int(rows), live, lower, upper, drop,
        predictions, len(label), unknown, metrics, retrain, reason,
    )  # fmt: skip


def by_period(
    time: NDArray[Any], probability: NDArray[Any], label: NDArray[Any], metric: str = binary.METRIC.name
) -> tuple[Period, ...]:
    """Cut predictions into days, or into weeks from Monday when they span more than 31 days.

    Args:
        time: of the prediction, `datetime64` in UTC, shape `(n,)`.
        probability: shape `(n,)`.
        label: 0 or 1, NaN while unknown, shape `(n,)`.
        metric: as for `judge_performance`.
    """
    day = time.astype("datetime64[D]").astype(np.int64)
    length = 1 if not day.size or np.ptp(day) < 31 else 7
    start = day if length == 1 else day - (day + 3) % 7  # day 0, 1970-01-01, was a Thursday
    parts = [(int(first), start == first) for first in np.unique(start)]
    return tuple(
        _period(str(np.datetime64(first, "D")), length, probability[own], label[own], metric)
        for first, own in parts
    )


def _period(start: str, days: int, probability: NDArray[Any], label: NDArray[Any], metric: str) -> Period:
    known = ~np.isnan(label)
    live = lower = upper = None
    if binary.rarer(label[known]) >= FEWEST:
        live = binary.figures(label[known], probability[known])[metric]
        lower, upper = binary.bounds(live, label[known], metric)
    return Period(start, days, len(label), int(known.sum()), live, lower, upper)


def _decide(
    title: str,
    expected: float | None,
    live: float | None,
    upper: float | None,
    drop: float | None,
    labels: int,
    unknown: int,
    max_drop: float,
    min_rows: int,
) -> tuple[bool, str]:
    if not labels and unknown:
        return False, (
            f"None of {unknown:,} labels has the id of one of these predictions: performance is unknown. "
            f"Compare the column `id` of both."
        )
    if not labels:
        return False, "No labels yet: performance is unknown. Add them with `mlops monitor --labels FILE`."
    if live is None or upper is None:
        return False, f"All {labels:,} labels are the same: the ranking cannot be judged."
    title = title[0].upper() + title[1:]
    if expected is None or drop is None:
        return False, f"{title} is {live:.3f}, but there is no held-out figure to compare it with."
    if labels < min_rows:
        return False, f"{title} is {live:.3f} on {labels:,} labels; a decision needs {min_rows:,}."
    found = f"{title} {live:.3f} against {expected:.3f} on held-out data ({-drop:+.1%}) on {labels:,} labels"
    bound = f"95 % upper bound {upper:.3f}"
    if drop <= 0:
        return False, f"{found}: no drop."
    if drop < max_drop:
        return False, f"{found}: less than the drop of {max_drop:.0%} that calls for retraining."
    if upper >= expected:
        return False, f"{found}: perhaps by chance, as its {bound} is not below {expected:.3f}."
    return True, f"{found}: a drop of {max_drop:.0%} or more, and its {bound} is below {expected:.3f}."
