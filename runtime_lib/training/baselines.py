"""What a model must beat: the best single column, and a logistic regression on the same features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from runtime_lib.data.columns import Array, Column

__all__ = ["logistic_probability", "naive_probability"]

_BINS = 10


def naive_probability(
    rows: Mapping[str, Array], label: Array, columns: Sequence[Column], *, target: Mapping[str, Array]
) -> tuple[str, Array]:
    """Predict by the rate of one column: the one whose rates rank the training rows best.

    What an analyst would put on a slide ("evening flights are late"): numbers are cut into ten bins of
    equal mass, categories kept, and each group predicts its training rate.

    Args:
        rows: checked training rows, `n` of them. label: 0 or 1, shape `(n,)`.
        target: checked rows to predict, `m` of them.

    Returns:
        The column's name and probabilities of shape `(m,)`.
    """
    from sklearn.metrics import roc_auc_score

    def fitted(column: Column) -> tuple[float, str, Array]:
        group, group_of_target = _groups(rows[column.name], target[column.name], column)
        count = np.bincount(group)
        # One pseudo-row at the overall rate keeps an empty or tiny group from claiming 0 or 1.
        rate = (np.bincount(group, weights=label) + label.mean()) / (count + 1)
        known = np.append(rate, label.mean())  # place -1: a group never seen
        return float(roc_auc_score(label, rate[group])), column.name, known[group_of_target]

    _, name, probability = max((fitted(column) for column in columns), key=lambda item: item[0])
    return name, probability


def logistic_probability(inputs: Array, label: Array, *, target: Array) -> Array:
    """Fit a logistic regression on encoded rows `(n, width)`; predict `target` `(m, width)` as `(m,)`."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=300).fit(inputs, label)
    return fitted.predict_proba(target)[:, 1]  # type: ignore[no-any-return]


def _groups(values: Array, target: Array, column: Column) -> tuple[Array, Array]:
    """Number the groups of one column; in `target`, a group never seen gets the number -1."""
    if column.kind == "number":
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
        return tuple(  # type: ignore[return-value]
            np.where(np.isnan(v), len(edges) + 1, np.searchsorted(edges, v, side="right"))
            for v in (values, target)
        )
    place = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return (
        np.array([place[value] for value in values]),
        np.array([place.get(value, -1) for value in target]),
    )
