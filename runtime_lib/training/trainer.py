"""Who fits, and what comes of it: the two interfaces behind which every kind of model stands.

A `Trainer` fits one model on a split. What it gives, a `Fitted`, answers for rows, is stored as files without
pickle, and is opened again by `trainers/open.py`. Another trainer is another file in `trainers/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from runtime_lib.data.columns import Array, Column
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.device import Answers
from runtime_lib.settings import Settings
from runtime_lib.settings.layers import unknown
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.transformer.source import Source

__all__ = [
    "Fit",
    "FitParams",
    "Fitted",
    "OnEpoch",
    "Opening",
    "Split",
    "Table",
    "Trainer",
    "Work",
    "rewritten",
]

Positive = Annotated[int, msgspec.Meta(ge=1)]
# Called with an epoch's number and its figures, for the record.
OnEpoch = Callable[[int, Mapping[str, float]], None]


class FitParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `train` of params.yaml, less the options of the networks and trainers themselves."""

    seed: int = 7
    epochs: Positive = 12
    patience: Positive = 2
    batch_size: Positive = 1024
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-4

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> FitParams:
        if wrong := [name for name in fields if name not in cls.__struct_fields__]:
            raise SettingsError(unknown("parameter", wrong[0], cls.__struct_fields__, "params.yaml, train"))
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise SettingsError(f"params.yaml, train: {error} (found {dict(fields)}).") from error


@dataclass(frozen=True)
class Table:
    """What is known of a training before its tables are loaded.

    `width`: of the encoded matrix. `transformer`: that reads its text columns; None: n-grams are counted.
    """

    task: Task
    columns: tuple[Column, ...]
    rows: int
    width: int
    transformer: Source | None = None


@dataclass(frozen=True)
class Split:
    """The two tables of a training, checked; labels as `Task.read` gives them; the time of each row."""

    train: Mapping[str, Array]
    train_label: Array
    validation: Mapping[str, Array]
    validation_label: Array
    train_time: Array | None = None
    validation_time: Array | None = None


@dataclass(frozen=True)
class Work:
    """What a trainer is given. `trusted`: packages whose code it may import."""

    table: Table
    split: Split
    params: FitParams
    plan: ComputePlan
    trusted: Sequence[str]
    on_epoch: OnEpoch

    def encoder(self) -> Encoder:
        """Fit the encoder on the training rows; a transformer is loaded here, once in a process."""
        source = self.table.transformer
        return Encoder.fit(self.split.train, self.table.columns, source.open() if source else None)


@dataclass(frozen=True)
class Opening:
    """How a stored model is opened on this machine; see `Model.load`."""

    framework: Answers = "auto"
    trusted: Sequence[str] = ()
    force_gpu: bool = False
    light: bool = False


class Fitted(Protocol):
    """A fitted model.

    Attributes:
        trainer: the name under which it is stored.
        framework, device: what computes its answers.
    """

    trainer: ClassVar[str]

    @property
    def framework(self) -> str: ...
    @property
    def device(self) -> str: ...

    def answer(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        """Answer for checked rows; at most `at_once` of them are computed at a time."""

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        """How so many rows may be predicted on this machine.

        Raises:
            CapacityError: not even one row at a time fits.
        """

    def importance(self) -> Mapping[str, float] | None:
        """How much the model rests on each column, 0 or more, in a unit of its own; None: not known."""

    def contributions(self, rows: Mapping[str, Array]) -> tuple[Array, Array] | None:
        """What each column adds to the raw answer of checked rows, before the task's link.

        Returns:
            By column `(n, width, columns)`, in the order of the model's columns, and what is there without
            them `(n, width)`; the two add up to the raw answer. None where they cannot be told exactly.
        """

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the model's files into the folder; return what else `open` needs, as JSON."""


@dataclass(frozen=True)
class Fit:
    """A fitted model at its best epoch, and its answers on the validation rows."""

    fitted: Fitted
    epoch: int
    epochs: int
    answer: Array


@runtime_checkable
class Trainer(Protocol):
    """Something that fits a model. `name` is for people."""

    @property
    def name(self) -> str: ...

    def described(self) -> Mapping[str, Any]:
        """Its parameters, for the run's record."""

    def plan(self, settings: Settings, table: Table, batch_size: int) -> ComputePlan:
        """What the fit takes of this machine; nothing large is loaded for it.

        Raises:
            ModelError: it cannot be built.
            CapacityError: not even one row at a time fits.
        """

    def fit(self, work: Work) -> Fit:
        """Fit on the training rows; stop early by the task's metric on the validation rows."""


def rewritten(found: str, planned: str) -> DataError:
    """The refusal of tables that are no longer those of the plan."""
    return DataError(
        f"data/split/train.parquet has {found}, {planned} were planned for: it was rewritten while this "
        f"training waited for its share of the machine. Run again."
    )
