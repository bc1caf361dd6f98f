"""Boosted trees of LightGBM, on the raw columns: https://lightgbm.readthedocs.io/en/stable/Parameters.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError, SettingsError
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
from runtime_lib.training.trainers.lightgbm_c import Scorer

__all__ = ["FittedLightGBM", "LightGBM"]

# The task's kind → objective and metric; Huber's loss turns from squares to lines at `alpha`.
_OBJECTIVES: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary", "metric": "auc"},
    "multiclass": {"objective": "multiclass", "metric": "multi_logloss"},
    "regression": {"objective": "huber", "metric": "l1", "alpha": 1.0},
    "quantile": {"objective": "quantile", "metric": "quantile"},
}
_BY_TASK = "it follows from task.kind in params.yaml"
_ROWS = "a model is fitted on tables in memory, on one machine"
_PREDICT = "it is for predictions, which are the same for everybody who asks"
_TELL = "what is said of a fit is said by the library around it"
# What is set here, or would do nothing → why. Each with the aliases that LightGBM knows it by.
_OURS = {
    **dict.fromkeys(("objective", "metric", "num_class", "alpha", "task", "sigmoid", "reg_sqrt"), _BY_TASK),
    "seed": "write train.seed in params.yaml",
    "num_threads": "the plan of this machine says how many (`mlops hardware`)",
    "num_iterations": "write 'rounds'",
    "early_stopping_round": "write 'patience'",
    "early_stopping_min_delta": "'patience' alone says when to stop",
    **dict.fromkeys(("deterministic", "force_row_wise", "force_col_wise"), "every fit can be repeated"),
    **dict.fromkeys(("device_type", "num_gpu"), "this trainer computes on the CPU"),
    "boosting": "the best round could not be kept ('dart' changes earlier trees, 'rf' has none)",
    "categorical_feature": "it follows from the types of the columns",
    **dict.fromkeys(("verbosity", "metric_freq", "is_provide_training_metric", "first_metric_only"), _TELL),
    **dict.fromkeys(
        ("config", "data", "valid", "header", "two_round", "pre_partition", "save_binary"), _ROWS
    ),
    **dict.fromkeys(
        (
            *("predict_raw_score", "predict_leaf_index", "predict_contrib", "predict_disable_shape_check"),
            *("start_iteration_predict", "num_iteration_predict"),
            *("pred_early_stop", "pred_early_stop_freq", "pred_early_stop_margin"),
        ),
        _PREDICT,
    ),
    **dict.fromkeys(("input_model", "output_model", "output_result", "snapshot_freq"), _ROWS),
    **dict.fromkeys(("label_column", "weight_column", "group_column", "ignore_column"), _ROWS),
    **dict.fromkeys(("parser_config_file", "precise_float_parser"), _ROWS),
    **dict.fromkeys(("forcedbins_filename", "forcedsplits_filename"), _ROWS),
    **dict.fromkeys(("convert_model", "convert_model_language", "saved_feature_importance_type"), _ROWS),
    **dict.fromkeys(("tree_learner", "num_machines", "local_listen_port", "time_out", "machines"), _ROWS),
    "machine_list_filename": _ROWS,
}
_ALONE = 1_000  # rows; for fewer, waking other threads takes longer than their answers


class LightGBM(TreeTrainer):
    """Fit LightGBM's trees on the raw columns.

    For quantiles a booster per level; they grow side by side and stop together, by their mean loss.

    Args:
        options: `rounds` (at most, default 500), `patience` (rounds without a better metric, default 20),
            and LightGBM's own by name or alias, such as `num_leaves`. Lists by column are in the order of
            the features.

    Raises:
        SettingsError: an option is unknown, or follows from elsewhere.
        MissingExtraError: LightGBM is not installed.
    """

    name: ClassVar[str] = "lightgbm"
    framework: ClassVar[str] = "lightgbm"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        aliases = _aliases()
        known = [alias for all_of in aliases.values() for alias in all_of]
        ours = {alias: why for name, why in _OURS.items() for alias in aliases.get(name, [name])}
        self.options = Options.read("LightGBM", options or {}, known=known, ours=ours)
        _refuse_twice(self.options.given, aliases)

    def grown(self, work: Work, levels: Levels) -> tuple[FittedLightGBM, int, int]:
        with _named():
            texts, best, rounds = _grown(work, self.options, levels)
        return FittedLightGBM(levels, work.table.task, tuple(texts)), best, rounds


def _refuse_twice(given: Mapping[str, Any], aliases: Mapping[str, list[str]]) -> None:
    """LightGBM would take one of two names for the same, and say nothing."""
    for name, all_of in aliases.items():
        if len(twice := [each for each in given if each in all_of]) > 1:
            raise SettingsError(f"LightGBM: '{twice[0]}' and '{twice[1]}' are both {name}. Keep one.")


def _grown(work: Work, options: Options, levels: Levels) -> tuple[list[str], int, int]:
    """Boosters at their best round, as text; that round, and the rounds that were run."""
    import lightgbm

    task, split = work.table.task, work.split
    shared = {**options.given, **_fixed(work)}
    train = lightgbm.Dataset(
        levels.matrix(split.train),
        label=_target(task, split.train_label),
        categorical_feature=levels.categories,
        params=shared,
    )
    validation = train.create_valid(
        levels.matrix(split.validation), label=_target(task, split.validation_label)
    )
    boosters = [lightgbm.Booster({**shared, **own}, train) for own in _objectives(task)]
    for booster in boosters:
        booster.add_valid(validation, "validation")

    def grow(number: int) -> float:
        for booster in boosters:
            booster.update()
        return _mean(booster.eval_valid() for booster in boosters) * unit(task)

    best, rounds = best_round(work, options, grow)
    return [booster.model_to_string(num_iteration=best) for booster in boosters], best, rounds


def _fixed(work: Work) -> dict[str, Any]:
    return {
        "seed": work.params.seed,
        "num_threads": threads_beside_torch(work.plan.threads) or 0,
        # Without the second it would try which way is faster, and the two do not round the same.
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _objectives(task: Task) -> list[dict[str, Any]]:
    """What each booster is fitted by."""
    own = _OBJECTIVES[task.kind]
    if isinstance(task, Quantile):
        return [{**own, "alpha": level} for level in task.levels]
    return [{**own, "num_class": task.width} if task.kind == "multiclass" else own]


def _target(task: Task, label: Array) -> Array:
    return task.target(label).reshape(-1)


def _mean(results: Iterator[Any]) -> float:
    # A result is (data set, metric, value, …): a plain tuple before 4.7.
    return float(np.mean([result[0][2] for result in results]))


def _aliases() -> dict[str, list[str]]:
    """Each parameter with its aliases. There is no public list: a newer one may have it elsewhere."""
    library("lightgbm")
    from lightgbm.basic import _ConfigAliases

    found: dict[str, list[str]] = _ConfigAliases._get_all_param_aliases()
    return found


@contextmanager
def _named() -> Iterator[None]:
    """LightGBM's refusal of a value as ours."""
    lightgbm = library("lightgbm")
    try:
        yield
    except (lightgbm.basic.LightGBMError, JSONDecodeError) as error:  # the latter of lists by name
        raise SettingsError(f"LightGBM refuses these options: {error}. See its Parameters.") from error


