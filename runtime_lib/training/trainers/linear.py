"""What an estimator of scikit-learn says of each column: its weights, and for linear ones exact shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.task.scaled import Scaled
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder

__all__ = ["by_column", "contributions", "weights"]


def weights(estimator: Any) -> Array | None:
    """How much it rests on each encoded column, `(width,)`; None where it does not say."""
    if hasattr(estimator, "feature_importances_"):
        return np.asarray(estimator.feature_importances_, dtype=np.float64)
    coefficients = _dense(estimator)
    return None if coefficients is None else np.abs(coefficients).mean(axis=0)


def by_column(encoder: Encoder, values: Array) -> dict[str, float]:
    """Add up what belongs to one raw column."""
    return {name: float(values[part].sum()) for name, part in _parts(encoder)}


def contributions(
    task: Task,
    estimators: Sequence[Any],
    encoder: Encoder,
    inputs: Array,
    *,
    means: Array,
    answer: Array,
) -> tuple[Array, Array] | None:
    """Each column's coefficient times (value - mean), see `Fitted.contributions`.

    Args:
        inputs: encoded rows `(n, width of the encoder)`. means: of the training rows.
        answer: to the rows, which shows whether the model is linear: one with a link of its own (Poisson) or
            with calibrated probabilities (a support vector machine) has coefficients too, and is not.
    """
    line = _line(task, estimators)
    if line is None:
        return None
    coefficients, intercept = line
    if coefficients.shape != (task.width, encoder.width):
        return None
    raw = inputs @ coefficients.T + intercept
    if not np.allclose(task.answer(raw), answer, rtol=1e-9, atol=1e-9):
        return None
    shares = (inputs - means)[:, None, :] * coefficients
    columns = np.stack([shares[:, :, part].sum(axis=2) for _, part in _parts(encoder)], axis=2)
    return columns, np.broadcast_to(intercept + coefficients @ means, raw.shape)


def _line(task: Task, estimators: Sequence[Any]) -> tuple[Array, Array] | None:
    """Coefficients `(width, columns)` and intercepts `(width,)`, on the task's raw scale."""
    found = [_dense(each) for each in estimators]
    if any(each is None for each in found):
        return None
    coefficients = np.concatenate([each for each in found if each is not None])
    starts = [np.ravel(getattr(each, "intercept_", 0.0)) for each in estimators]
    intercept = np.broadcast_to(np.concatenate(starts).astype(np.float64), len(coefficients))
    if isinstance(task, Scaled):
        return coefficients / task.scale, (intercept - task.center) / task.scale
    return coefficients, intercept


def _dense(estimator: Any) -> Array | None:
    coefficients = getattr(estimator, "coef_", None)
    if not isinstance(coefficients, np.ndarray) or coefficients.ndim > 2:
        return None
    return np.atleast_2d(coefficients).astype(np.float64)


def _parts(encoder: Encoder) -> Iterator[tuple[str, slice]]:
    ends = np.cumsum([0, *(part.width for part in encoder.parts)]).tolist()
    for part, (start, end) in zip(encoder.parts, pairwise(ends), strict=True):
        yield part.name, slice(start, end)
