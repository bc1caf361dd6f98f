"""The steps of a scikit-learn pipeline, where those before the last are affine: inputs @ weights + shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array

__all__ = ["Steps", "read_steps"]

_WIDEST = 2_000  # inputs that are asked about one by one


@dataclass(frozen=True)
class Steps:
    """The last step, and what those before it do.

    Attributes:
        estimator: all of them. last: the last, or the estimator itself.
        weights: `(inputs, k)`. shift: `(k,)`.
    """

    estimator: Any
    last: Any
    weights: Array
    shift: Array

    def before(self, inputs: Array) -> Array:
        """What the last step is given for these rows, `(n, k)`."""
        return _before(self.estimator, inputs)

    def owner(self, of_inputs: Array) -> Array | None:
        """Of what owns each input, what owns each column that the last step is given, `(k,)`.

        None where one of these is made of inputs of several owners, or of none.
        """
        owners = [np.unique(of_inputs[used != 0]) for used in self.weights.T]
        if any(len(each) != 1 for each in owners):
            return None
        return np.concatenate(owners)


def read_steps(estimator: Any, points: Array) -> Steps | None:
    """Find the last step, and weights and shift of those before it.

    Args:
        estimator: fitted, a pipeline or not.
        points: inputs `(n, width)` for which they must hold.

    Returns:
        None where the steps are not affine at these points, as a step that clips, bins or multiplies is not.
    """
    width = points.shape[1]
    if not _is_pipeline(estimator):
        return Steps(estimator, estimator, np.eye(width), np.zeros(width))
    if width > _WIDEST:
        return None
    units = np.eye(width)
    try:
        shift = _before(estimator, np.zeros((1, width)))[0]
        weights = _before(estimator, units) - shift
        # Twice the units show what clips, bins or squares.
        asked = np.vstack([2 * units, points])
        given = _before(estimator, asked)
    except (TypeError, ValueError):  # sparse, or points that a step refuses
        return None
    if not np.allclose(given, asked @ weights + shift, rtol=1e-9, atol=1e-9):
        return None
    return Steps(estimator, estimator.steps[-1][1], weights, shift)


def _is_pipeline(estimator: Any) -> bool:
    from sklearn.pipeline import Pipeline

    return isinstance(estimator, Pipeline)


def _before(estimator: Any, inputs: Array) -> Array:
    if _is_pipeline(estimator):
        for _, step in estimator.steps[:-1]:
            inputs = inputs if step in (None, "passthrough") else step.transform(inputs)
    return np.asarray(inputs, dtype=np.float64)
