"""Histogram gradient boosting of scikit-learn, on the raw columns: boosted trees that need no other package.

Its wheels bring all that they need, also on a Mac, where LightGBM and XGBoost want Homebrew's OpenMP.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import SettingsError, require
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.settings import Settings
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.task import Task
from runtime_lib.training.network import pieces
from runtime_lib.training.trainer import Opening, Work
from runtime_lib.training.trainers.boosting import Options, TreeTrainer, plan_trees, report_rounds, unit
from runtime_lib.training.trainers.estimators import both_classes
from runtime_lib.training.trainers.histogram_trees import column_gains, tree_shares
from runtime_lib.training.trainers.levels import Levels
from runtime_lib.training.trainers.on_cpu import few_threads, threads
from runtime_lib.training.trainers.skops import dumped, loaded

__all__ = ["FittedGradientBoosting", "GradientBoosting"]

_BY_TASK = "it follows from task.kind in params.yaml"
_OURS = {
    **dict.fromkeys(("loss", "quantile", "scoring"), _BY_TASK),
    "random_state": "write train.seed in params.yaml",
    "max_iter": "write 'rounds'",
    **dict.fromkeys(("n_iter_no_change", "early_stopping", "validation_fraction"), "write 'patience'"),
    "categorical_features": "it follows from the types of the columns",
    **dict.fromkeys(("warm_start", "verbose", "tol"), "a fit grows new trees, and says itself how it goes"),
}


class GradientBoosting(TreeTrainer):
    """Fit scikit-learn's histogram gradient boosting on the raw columns.

    Trees grow until the loss on the validation rows has not improved for `patience` rounds; the round with
    the smallest is kept, for quantiles of each level. Of a category with more than 254 levels, the rarest
    count as missing.

    Args:
        options: `rounds` (at most, default 500), `patience` (default 20), and scikit-learn's own by name,
            such as `max_leaf_nodes`.

    Raises:
        SettingsError: an option is unknown, or follows from elsewhere.
        MissingExtraError: scikit-learn or skops is not installed.
    """

    name: ClassVar[str] = "gradient_boosting"
    framework: ClassVar[str] = "sklearn"
    most_levels: ClassVar[int | None] = 254  # a bin each, of 255, and one for what is missing

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        known = inspect.signature(_ensemble().HistGradientBoostingClassifier).parameters
        shared = [name for name in known if name != "class_weight"]
        self.options = Options.read("GradientBoosting", options or {}, known=shared, ours=_OURS)

    def grown(self, work: Work, levels: Levels) -> tuple[FittedGradientBoosting, int, int]:
        split, task = work.split, work.table.task
        train, validation = levels.matrix(split.train), levels.matrix(split.validation)
        estimators = self._estimators(work, levels)
        target, held_out = (_target(task, label) for label in (split.train_label, split.validation_label))
        with threads(work.plan.threads):
            for estimator in estimators:
                try:
                    estimator.fit(train, target, X_val=validation, y_val=held_out)
                except ValueError as error:
                    told = str(error).rstrip(".")
                    raise SettingsError(f"GradientBoosting refuses these options: {told}.") from error
        best, rounds = _cut(work, estimators)
        return FittedGradientBoosting(levels, task, tuple(estimators)), best, rounds

    def _estimators(self, work: Work, levels: Levels) -> list[Any]:
        shared = {
            **self.options.given,
            "max_iter": self.options.rounds,
            "n_iter_no_change": self.options.patience,
            "early_stopping": True,
            "random_state": work.params.seed,
            "categorical_features": levels.categories or None,
        }
        task, ensemble = work.table.task, _ensemble()
        if task.class_names:
            return [ensemble.HistGradientBoostingClassifier(**shared)]
        if isinstance(task, Quantile):
            own: list[dict[str, Any]] = [{"loss": "quantile", "quantile": level} for level in task.levels]
        else:
            own = [{"loss": "absolute_error"}]
        return [ensemble.HistGradientBoostingRegressor(**shared, **each) for each in own]


def _ensemble() -> Any:
    return require("sklearn.ensemble", extra="training")


def _target(task: Task, label: Array) -> Array:
    """Class numbers, or the scaled label; scikit-learn tells classes from numbers by the type."""
    return label.astype(np.int64) if task.class_names else task.target(label).reshape(-1).astype(np.float64)


def _cut(work: Work, estimators: list[Any]) -> tuple[int, int]:
    """Keep of each the trees up to its best round by the loss; return the last of them, and the rounds."""
    # As scikit-learn has kept them while it grew; the first is the loss before any tree.
    losses = [-each.validation_score_[1:] for each in estimators]
    bests = [int(np.argmin(loss)) + 1 for loss in losses]
    for estimator, best in zip(estimators, bests, strict=True):
        # scikit-learn stops early, and keeps what came after the best round.
        estimator._predictors = estimator._predictors[:best]
    rounds, task = max(map(len, losses)), work.table.task
    # Told is the metric that is the loss: others would cost half as much as the fit, after every round.
    side_by_side = [np.pad(loss, (0, rounds - len(loss)), mode="edge") for loss in losses]
    report_rounds(work, task.error.name, (np.mean(side_by_side, axis=0) * unit(task)).tolist())
    return max(bests), rounds


@dataclass(frozen=True)
class FittedGradientBoosting:
    """One estimator, or for quantiles one of each level, and the levels in front of them."""

    levels: Levels
    task: Task
    estimators: tuple[Any, ...]

    trainer: ClassVar[str] = "gradient_boosting"

    @property
    def framework(self) -> str:
        return "sklearn"

    @property
    def device(self) -> str:
        return "cpu"

    def answer(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        matrix = self.levels.matrix(rows)
        with few_threads(len(matrix)):
            return np.concatenate([self.task.answer(self._raw(part)) for part in pieces(matrix, at_once)])

    def _raw(self, matrix: Array) -> Array:
        classifies = bool(self.task.class_names)
        found = [
            each.decision_function(matrix) if classifies else each.predict(matrix) for each in self.estimators
        ]
        return both_classes(np.column_stack(found), self.task.width)

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        return plan_trees("sklearn", settings, self.task, len(self.levels.of), rows=rows, training=False)

    def importance(self) -> Mapping[str, float]:
        """By how much each column's splits lowered the loss, in all trees."""
        columns = len(self.levels.of)
        gains = [column_gains(each, np.arange(columns), columns) for each in self.estimators]
        return dict(zip(self.levels.names, np.sum(gains, axis=0).tolist(), strict=True))

    def contributions(self, rows: Mapping[str, Array]) -> tuple[Array, Array]:
        matrix, columns = self.levels.matrix(rows), len(self.levels.of)
        found = [tree_shares(each, matrix, np.arange(columns), columns) for each in self.estimators]
        shares = np.concatenate([shares for shares, _ in found], axis=1)
        start = np.tile(np.concatenate([start for _, start in found]), (len(matrix), 1))
        return both_classes(shares, self.task.width), both_classes(start, self.task.width)

    def save(self, folder: Path) -> dict[str, Any]:
        for number, estimator in enumerate(self.estimators):
            (folder / _file(number)).write_bytes(dumped(estimator))
        version = require("sklearn", extra="training").__version__
        return {"columns": self.levels.to_dict(), "estimators": len(self.estimators), "version": version}

    @classmethod
    def open(
        cls, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
    ) -> FittedGradientBoosting:
        """Rebuild it; see `trainers/open.py`."""
        contents = [files[_file(number)] for number in range(stored["estimators"])]
        estimators = tuple(loaded(content, version=stored["version"]) for content in contents)
        return cls(Levels.from_dict(stored["columns"]), task, estimators)


def _file(number: int) -> str:
    return f"model.{number}.skops" if number else "model.skops"
