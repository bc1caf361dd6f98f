"""What an estimator of scikit-learn says of each column: how much it counts, and what it adds to answers.

Exactly for linear models and histogram gradient boosting, also behind steps of a pipeline that only scale,
shift, mix or leave out columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.task.scaled import Scaled
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.trainers.estimators import both_classes
from runtime_lib.training.trainers.histogram_trees import column_gains, tree_shares
from runtime_lib.training.trainers.steps import Steps, read_steps

__all__ = ["contributions", "importance"]


def importance(estimator: Any, encoder: Encoder, means: Array) -> Array | None:
    """How much it rests on each raw column, `(columns,)`; None where it does not say.

    Args:
        means: of the encoded training rows.
    """
    owner, columns = _owner(encoder), len(encoder.parts)
    steps = read_steps(estimator, means[None])
    if steps is None:
        return None
    if (line := _line(steps)) is not None:
        return np.bincount(owner, weights=np.abs(line[0]).mean(axis=0), minlength=columns)
    if (given := steps.owner(owner)) is None:
        return None
    if _is_histogram(steps.last):
        return column_gains(steps.last, given, columns)
    weights = getattr(steps.last, "feature_importances_", None)
    return None if weights is None else np.bincount(given, weights=weights, minlength=columns)


def contributions(
    task: Task,
    estimators: Sequence[Any],
    encoder: Encoder,
    inputs: Array,
    *,
    means: Array,
    answer: Array,
) -> tuple[Array, Array] | None:
    """What each raw column adds, see `Fitted.contributions`; None where it cannot be told exactly.

    Args:
        inputs: encoded rows `(n, width of the encoder)`. means: of the training rows.
        answer: to the rows, which shows whether the parts add up: a model with a link of its own (Poisson) or
            with calibrated probabilities (a support vector machine) has coefficients too, and is not linear.
    """
    found = [_added(each, encoder, inputs, means) for each in estimators]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    shares = np.concatenate([each for each, _ in known], axis=1)
    base = np.concatenate([each for _, each in known])[None]
    if isinstance(task, Scaled):
        shares, base = shares / task.scale, (base - task.center) / task.scale
    shares, base = both_classes(shares, task.width), both_classes(base, task.width)
    if shares.shape[1] != task.width:
        return None
    raw = shares.sum(axis=2) + base
    if not np.allclose(task.answer(raw), answer, rtol=1e-9, atol=1e-9):
        return None
    return shares, np.broadcast_to(base, raw.shape)


def _added(estimator: Any, encoder: Encoder, inputs: Array, means: Array) -> tuple[Array, Array] | None:
    """By raw column `(n, outputs, columns)`, and what is there without them `(outputs,)`, as it answers."""
    owner, columns = _owner(encoder), len(encoder.parts)
    steps = read_steps(estimator, np.vstack([means, inputs]))
    if steps is None:
        return None
    if _is_histogram(steps.last):
        given = steps.owner(owner)
        return None if given is None else tree_shares(steps.last, steps.before(inputs), given, columns)
    if (line := _line(steps)) is None:
        return None
    coefficients, intercept = line
    shares = (inputs - means)[:, None, :] * coefficients
    return shares @ np.eye(columns)[owner], intercept + coefficients @ means


def _owner(encoder: Encoder) -> Array:
    """Of each encoded column the place of its raw one."""
    return np.repeat(np.arange(len(encoder.parts)), [part.width for part in encoder.parts])


def _is_histogram(estimator: Any) -> bool:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)


def _line(steps: Steps) -> tuple[Array, Array] | None:
    """Coefficients of the encoded columns `(outputs, width)`, and intercepts `(outputs,)`."""
    found = getattr(steps.last, "coef_", None)
    if not isinstance(found, np.ndarray) or found.ndim > 2:
        return None
    coefficients = np.atleast_2d(found).astype(np.float64)
    if coefficients.shape[1] != len(steps.shift):
        return None
    intercept = np.ravel(getattr(steps.last, "intercept_", 0.0)).astype(np.float64)
    return coefficients @ steps.weights.T, intercept + coefficients @ steps.shift
