"""Boosted trees of XGBoost, on the raw columns: https://xgboost.readthedocs.io/en/stable/parameter.html."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import SettingsError
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.task import Task
from runtime_lib.training.trainer import Opening, Work
from runtime_lib.training.trainers.boosting import (
    FittedTrees,
    Options,
    TreeTrainer,
    best_round,
    library,
    threads_beside_torch,
    unit,
)
from runtime_lib.training.trainers.levels import Levels
from runtime_lib.training.trainers.xgboost_c import Scorer

__all__ = ["FittedXGBoost", "XGBoost"]

_MODEL = "model.ubj"
# The task's kind → objective and metric. XGBoost has Huber's loss in its smooth form only.
_OBJECTIVES: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary:logistic", "eval_metric": "auc"},
    "multiclass": {"objective": "multi:softprob", "eval_metric": "mlogloss"},
    "regression": {"objective": "reg:pseudohubererror", "eval_metric": "mae", "huber_slope": 1.0},
    "quantile": {"objective": "reg:quantileerror", "eval_metric": "quantile"},
}
_BY_TASK = "it follows from task.kind in params.yaml"
_NEW = "a fit grows new trees, each of one output"
# What is set here, or would do nothing → why.
_OURS = {
    **dict.fromkeys(("objective", "eval_metric", "num_class", "quantile_alpha", "huber_slope"), _BY_TASK),
    "disable_default_eval_metric": _BY_TASK,
    **dict.fromkeys(("seed", "random_state", "seed_per_iteration"), "write train.seed in params.yaml"),
    **dict.fromkeys(("nthread", "n_jobs"), "the plan of this machine says how many (`mlops hardware`)"),
    **dict.fromkeys(("num_boost_round", "n_estimators", "num_round"), "write 'rounds'"),
    "early_stopping_rounds": "write 'patience'",
    **dict.fromkeys(("device", "fail_on_invalid_gpu_id"), "this trainer computes on the CPU"),
    "booster": "the best round could not be kept ('dart' changes earlier trees, 'gblinear' has none)",
    **dict.fromkeys(("process_type", "updater", "updater_seq", "refresh_leaf", "multi_strategy"), _NEW),
    **dict.fromkeys(("verbosity", "validate_parameters"), "unknown options are refused here"),
    **dict.fromkeys(("enable_categorical", "feature_types"), "it follows from the types of the columns"),
    **dict.fromkeys(("missing", "num_feature", "num_target", "boost_from_average"), "it is the table's"),
    "debug_synchronize": "it is for XGBoost's own tests",
}
_ALONE = 1_000  # rows; for fewer, waking other threads takes longer than their answers


class XGBoost(TreeTrainer):
    """Fit XGBoost's trees on the raw columns.

    Args:
        options: `rounds` (at most, default 500), `patience` (rounds without a better metric, default 20),
            and XGBoost's own by name, such as `max_depth` or `eta`. Lists by column are in the order of the
            features.

    Raises:
        SettingsError: an option is unknown, follows from elsewhere, or has no possible value.
        MissingExtraError: XGBoost is not installed.
    """

    name: ClassVar[str] = "xgboost"
    framework: ClassVar[str] = "xgboost"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = Options.read("XGBoost", options or {}, known=_known(), ours=_OURS)

    def grown(self, work: Work, levels: Levels) -> tuple[FittedXGBoost, int, int]:
        with _named():
            content, best, rounds = _grown(work, self.options, levels)
        return FittedXGBoost(levels, work.table.task, content), best, rounds


def _grown(work: Work, options: Options, levels: Levels) -> tuple[bytes, int, int]:
    """The booster at its best round, as bytes; that round, and the rounds that were run."""
    import xgboost

    task, split, threads = work.table.task, work.split, threads_beside_torch(work.plan.threads) or 0

    def table(rows: Mapping[str, Array], label: Array) -> Any:
        target = task.target(label).reshape(-1)
        return xgboost.DMatrix(
            levels.matrix(rows), label=target, feature_types=_types(levels), nthread=threads
        )

    train = table(split.train, split.train_label)
    validation = table(split.validation, split.validation_label)
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in options.given.items()}
    fixed = {"seed": work.params.seed, "nthread": threads, "verbosity": 0}
    booster = xgboost.Booster({**given, **_objective(task), **fixed}, [train, validation])

    def grow(number: int) -> float:
        booster.update(train, number)
        # As "[0]\tvalidation-auc:0.94299108785740571", with all digits of a double.
        said = booster.eval_set([(validation, "validation")], number)
        return float(said.rpartition(":")[2]) * unit(task)

    best, rounds = best_round(work, options, grow)
    return bytes(booster[:best].save_raw("ubj")), best, rounds


def _objective(task: Task) -> dict[str, Any]:
    own = _OBJECTIVES[task.kind]
    if isinstance(task, Quantile):
        return {**own, "quantile_alpha": list(task.levels)}
    return {**own, "num_class": task.width} if task.kind == "multiclass" else own


def _types(levels: Levels) -> list[str]:
    return ["q" if of is None else "c" for of in levels.of.values()]


def _known() -> set[str]:
    """Every option, with its aliases: as XGBoost itself lists them in the state of a booster."""
    xgboost = library("xgboost")
    smallest = xgboost.DMatrix(np.zeros((2, 1)), label=np.array([0, 1]), nthread=1)
    # By default it takes the least loaded; named, so that the ways to grow a tree are listed.
    options = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1}
    state = json.loads(xgboost.Booster(options, [smallest]).save_config())
    return {"verbosity", *_leaves(state["learner"])} - {"name", "specified_updater", "num_trees"}


def _leaves(fields: Any) -> Iterator[str]:
    if isinstance(fields, list):
        for each in fields:
            yield from _leaves(each)
    elif isinstance(fields, dict):
        for name, value in fields.items():
            yield from _leaves(value) if isinstance(value, (dict, list)) else [name]


def _booster(content: bytes) -> Any:
    xgboost = library("xgboost")
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    booster.set_param({"nthread": 1, "verbosity": 0})
    return booster


@contextmanager
def _named() -> Iterator[None]:
    """XGBoost's refusal of a value as ours."""
    xgboost = library("xgboost")
    try:
        yield
    except xgboost.core.XGBoostError as error:
        told = str(error).partition("Stack trace")[0].strip()
        raise SettingsError(f"XGBoost refuses these options: {told}. See its parameters.") from error


