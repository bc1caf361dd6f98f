"""What the predictions look like whose labels have arrived: the drawings of an evaluation, of live rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.data.columns import Array
from runtime_lib.drawing.answers import Chart, by_part, confusion, of_answers
from runtime_lib.monitoring.performance import FEWEST, Performance
from runtime_lib.task.task import Task

__all__ = ["Labelled", "drawn", "look_at"]


@dataclass(frozen=True)
class Labelled:
    """Points to draw; nothing with fewer than 20 labels, or where they cannot be judged.

    Attributes:
        task: its kind.
        curves: `live`, and of the champion's evaluation `held-out` → what `Task.curves` gave.
        confusion: rows by what happened and by the likeliest class; None for a task without.
        classes: of its rows and columns.
    """

    task: str = ""
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    confusion: Sequence[Sequence[int]] | None = None
    classes: Sequence[str] = ()


def look_at(task: Task, label: Array, answer: Array, held_out: Mapping[str, Any]) -> Labelled:
    """Look at labelled answers `(n, …)`, beside the held-out ones.

    Args:
        held_out: what `Task.curves` gave of them; empty where it is not known.
    """
    if task.support(label) < FEWEST:
        return Labelled(task.kind)
    curves = {"live": task.curves(label, answer), **({"held-out": held_out} if held_out else {})}
    # A probability alone is no decision: it has a threshold, which the log does not hold.
    decides = bool(task.class_names) and not task.flat
    counts = task.confusion(label, answer, {}) if decides else None
    return Labelled(task.kind, curves, counts, task.class_names if decides else ())


def drawn(labelled: Labelled, performance: Performance) -> Iterator[Chart]:
    """The drawings of a task, live beside held-out where that is known."""
    live, held_out = performance.metrics, performance.held_out_metrics
    if not labelled.curves:
        return
    yield from of_answers(labelled.curves, task=labelled.task, figures=live)
    if labelled.confusion:
        yield confusion(labelled.confusion, task=labelled.task, classes=labelled.classes)
    yield from by_part(
        live,
        held_out,
        "recall",
        title="Recall of each class",
        reading="The share of its rows that were found.",
    )
    yield from by_part(
        live,
        held_out,
        "pinball",
        title="Error of each quantile",
        reading="Its pinball loss, in the label's unit; less is better.",
    )
