"""Estimators of scikit-learn, stored by skops: without pickle, and of types on our own list only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError, require
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.progress import track
from runtime_lib.settings import Settings
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.network import pieces
from runtime_lib.training.trainer import Fit, Opening, Table, Work
from runtime_lib.training.trainers.by_column import contributions, importance
from runtime_lib.training.trainers.estimators import chosen, seeded
from runtime_lib.training.trainers.on_cpu import cpu_plan, few_threads, threads
from runtime_lib.training.trainers.skops import dumped, loaded

__all__ = ["FittedSklearn", "Sklearn"]

# Of each value: the table and the matrix in float64 (8 + 8), and the copy that an estimator makes of it.
_VALUE_BYTES, _ROW_BYTES = 24, 64


class Sklearn:
    """Fit an estimator or pipeline of scikit-learn.

    A classifier needs `predict_proba`. A regressor is fitted on the label as it is. For quantiles there is
    one of each level, so it needs `quantile` as an option (HistGradientBoostingRegressor, QuantileRegressor),
    or `alpha` beside `loss="quantile"` (GradientBoostingRegressor).

    Args:
        estimator: not fitted; it is cloned. Where its `random_state` is None, it is `train.seed`.
        columns: give it a DataFrame of the raw columns (numbers `float64` with NaN, categories `object` with
            None), for instance for a ColumnTransformer; by default it is given the encoded matrix, `float64`.

    Raises:
        ModelError: it is no estimator, or has a part that cannot be stored.
        MissingExtraError: scikit-learn or skops is not installed.
    """

    name: ClassVar[str] = "sklearn"

    def __init__(self, estimator: Any, *, columns: bool = False) -> None:
        if isinstance(estimator, type) or not (
            hasattr(estimator, "fit") and hasattr(estimator, "get_params")
        ):
            raise ModelError(f"Sklearn takes an estimator of scikit-learn; this is {estimator!r}.")
        self.estimator, self.columns = estimator, columns
        # What cannot be stored is told now, not after the fit.
        dumped(self.estimator)

    def described(self) -> Mapping[str, Any]:
        written = " ".join(str(self.estimator).split())
        return {"trainer": self.name, "estimator": written, "raw_columns": self.columns}

    def plan(self, settings: Settings, table: Table, batch_size: int) -> ComputePlan:
        chosen(self.estimator, table.task)
        size = _VALUE_BYTES * max(table.width, len(table.columns)) + _ROW_BYTES
        return cpu_plan(settings, self.name, row_bytes=size, rows=table.rows)

    def fit(self, work: Work) -> Fit:
        task, split = work.table.task, work.split
        encoder = None if self.columns else work.encoder()
        inputs = _inputs(split.train, encoder)
        estimators = [seeded(each, work.params.seed) for each in chosen(self.estimator, task)]
        label = split.train_label if task.stored == "float64" else split.train_label.astype(np.int64)
        with threads(work.plan.threads):
            for estimator in track(estimators, "fit"):
                _fit(estimator, inputs, label)
        means = inputs.mean(axis=0).tolist() if encoder else []
        fitted = FittedSklearn(task, tuple(estimators), encoder, tuple(means))
        answer = fitted.answer(split.validation, at_once=work.plan.predict_rows)
        work.on_epoch(
            1, {f"validation_{task.metric.name}": task.metric.value(split.validation_label, answer)}
        )
        return Fit(fitted, 1, 1, answer)


def _fit(estimator: Any, inputs: Any, label: Array) -> None:
    try:
        estimator.fit(inputs, label)
    except (AttributeError, TypeError, ValueError) as error:  # as which scikit-learn refuses values
        raise ModelError(f"{type(estimator).__name__} cannot be fitted: {error}") from error


def _inputs(rows: Mapping[str, Array], encoder: Encoder | None) -> Any:
    """What an estimator is given, `(n, …)`."""
    if encoder:
        # In single precision a row's answer would depend on which rows it is answered with.
        return encoder.encode(rows).astype(np.float64)
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in rows.items()})


@dataclass(frozen=True)
class FittedSklearn:
    """One estimator, or for quantiles one of each level.

    `encoder`: None where it is given the raw columns. `means`: of the encoded training rows.
    """

    task: Task
    estimators: tuple[Any, ...]
    encoder: Encoder | None
    means: tuple[float, ...]

    trainer: ClassVar[str] = "sklearn"

    @property
    def framework(self) -> str:
        return self.trainer

    @property
    def device(self) -> str:
        return "cpu"

    def answer(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        inputs = _inputs(rows, self.encoder)
        with few_threads(len(inputs)):
            return np.concatenate([self._answered(part) for part in pieces(inputs, at_once)])

    def _answered(self, inputs: Any) -> Array:
        first = self.estimators[0]
        if self.task.kind in ("binary", "multiclass"):
            found = np.zeros((len(inputs), len(self.task.class_names)))
            found[:, first.classes_.astype(np.int64)] = first.predict_proba(inputs)
            return found[:, 1] if self.task.flat else found
        values = np.column_stack([each.predict(inputs) for each in self.estimators]).astype(np.float64)
        # Crossed quantiles change places.
        return values[:, 0] if self.task.flat else np.sort(values, axis=1)

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        width = self.encoder.width if self.encoder else _width(self.estimators[0])
        size = _VALUE_BYTES * width + _ROW_BYTES
        return cpu_plan(settings, self.trainer, row_bytes=size, rows=rows, training=False)

    def importance(self) -> Mapping[str, float] | None:
        """Gains, `feature_importances_` or absolute coefficients; None if it has none, or no encoder."""
        if self.encoder is None:
            return None
        found = [importance(each, self.encoder, np.array(self.means)) for each in self.estimators]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            return None
        names = [part.name for part in self.encoder.parts]
        return dict(zip(names, np.mean(known, axis=0).tolist(), strict=True))

    def contributions(self, rows: Mapping[str, Array]) -> tuple[Array, Array] | None:
        """Of linear models and histogram gradient boosting on the encoded matrix."""
        if self.encoder is None:
            return None
        inputs, means = _inputs(rows, self.encoder), np.array(self.means)
        return contributions(
            self.task, self.estimators, self.encoder, inputs, means=means, answer=self._answered(inputs)
        )

    def save(self, folder: Path) -> dict[str, Any]:
        for number, estimator in enumerate(self.estimators):
            (folder / _file(number)).write_bytes(dumped(estimator))
        return {
            "encoder": self.encoder.save(folder) if self.encoder else None,
            "estimators": len(self.estimators),
            "means": list(self.means),
            "version": require("sklearn", extra="sklearn").__version__,
        }

    @classmethod
    def open(
        cls, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
    ) -> FittedSklearn:
        """Rebuild it; see `trainers/open.py`."""
        parts = stored["encoder"]
        encoder = None if parts is None else Encoder.open(parts, files, force_gpu=opening.force_gpu)
        contents = [files[_file(number)] for number in range(stored["estimators"])]
        estimators = tuple(loaded(content, version=stored["version"]) for content in contents)
        return cls(task, estimators, encoder, tuple(stored["means"]))


def _file(number: int) -> str:
    return f"model.{number}.skops" if number else "model.skops"


def _width(estimator: Any) -> int:
    return int(getattr(estimator, "n_features_in_", 1))
