"""Is the model still as good as on held-out data? Judged on the predictions whose labels have come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime_lib.task.metric import Metric
from runtime_lib.task.task import Task

__all__ = ["Performance", "Period", "by_period", "judge_performance"]

_MOST_NAMED = 5  # classes in a sentence
FEWEST = 20  # rows that a figure rests on, in a day or week; with fewer, its point would be noise


@dataclass(frozen=True)
class Performance:
    """The live figure of one metric against the held-out one; a figure is None when it is unknown.

    `lower` and `upper` are the one-sided 95 % bounds of `live`; `drop` is relative to `held_out`, and
    positive where the model got worse, whichever way the metric goes (`best`: of a perfect model). `metrics`
    and `held_out_metrics` are all figures of either. `unknown` counts labels whose id no prediction has.
    `reason` is the decision in a sentence.
    """

    metric: str
    title: str
    best: float
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
    held_out_metrics: Mapping[str, float]
    retrain: bool
    reason: str

    @property
    def bound(self) -> float | None:
        """The live figure at its best, with 95 % confidence."""
        return self.upper if self.best else self.lower

    @property
    def surely_worse(self) -> bool:
        """Whether even the bound is worse than on held-out rows."""
        if self.bound is None or self.held_out is None:
            return False
        return self.bound < self.held_out if self.best else self.bound > self.held_out

    @property
    def coverage(self) -> float:
        """Share of the predictions that have a label by now."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def limit(self, max_drop: float) -> float | None:
        """The live figure at which the drop is large enough."""
        if self.held_out is None:
            return None
        step = abs(self.held_out) * max_drop  # R² may be below 0
        return self.held_out - step if self.best else self.held_out + step

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values; `baseline` and `baseline_rows` are the names of `held_out…` until 0.4."""
        old = {"baseline": self.held_out, "baseline_rows": self.held_out_rows}
        return {**asdict(self), "coverage": self.coverage, **old}


@dataclass(frozen=True)
class Period:
    """One day or week of predictions; `live` and its bounds are None with too few labels.

    `figures`: all that the task says of these rows.
    """

    start: str
    days: int
    predictions: int
    labelled: int
    live: float | None
    lower: float | None
    upper: float | None
    figures: Mapping[str, float] = field(default_factory=dict)


def _named(strange: Sequence[str], known: Sequence[str]) -> str:
    """The commonest of them, each with the class that may have been meant."""
    told = []
    for name, count in Counter(strange).most_common(_MOST_NAMED):
        near = get_close_matches(name, known, 1)
        told.append(f"{name!r} ({count:,}{f', perhaps {near[0]!r}' if near else ''})")
    return ", ".join(told) + (" and others" if len(set(strange)) > _MOST_NAMED else "")


def judge_performance(
    task: Task,
    label: NDArray[Any],
    answer: NDArray[Any],
    held_out: Mapping[str, float] | None,
    *,
    predictions: int,
    metric: Metric | None = None,
    unknown: int = 0,
    strange: Sequence[str] = (),
    max_drop: float = 0.05,
    min_rows: int = 500,
) -> Performance:
    """Compare labelled predictions with the held-out figure and decide on retraining.

    Retraining needs all three: `min_rows` labels, a drop of `max_drop` relative to the held-out figure, and
    the one-sided 95 % bound of the live figure, on its better side, still worse than it, so that no small
    sample triggers it.

    Args:
        label: of the task, shape `(n,)`.
        answer: the logged answers to the same rows.
        held_out: the figures of the gate or the profile on rows that training did not see, or None.
        predictions: all predictions of the period, labelled or not.
        metric: one of the task's; default: its first.
        unknown: labels without a prediction, for the report.
        strange: labels, each a class that the model does not know; they are not among `label`.
    """
    metric = metric or task.metric
    expected, rows = (held_out or {}).get(metric.name), (held_out or {}).get("rows")
    metrics: dict[str, float] = {}
    live = lower = upper = drop = None
    if task.support(label):
        metrics = task.figures(label, answer)
        live = metrics[metric.name]
        lower, upper = metric.interval(label, answer)
        drop = metric.gain(expected, live) / abs(expected) if expected else None
    found = Performance(
        metric.name, metric.title, metric.best, expected, None if rows is None else int(rows),
        live, lower, upper, drop, predictions, len(label), unknown, metrics, dict(held_out or {}), False, "",
    )  # fmt: skip
    retrain, reason = _decide(found, max_drop, min_rows)
    if strange:
        reason += (
            f" {len(strange):,} more labels are of classes that the model was not trained on, and are left "
            f"out: {_named(strange, task.class_names)}. Mend them, or train on months that have them."
        )
    return replace(found, retrain=retrain, reason=reason)


def by_period(
    task: Task,
    predictions: Mapping[str, int],
    time: NDArray[Any],
    answer: NDArray[Any],
    label: NDArray[Any],
    metric: Metric | None = None,
) -> tuple[Period, ...]:
    """Cut labelled predictions into days, or into weeks from Monday when they span more than 31 days.

    Args:
        predictions: UTC day, `YYYY-MM-DD`, → how many there were, labelled or not.
        time: of the labelled predictions, `datetime64` in UTC, shape `(n,)`.
        answer, label: of the task, of the same `n` rows.
        metric: as for `judge_performance`.
    """
    counted = np.array(list(predictions), dtype="datetime64[D]").astype(np.int64)
    rows = np.array(list(predictions.values()), dtype=np.int64)
    day = time.astype("datetime64[D]").astype(np.int64)
    every = np.concatenate([counted, day])
    length = 1 if not every.size or np.ptp(every) < 31 else 7
    starts = [
        each if length == 1 else each - (each + 3) % 7 for each in (counted, day)
    ]  # day 0 was a Thursday
    return tuple(
        _period(
            task, metric or task.metric, str(np.datetime64(int(first), "D")), length,
            int(rows[starts[0] == first].sum()), answer[starts[1] == first], label[starts[1] == first],
        )
        for first in np.unique(np.concatenate(starts))
    )  # fmt: skip


def _period(
    task: Task,
    metric: Metric,
    start: str,
    days: int,
    predictions: int,
    answer: NDArray[Any],
    label: NDArray[Any],
) -> Period:
    live = lower = upper = None
    figures: dict[str, float] = {}
    if task.support(label) >= FEWEST:
        figures = task.figures(label, answer)
        live = figures[metric.name]
        lower, upper = metric.interval(label, answer)
    # Labels of days before those that are judged come without a count of predictions.
    return Period(start, days, max(predictions, len(label)), len(label), live, lower, upper, figures)


def _decide(p: Performance, max_drop: float, min_rows: int) -> tuple[bool, str]:
    if not p.labelled and p.unknown:
        return False, (
            f"None of {p.unknown:,} labels has the id of one of these predictions: performance is unknown. "
            f"Compare the column `id` of both."
        )
    if not p.labelled:
        return False, "No labels yet: performance is unknown. Add them with `mlops monitor --labels FILE`."
    if p.live is None or p.bound is None:
        return False, f"All {p.labelled:,} labels are the same: the ranking cannot be judged."
    title = p.title[0].upper() + p.title[1:]
    if p.held_out is None or p.drop is None:
        return False, f"{title} is {p.live:.3f}, but there is no held-out figure to compare it with."
    if p.labelled < min_rows:
        return False, f"{title} is {p.live:.3f} on {p.labelled:,} labels; a decision needs {min_rows:,}."
    change, worse = (-p.drop, "drop") if p.best else (p.drop, "rise")
    side, still = ("upper", "below") if p.best else ("lower", "above")
    found = f"{title} {p.live:.3f} against {p.held_out:.3f} on held-out data ({change:+.1%})"
    found = f"{found} on {p.labelled:,} labels"
    bound = f"95 % {side} bound {p.bound:.3f}"
    if p.drop <= 0:
        return False, f"{found}: no {worse}."
    if p.drop < max_drop:
        return False, f"{found}: less than the {worse} of {max_drop:.0%} that calls for retraining."
    if not p.surely_worse:
        return False, f"{found}: perhaps by chance, as its {bound} is not {still} {p.held_out:.3f}."
    return True, f"{found}: a {worse} of {max_drop:.0%} or more, and its {bound} is {still} {p.held_out:.3f}."
