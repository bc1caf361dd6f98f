"""How much a model needs each of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.training.model import Model

__all__ = ["importance"]

_ROWS, _REPEATS, _SEED = 5_000, 3, 7


def importance(model: Model, rows: Mapping[str, Array], label: Array) -> list[dict[str, Any]]:
    """Measure what the task's metric loses when one column's values are shuffled among the rows.

    Permutation importance (Breiman 2001, "Random Forests", section 10), on at most 5,000 rows spread
    evenly over the table, as the mean of three shuffles. Of two columns that say the same, each may look
    as if it were not needed.

    Args:
        rows: checked rows that the model was not trained on. label: of them, `(n,)`.

    Returns:
        `column` and `loss` (in the metric's unit) of each column, the most needed first; nothing where the
        rows looked at have one label only.
    """
    some = np.unique(np.linspace(0, len(label) - 1, min(_ROWS, len(label))).astype(int))
    sample, truth = {name: values[some] for name, values in rows.items()}, label[some]
    metric = model.task.metric
    if not model.task.support(truth):
        return []
    random, whole = np.random.default_rng(_SEED), metric.value(truth, model.predict(sample))
    found = []
    for name in sample:
        shuffled = ({**sample, name: sample[name][random.permutation(len(some))]} for _ in range(_REPEATS))
        losses = [metric.gain(whole, metric.value(truth, model.predict(each))) for each in shuffled]
        found.append({"column": name, "loss": round(float(np.mean(losses)), 5)})
    return sorted(found, key=lambda item: -item["loss"])
