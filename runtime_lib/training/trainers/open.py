"""From a stored model's files back to a `Fitted`, by the name of the trainer that made it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from runtime_lib.errors import ModelError
from runtime_lib.task.task import Task
from runtime_lib.training.trainer import Fitted, Opening

__all__ = ["open_fitted"]

# Name → the module here and its class. Imported when needed: each trainer is an extra.
_TRAINERS = {
    "network": ("network", "FittedNetwork"),
    "lightgbm": ("lightgbm", "FittedLightGBM"),
    "xgboost": ("xgboost", "FittedXGBoost"),
    "gradient_boosting": ("gradient_boosting", "FittedGradientBoosting"),
    "sklearn": ("sklearn", "FittedSklearn"),
}


def open_fitted(
    trainer: str, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
) -> Fitted:
    """Open a fitted model.

    Args:
        files: by name, each with the digest that config.json says.
        stored: what its `save` returned.

    Raises:
        ModelError: no such trainer, or the files are not what it reads.
        MissingExtraError: its package is not installed.
    """
    if trainer not in _TRAINERS:
        raise ModelError(
            f"The model was made by the trainer {trainer!r}; this library opens {', '.join(_TRAINERS)}. "
            f"Update runtime-lib."
        )
    module, name = _TRAINERS[trainer]
    opener = getattr(import_module(f"runtime_lib.training.trainers.{module}"), name)
    try:
        return opener.open(files, stored, task, opening)  # type: ignore[no-any-return]
    except KeyError as error:
        raise ModelError(f"The model's files are incomplete: {error} is missing. Train it again.") from error
