"""The baseline that every model must beat: what one column alone says.

What an analyst would put on a slide ("evening flights are late"): numbers are cut into ten bins of equal
mass, a value that fills one has it to itself, categories are kept, and each group has one answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.task.task import Task

__all__ = ["naive"]

_BINS = 10


def naive(
    task: Task,
    rows: Mapping[str, Array],
    label: Array,
    columns: Sequence[Column],
    *,
    unseen: Mapping[str, Array],
) -> tuple[str, Array]:
    """Answer by one column, the one whose groups do best by the task's metric.

    The column is chosen on halves, each judged by the groups of the other: by its own labels a column of a
    thousand rare levels would win every time.

    Args:
        rows: checked training rows, `n` of them. label: of them, `(n,)`.
        columns: of these, those that have groups: numbers and categories.
        unseen: checked rows to answer for, `m` of them.

    Returns:
        The column's name and `m` answers. The name is empty where the same answer for every row does
        best, or no column has groups.
    """
    first, same = _half(label), np.zeros(len(label), dtype=np.int64)
    whole = task.group_answers(same, label, 1)

    def judged(half: Array, group: Array) -> float:
        if not task.support(label[half]):
            return task.metric.guessed if isinstance(task.metric.guessed, float) else 0.0
        answers = task.group_answers(group[~half], label[~half], group.max() + 1)
        return task.metric.value(label[half], answers[group[half]])

    def score(group: Array) -> float:
        return task.metric.gain(float(np.mean([judged(half, group) for half in (first, ~first)])), 0.0)

    def fitted(column: Column) -> tuple[float, str, Array]:
        group, group_of_unseen = _groups(rows[column.name], unseen[column.name], column)
        # Place -1, for a group that was never seen: the answer for all rows.
        known = np.concatenate([task.group_answers(group, label, group.max() + 1), whole])
        return score(group), column.name, known[group_of_unseen]

    found = [fitted(column) for column in columns if column.has_groups]
    if task.metric.guessed is None or not found:  # to say the same of every row may be the best that is known
        found.append((score(same), "", np.repeat(whole, len(next(iter(unseen.values()))), axis=0)))
    _, name, answers = max(found, key=lambda item: item[0])
    return name, answers


def _half(label: Array) -> Array:
    """Every other row in the order of the labels, as a mask."""
    half = np.zeros(len(label), dtype=bool)
    half[np.argsort(label, kind="stable")[::2]] = True
    return half


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
