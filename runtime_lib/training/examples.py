"""Three held-out rows with what each of their columns adds: the best, a typical and the worst answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.training.explain import Part, explain
from runtime_lib.training.model import Model

__all__ = ["examples"]

_MOST = 8  # columns of a row


def examples(
    model: Model,
    rows: Mapping[str, Array],
    label: Array,
    answer: Array,
    *,
    ids: Sequence[str],
    labels: Sequence[Any],
    profile: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Explain the answers with the least, the median and the largest error.

    Args:
        rows: checked, that the model was not trained on. label: of the task. answer: of the model.
        ids, labels: of the rows, as the table has them.
        profile: the model's own.

    Returns:
        Of each its `error`, `id`, `label`, `answer`, and the eight columns that add or take most, with what
        the `others` do.
    """
    order = np.argsort(model.task.error.rows(label, answer), kind="stable")
    chosen = {"least": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    places = list(chosen.values())
    some, answered = {name: values[places] for name, values in rows.items()}, answer[places]
    found, told = explain(model, some, profile), model.task.told(answered)
    records = model.task.records(answered, model.decide(answered))
    listed = []
    for row, (error, place) in enumerate(chosen.items()):
        parts = found.parts(some, row, told[row])
        listed.append(
            {
                "error": error,
                "id": str(ids[place]),
                "label": labels[place],
                "answer": records[row],
                "output": told[row],
                "unit": found.unit,
                "exact": found.exact,
                "base": found.start(row, told[row]),
                "columns": [_short(part) for part in parts[:_MOST]],
                "others": sum((part.adds for part in parts[_MOST:]), 0.0),
            }
        )
    return listed


def _short(part: Part) -> dict[str, Any]:
    value = part.said if isinstance(part.value, str) else part.value
    return {"column": part.column, "value": value, "adds": part.adds}