@dataclass(frozen=True)
class FittedLightGBM(FittedTrees):
    """One booster, or for quantiles one of each level. `texts`: as LightGBM writes them."""

    texts: tuple[str, ...]

    trainer: ClassVar[str] = "lightgbm"

    @cached_property
    def scorers(self) -> tuple[Scorer, ...]:
        """What answers; see there for what it raises."""
        return tuple(map(Scorer, self.texts))

    @cached_property
    def boosters(self) -> tuple[Any, ...]:
        """What tells of the columns."""
        return tuple(library("lightgbm").Booster(model_str=text) for text in self.texts)

    def raw(self, matrix: Array) -> Array:
        return np.column_stack([each.raw(matrix, threads=_threads(matrix)) for each in self.scorers])

    def gains(self) -> Array:
        gains: Array = np.sum([each.feature_importance("gain") for each in self.boosters], axis=0)
        return gains

    def shares(self, matrix: Array) -> Array:
        found = [
            each.predict(matrix, pred_contrib=True, num_threads=_threads(matrix)) for each in self.boosters
        ]
        # Of several classes one after the other, each with its own last column.
        return np.concatenate(found, axis=1).reshape(len(matrix), self.task.width, -1)

    def save(self, folder: Path) -> dict[str, Any]:
        for number, text in enumerate(self.texts):
            (folder / _file(number)).write_text(text, encoding="utf-8")
        return {"columns": self.levels.to_dict(), "boosters": len(self.texts)}

    @classmethod
    def open(
        cls, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
    ) -> FittedLightGBM:
        """Rebuild it; see `trainers/open.py`."""
        contents = [files[_file(number)] for number in range(stored["boosters"])]
        try:
            texts = tuple(content.decode() for content in contents)
        except UnicodeDecodeError as error:
            raise ModelError(f"LightGBM cannot read the model: {error}. Train it again.") from error
        fitted = cls(Levels.from_dict(stored["columns"]), task, texts)
        _ = fitted.scorers  # what cannot be read is told now
        return fitted


def _file(number: int) -> str:
    return f"model.{number}.txt" if number else "model.txt"


def _threads(matrix: Array) -> int:
    return 1 if len(matrix) < _ALONE else threads_beside_torch(None) or 0
