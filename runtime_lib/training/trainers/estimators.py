"""Which estimators of scikit-learn a task needs, made from the one that was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.task import Task

__all__ = ["both_classes", "chosen", "seeded"]


def chosen(estimator: Any, task: Task) -> list[Any]:
    """The estimators that a task needs: one, or one of each level.

    Raises:
        ModelError: it is of another kind, or says less than the task asks.
    """
    from sklearn.base import clone, is_classifier

    name, classifies = type(estimator).__name__, task.kind in ("binary", "multiclass")
    if is_classifier(estimator) != classifies:
        kind = "classifier" if classifies else "regressor"
        raise ModelError(f"A {task.kind} task needs a {kind} of scikit-learn; {name} is none.")
    if classifies and not hasattr(estimator, "predict_proba"):
        raise ModelError(
            f"{name} gives no probabilities (predict_proba), and what decision_function gives is none. Wrap "
            f"it: Sklearn(CalibratedClassifierCV(estimator)), of sklearn.calibration."
        )
    if not isinstance(task, Quantile):
        return [clone(estimator)]
    return [clone(estimator).set_params(**_at(estimator, level)) for level in task.levels]


def _at(estimator: Any, level: float) -> dict[str, Any]:
    """The options that make it a regressor of this quantile; also of one inside a pipeline."""
    options = estimator.get_params(deep=True)
    for name in options:
        start = name[: -len(name.rpartition("__")[2])]
        loss = {f"{start}loss": "quantile"} if f"{start}loss" in options else {}
        if name == f"{start}quantile":
            return {name: level, **loss}
        # Elsewhere `alpha` is a penalty.
        if (
            name == f"{start}alpha"
            and f"{start}quantile" not in options
            and options.get(f"{start}loss") == "quantile"
        ):
            return {name: level}
    raise ModelError(
        f"{type(estimator).__name__} has no option for a quantile. Take one that has: "
        f'HistGradientBoostingRegressor(loss="quantile"), GradientBoostingRegressor(loss="quantile") or '
        f"QuantileRegressor()."
    )


def seeded(estimator: Any, seed: int) -> Any:
    options = estimator.get_params(deep=True)
    free = [name for name, value in options.items() if value is None and name.endswith("random_state")]
    return estimator.set_params(**dict.fromkeys(free, seed))


def both_classes(raw: Array, width: int) -> Array:
    """Raw answers `(n, width, …)`: of two classes scikit-learn gives the log-odds of the second alone."""
    return np.concatenate([-raw / 2, raw / 2], axis=1) if raw.shape[1] == 1 and width == 2 else raw
