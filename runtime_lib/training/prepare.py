"""What a training is about to take, found before anything large is loaded.

It reads the metadata of `train.parquet` and `validation.parquet`, the labels to train on and, for missing
values and levels, each column in pieces of some thousand rows (`scan`). For a network's shapes it imports the
framework.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from runtime_lib.data.columns import Column, images_last
from runtime_lib.data.inputs import read_inputs
from runtime_lib.data.months import read_labels
from runtime_lib.data.scan import read_column, scan
from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import read_task
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainer import FitParams, Table, Trainer
from runtime_lib.training.trainers.network import NetworkTrainer
from runtime_lib.training.transformer.source import beside, find_source

__all__ = ["Candidate", "ModelFunction", "Prepared", "prepare"]

# The project's `model`: from the numbers of encoded inputs and of outputs, and from the tables below `train`
# in params.yaml, to what is trained. In projects made before 0.7 it takes no number of outputs, and the table
# `network` alone.
ModelFunction = Callable[..., "Architecture | Trainer | Mapping[str, Architecture | Trainer]"]


@dataclass(frozen=True)
class Candidate:
    """One of the models that are trained: its name among them, what fits it, and the plan of that."""

    name: str
    trainer: Trainer
    plan: ComputePlan


@dataclass(frozen=True)
class Prepared:
    """A training that has its plans: of one candidate or of several, of which the best is kept."""

    params: FitParams
    table: Table
    candidates: tuple[Candidate, ...]

    @property
    def task(self) -> Task:
        return self.table.task

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.table.columns

    @property
    def plans(self) -> list[ComputePlan]:
        """Of the candidates, and of what reads their text, which may be on another device."""
        read = [self.table.transformer.plan] if self.table.transformer else []
        return [*(candidate.plan for candidate in self.candidates), *read]

    def described(self) -> dict[str, Any]:
        """Parameters, for the run's record; of several candidates each below its name.

        Those of our loop are told where it is our loop that trains.
        """
        loop = any(isinstance(candidate.trainer, NetworkTrainer) for candidate in self.candidates)
        params = msgspec.to_builtins(self.params) if loop else {"seed": self.params.seed}
        each = {candidate.name: dict(candidate.trainer.described()) for candidate in self.candidates}
        own = each if len(each) > 1 else next(iter(each.values()))
        read = {"transformer": self.table.transformer.name} if self.table.transformer else {}
        return {"task": self.task.kind, **params, **read, **own}


def prepare(settings: Settings, model: ModelFunction, params: Mapping[str, Any]) -> Prepared:
    """Plan a training on `data/split/` with these parameters.

    A column may be missing in serving if it is in the training or the validation months; the test months
    are not looked at.

    Args:
        params: as the table `train` of params.yaml.

    Raises:
        SettingsError: a parameter is unknown or out of range.
        DataError: a table cannot be read, holds a type that no model takes or labels of another task, or
            lacks an input that params.yaml declares.
        ModelError: `model` returned something else, or the architecture cannot be built.
        ServiceError: the hub does not give the transformer that params.yaml names.
        CapacityError: not even one row at a time fits.
    """
    fit_params = FitParams.read({name: v for name, v in params.items() if not isinstance(v, Mapping)})
    path, folder = settings.split_part("train"), settings.split
    declared = read_inputs(settings)
    train, validation = (scan(each, declared) for each in (path, folder / "validation.parquet"))
    nullable = {column.name for part in (train, validation) for column in part.columns if column.nullable}
    columns = tuple(replace(c, nullable=c.name in nullable) for c in images_last(train.columns))
    task = _learned(read_task(settings), path)
    transformer = find_source(settings)
    width = (
        Encoder.width_for(columns, train.levels, embedding=transformer.size)
        if transformer
        else Encoder.width_for(columns, train.levels)
    )
    table = Table(task, columns, train.rows, width, transformer)
    options = _Tables({name: table for name, table in params.items() if isinstance(table, Mapping)})
    trainers = _trainers(_made(model, width, task, options))
    for trainer in trainers.values():
        _refuse_images(trainer, columns)
    plans = {name: trainer.plan(settings, table, fit_params.batch_size) for name, trainer in trainers.items()}
    candidates = [
        Candidate(name, trainers[name], beside(plan, transformer) if transformer else plan)
        for name, plan in plans.items()
    ]
    return Prepared(fit_params, table, tuple(candidates))


def _learned(task: Task, path: Path) -> Task:
    """The task with what the labels of a table say.

    Raises:
        DataError: the table cannot be read, or its labels are not the task's, or all the same.
    """
    values = read_column(path, "label")
    known = task.learn(values) if not task.wrong_labels(values).any() else task
    read_labels(values, known, path)
    return known


class _Tables(dict[str, Mapping[str, Any]]):
    """The tables below `train`; one that `model` asks for and nobody wrote is named."""

    def __missing__(self, name: str) -> Mapping[str, Any]:
        there = ", ".join(self) or "no table"
        raise SettingsError(f"params.yaml, train: model() asks for the table '{name}'; there is {there}.")


def _made(model: ModelFunction, width: int, task: Task, options: Mapping[str, Any]) -> object:
    if _takes_outputs(model):
        return model(width, task.width, options)
    if task.width == 1:  # as in projects made before 0.7
        return model(width, options.get("network", {}))
    raise ModelError(
        f"model(inputs, params) gives a network of one output; a {task.kind} task needs {task.width}. Let it "
        f"take their number, model(inputs, outputs, params), and hand it on: "
        f'Architecture("mlp", {{"inputs": inputs, "outputs": outputs, **params["network"]}}).'
    )


def _trainers(made: object) -> dict[str, Trainer]:
    """By name; the only one has its own."""
    if not isinstance(made, Mapping):
        trainer = _trainer(made)
        return {trainer.name: trainer}
    if not made:
        raise ModelError("model() returned an empty dict: name at least one model in it.")
    return {str(name): _trainer(each, f" under '{name}'") for name, each in made.items()}


def _trainer(made: object, where: str = "") -> Trainer:
    if isinstance(made, Architecture):
        return NetworkTrainer(made)
    if isinstance(made, Trainer):
        return made
    returned = f"{'nothing' if made is None else f'a {type(made).__name__}'}{where}"
    if wrapped := _wrapped(made):
        raise ModelError(f"model() returned {returned}. Return the trainer that fits it: {wrapped}.")
    raise ModelError(
        f"model() returned {returned}; it must return an Architecture, for instance "
        'Architecture("mlp", {"inputs": inputs, "outputs": outputs, **params["network"]}), or a trainer of '
        "runtime_lib.training.trainers (docs/trainers.md)."
    )


def _refuse_images(trainer: Trainer, columns: Sequence[Column]) -> None:
    """Refuse images where a trainer hands on the raw columns: no estimator takes arrays in a column."""
    images = [column.name for column in columns if column.is_image]
    if images and getattr(trainer, "columns", False) is True:
        raise ModelError(
            f"{type(trainer).__name__}(…, columns=True) is given the raw columns, and '{images[0]}' is an "
            f"image. Leave columns=True out: the estimator then gets text and pixels as numbers."
        )


def _wrapped(made: object) -> str:
    """How to hand over an estimator of another library; empty where it is none."""
    of = "runtime_lib.training.trainers"
    library = type(made).__module__.partition(".")[0]
    if library == "lightgbm":
        return f"LightGBM(options), of {of}.lightgbm"
    if library == "xgboost":
        return f"XGBoost(options), of {of}.xgboost"
    # Also an estimator of one's own; a class has the methods too, and its name is `type`.
    if library == "sklearn" or (hasattr(made, "fit") and hasattr(made, "get_params")):
        return f"Sklearn(estimator), of {of}.sklearn"
    return ""


def _takes_outputs(model: ModelFunction) -> bool:
    parameters = inspect.signature(model).parameters.values()
    fixed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(fixed) > 2 or any(p.kind == p.VAR_POSITIONAL for p in parameters)
