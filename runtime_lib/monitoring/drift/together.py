"""Do two tables differ in how their columns go together? A test by a classifier.

A classifier is trained to tell rows of one table from rows of the other, and judged on rows that it has not
seen. If both are of one distribution it can only guess (AUC 0.5); what it does better, it has learned from a
difference, be it one that no column shows by itself (Lopez-Paz & Oquab 2017, "Revisiting classifier
two-sample tests", arXiv:1610.06545). Rows are taken as independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime_lib.errors import require
from runtime_lib.monitoring.drift.sample import Sample, draw
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.values import Kind
from runtime_lib.progress import step, track
from runtime_lib.settings import Monitoring
from runtime_lib.task.binary import standard_error
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.metric import Z95

__all__ = ["Teller", "Together", "tell_apart"]

_TREES = 60
_LEAVES = 15
_SEED = 20_260
_MOST_TOLD = 5
_LEAST_LOSS = 0.005  # of the AUC: less is chance
_MANY = 20  # columns that are worth a progress bar


@dataclass(frozen=True)
class Teller:
    """A column that tells the tables apart, and the AUC that is lost when its values are shuffled."""

    name: str
    loss: float


@dataclass(frozen=True)
class Together:
    """What a classifier found.

    Attributes:
        rows: of the reference and of the current table that it saw.
        columns: that it saw. `left_out`: name → why it was not shown.
        auc: of rows that it had not seen, with its one-sided 95 % bound `lower`; None: not tried.
        p: of an AUC as high between two tables of one distribution.
        tellers: the columns that it tells by, the most telling first, five at most.
    """

    rows: tuple[int, int]
    rules: Monitoring = field(repr=False)
    columns: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    auc: float | None = None
    lower: float | None = None
    p: float | None = None
    tellers: tuple[Teller, ...] = ()

    @property
    def drifted(self) -> bool:
        """The tables are told apart, surely and by as much as matters."""
        if self.auc is None or self.lower is None or self.p is None:
            return False
        return self.lower > 0.5 and self.p < self.rules.alpha and self.auc >= self.rules.together_threshold

    @property
    def early(self) -> bool:
        """Whether there are too few rows to tell."""
        return min(self.rows) < self.rules.min_rows

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": {"reference": self.rows[0], "current": self.rows[1]},
            "drift": self.drifted,
            "early": self.early,
            "auc": self.auc,
            "lower": self.lower,
            "p": self.p,
            "threshold": self.rules.together_threshold,
            "columns": list(self.columns),
            "left_out": dict(self.left_out),
            "tellers": [vars(each) for each in self.tellers],
        }


def tell_apart(
    reference: Path, current: Path, kinds: Mapping[str, Kind], rules: Monitoring | None = None
) -> Together:
    """Train a classifier to tell rows of two files apart.

    Gradient-boosted trees on up to 20,000 rows of each file, in two folds: each half of the rows is scored by
    the trees that learned from the other. The AUC is the mean of both, its error that of one: its bound
    follows Hanley & McNeil (1982), `p` the variance of Mann & Whitney's statistic where both tables are alike
    (1947).

    Args:
        kinds: of the columns that both have: `TableDrift.kinds`. Columns that would tell any two tables apart
            are left out: moments in time, values that only rise or fall, and those of which each row has
            another.
        rules: when a difference counts; default: those of a project that sets none.

    Raises:
        DataError: a file cannot be read.
    """
    rules = rules or Monitoring()
    sample = draw(reference, current, kinds)
    found = Together(_sizes(sample.label), rules, sample.columns, sample.left_out)
    if found.early or not sample.columns:
        return found
    with step("Telling the tables apart"):
        folds = _folds(sample)
    auc = float(np.mean([fold.auc for fold in folds]))
    # Not less for two folds: what both halves share by chance, each finds in the other.
    lower = auc - Z95 * float(np.mean([standard_error(fold.auc, *_sizes(fold.label)) for fold in folds]))
    above = (auc - 0.5) / float(np.mean([_error_alike(*_sizes(fold.label)) for fold in folds]))
    p = 0.5 * math.erfc(above / math.sqrt(2))
    tellers = _tellers(sample.columns, folds) if lower > 0.5 else ()
    return Together(found.rows, rules, sample.columns, sample.left_out, auc, lower, p, tellers)


def _sizes(label: Integers) -> tuple[int, int]:
    return int((label == 0).sum()), int((label == 1).sum())


def _error_alike(n: int, m: int) -> float:
    return math.sqrt((n + m + 1) / (12 * n * m))


@dataclass(frozen=True)
class _Fold:
    """A classifier and the rows that it has not seen."""

    model: Any
    values: Floats
    label: Integers

    @property
    def auc(self) -> float:
        return self.auc_of(self.values)

    def auc_of(self, values: Floats) -> float:
        return BINARY.metrics["roc_auc"].value(self.label, self.model.predict_proba(values)[:, 1])


def _folds(sample: Sample) -> list[_Fold]:
    ensemble = require("sklearn.ensemble", extra="monitoring")
    side = _halves(sample.label)
    found = []
    for number in (0, 1):
        model = ensemble.HistGradientBoostingClassifier(
            max_iter=_TREES,
            max_leaf_nodes=_LEAVES,
            early_stopping=False,
            categorical_features=list(sample.is_category),
            class_weight="balanced",
            random_state=_SEED,
        )
        own, seen = side == number, side != number
        found.append(
            _Fold(model.fit(sample.values[seen], sample.label[seen]), sample.values[own], sample.label[own])
        )
    return found


def _halves(label: Integers) -> Integers:
    """0 or 1 at random, of each table as often."""
    random = np.random.default_rng(_SEED)
    half = np.empty(label.size, np.int64)
    for table in (0, 1):
        rows = np.flatnonzero(label == table)
        half[rows] = random.permutation(rows.size) % 2
    return half


def _tellers(columns: tuple[str, ...], folds: list[_Fold]) -> tuple[Teller, ...]:
    """By permutation (Breiman 2001, "Random forests"), on rows that the classifier has not seen."""
    whole = [fold.auc for fold in folds]
    random = np.random.default_rng(_SEED)
    found = []
    watched = track(columns, "Finding the columns that tell") if len(columns) > _MANY else columns
    for place, name in enumerate(watched):
        losses = []
        for fold, auc in zip(folds, whole, strict=True):
            shuffled = fold.values.copy()
            random.shuffle(shuffled[:, place])
            losses.append(auc - fold.auc_of(shuffled))
        found.append(Teller(name, float(np.mean(losses))))
    found.sort(key=lambda each: -each.loss)
    return tuple(each for each in found[:_MOST_TOLD] if each.loss >= _LEAST_LOSS)