@dataclass(frozen=True)
class FittedXGBoost(FittedTrees):
    """`content`: the booster, as XGBoost writes it."""

    content: bytes
    # The number of threads is the booster's, not the call's.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    trainer: ClassVar[str] = "xgboost"

    @cached_property
    def scorer(self) -> Scorer:
        """What answers; see there for what it raises."""
        return Scorer(self.content, _types(self.levels))

    @cached_property
    def booster(self) -> Any:
        """What tells of the columns."""
        return _booster(self.content)

    def raw(self, matrix: Array) -> Array:
        return self.scorer.raw(matrix, threads=_threads(matrix))

    def gains(self) -> Array:
        # Columns without a split are left out of it; without names of their own they are f0, f1, …
        found = self.booster.get_score(importance_type="total_gain")
        return np.array([found.get(f"f{place}", 0.0) for place in range(len(self.levels.of))])

    def shares(self, matrix: Array) -> Array:
        threads = _threads(matrix)
        data = library("xgboost").DMatrix(matrix, feature_types=_types(self.levels), nthread=threads)
        with self._lock:
            self.booster.set_param({"nthread": threads})
            found = self.booster.predict(data, strict_shape=True, pred_contribs=True)
        exact: Array = found.astype(np.float64)
        return exact

    def save(self, folder: Path) -> dict[str, Any]:
        (folder / _MODEL).write_bytes(self.content)
        return {"columns": self.levels.to_dict()}

    @classmethod
    def open(
        cls, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
    ) -> FittedXGBoost:
        """Rebuild it; see `trainers/open.py`."""
        fitted = cls(Levels.from_dict(stored["columns"]), task, files[_MODEL])
        _ = fitted.scorer  # what cannot be read is told now
        return fitted


def _threads(matrix: Array) -> int:
    return 1 if len(matrix) < _ALONE else threads_beside_torch(None) or 0
