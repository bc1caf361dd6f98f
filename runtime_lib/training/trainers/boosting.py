"""What the libraries of boosted trees share: options, when to stop, and what a fitted model answers."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import ceil
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError, SettingsError, require
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.progress import Advance, counted
from runtime_lib.settings import Settings
from runtime_lib.task.scaled import Scaled
from runtime_lib.task.task import Task
from runtime_lib.training.network import pieces
from runtime_lib.training.trainer import Fit, Fitted, Table, Work
from runtime_lib.training.trainers.levels import Levels, refuse_unread
from runtime_lib.training.trainers.on_cpu import cpu_plan

__all__ = [
    "FittedTrees",
    "Options",
    "TreeTrainer",
    "best_round",
    "library",
    "plan_trees",
    "report_rounds",
    "threads_beside_torch",
    "unit",
]

_ROUNDS, _PATIENCE = 500, 20
_REPORTS = 50  # rounds of a long fit that are recorded; MLflow takes milliseconds for each

# The checked table itself takes 8 bytes a value. On top of it, measured with 500,000 rows (Linux, peak of
# the process): LightGBM 4.7 takes 15 bytes a value, of which the matrix is 8; XGBoost 3.2 14 bytes a value,
# 57 a row and 11 for each output.
_VALUE_BYTES, _ROW_BYTES, _OUTPUT_BYTES = 24, 64, 16


@dataclass(frozen=True)
class Options:
    """A person's options: `rounds` and `patience` are ours, the rest goes to the library as it is."""

    rounds: int
    patience: int
    given: Mapping[str, Any]

    @classmethod
    def read(
        cls, library: str, options: Mapping[str, Any], *, known: Collection[str], ours: Mapping[str, str]
    ) -> Options:
        """Check the names.

        Args:
            known: what the library takes. ours: of these, what is set here → why, and what to do instead.

        Raises:
            SettingsError: an option is unknown, or set by us.
        """
        free = sorted({"rounds", "patience", *known} - set(ours))
        for name in options:
            if name in ours:
                raise SettingsError(f"{library}: the option '{name}' is not yours to set: {ours[name]}.")
            if name not in free:
                near = get_close_matches(name, free, 1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Known options: {', '.join(free)}."
                raise SettingsError(f"{library}: unknown option '{name}'. {hint}")
        counts = {"rounds": options.get("rounds", _ROUNDS), "patience": options.get("patience", _PATIENCE)}
        for name, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SettingsError(f"{library}: {name} = {value!r}; it is a whole number, at least 1.")
        return cls(**counts, given={name: v for name, v in options.items() if name not in counts})

    def to_dict(self) -> dict[str, Any]:
        return {**self.given, "rounds": self.rounds, "patience": self.patience}


def best_round(work: Work, options: Options, grow: Callable[[int], float]) -> tuple[int, int]:
    """Grow a model until the task's metric has not improved for `patience` rounds.

    Args:
        grow: adds a round, numbered from 0, and returns the metric on the validation rows, in its own unit.

    Returns:
        The best round, from 1, and the rounds that were run.
    """
    metric, every = work.table.task.metric, ceil(options.rounds / _REPORTS)
    best, best_at, number, reported = 0.0, 0, 0, 0
    with counted(options.rounds, "round") as advance:
        for number in range(1, options.rounds + 1):
            score = grow(number - 1)
            if not best_at or metric.gain(score, best) > 0:
                best, best_at = score, number
            done = number - best_at >= options.patience
            if done or number % every == 0 or number in (1, options.rounds):
                _report(work, advance, number, number - reported, score)
                reported = number
            if done:
                break
    return best_at, number


def _report(work: Work, advance: Advance, number: int, by: int, score: float) -> None:
    name = work.table.task.metric.name
    work.on_epoch(number, {f"validation_{name}": score})
    advance(by, f"validation {name} {score:.4f}")


def report_rounds(work: Work, metric: str, scores: Sequence[float]) -> None:
    """Record the metric after each round of a fit that is over, as `best_round` does on the way."""
    every = ceil(len(scores) / _REPORTS)
    for number, score in enumerate(scores, start=1):
        if number % every == 0 or number in (1, len(scores)):
            work.on_epoch(number, {f"validation_{metric}": score})


def library(name: str) -> Any:
    """Import LightGBM or XGBoost.

    Raises:
        MissingExtraError: it is not installed.
        ModelError: it is, and cannot be loaded.
    """
    try:
        return require(name, extra=name)
    except (OSError, ValueError) as error:  # LightGBM's, and the base of XGBoost's own
        raise ModelError(
            f"{name} is installed and cannot be loaded: {error}. On a Mac it needs OpenMP, which its wheel "
            f"does not bring: `brew install libomp`."
        ) from error


def unit(task: Task) -> float:
    """What a library's error on `task.target` is multiplied with, to be in the label's unit."""
    return task.scale if isinstance(task, Scaled) else 1.0


def plan_trees(
    framework: str, settings: Settings, task: Task, columns: int, *, rows: int, training: bool = True
) -> ComputePlan:
    """Plan a fit on so many rows of raw columns on this machine's CPU, or a prediction of them.

    Raises:
        CapacityError: the table does not fit.
    """
    size = _VALUE_BYTES * columns + _ROW_BYTES + _OUTPUT_BYTES * task.width
    return cpu_plan(settings, framework, row_bytes=size, rows=rows, training=training)


def threads_beside_torch(threads: int | None) -> int | None:
    """One thread on a Mac where torch is loaded, as the two crash there otherwise.

    torch brings an OpenMP of its own, the boosters take Homebrew's, and a second team of threads jumps into
    the wrong one: a segmentation fault (pytorch #191933 with torch 2.13 and LightGBM 4.7, LightGBM #6595).
    """
    return 1 if sys.platform == "darwin" and "torch" in sys.modules else threads


class TreeTrainer(ABC):
    """What the trainers of boosted trees have in common. `most_levels`: of a category."""

    name: ClassVar[str]
    framework: ClassVar[str]
    most_levels: ClassVar[int | None] = None
    options: Options

    def described(self) -> Mapping[str, Any]:
        return {**self.options.to_dict(), "trainer": self.name}

    def plan(self, settings: Settings, table: Table, batch_size: int) -> ComputePlan:
        refuse_unread(table.columns)
        return plan_trees(self.framework, settings, table.task, len(table.columns), rows=table.rows)

    def fit(self, work: Work) -> Fit:
        levels = Levels.fit(work.split.train, work.table.columns, most=self.most_levels)
        fitted, best, rounds = self.grown(work, levels)
        return Fit(fitted, best, rounds, fitted.answer(work.split.validation))

    @abstractmethod
    def grown(self, work: Work, levels: Levels) -> tuple[Fitted, int, int]:
        """The trees of the best round; that round, and the rounds that were run."""


@dataclass(frozen=True)
class FittedTrees(ABC):
    """Boosted trees, and the levels in front of them."""

    levels: Levels
    task: Task

    trainer: ClassVar[str]

    @property
    def framework(self) -> str:
        return self.trainer

    @property
    def device(self) -> str:
        return "cpu"

    @abstractmethod
    def raw(self, matrix: Array) -> Array:
        """Margins `(n, width)`, before the task's link."""

    @abstractmethod
    def gains(self) -> Array:
        """By how much each column's splits lowered the loss, `(columns,)`."""

    @abstractmethod
    def shares(self, matrix: Array) -> Array:
        """TreeSHAP, `(n, width, columns + 1)`; the last is what no column has a part in."""

    def answer(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        parts = pieces(self.levels.matrix(rows), at_once)
        return self.task.answer(np.concatenate([self.raw(part) for part in parts]))

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        return plan_trees(self.trainer, settings, self.task, len(self.levels.of), rows=rows, training=False)

    def importance(self) -> Mapping[str, float]:
        return dict(zip(self.levels.names, self.gains().tolist(), strict=True))

    def contributions(self, rows: Mapping[str, Array]) -> tuple[Array, Array]:
        matrix = self.levels.matrix(rows)
        shares, raw = self.shares(matrix), self.raw(matrix)
        columns = shares[:, :, :-1]
        # What is left after the columns. XGBoost adds in single precision: what rounding takes goes here too.
        return columns, raw - columns.sum(axis=2)
