"""One column in one window, next to the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runtime_lib.profiles import statistics
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.coarse import coarse, labels, together
from runtime_lib.profiles.distances import ks_p
from runtime_lib.profiles.effects import Effect, Name, category_effects, cells_of, number_effects
from runtime_lib.profiles.grid import Integers
from runtime_lib.profiles.number import NumberProfile
from runtime_lib.profiles.table import ColumnProfile

__all__ = ["Cell", "Compared", "RateChange", "compare"]

_ANYTHING = 0.1  # PSI; below it nothing has moved that is worth a word
# What a profile counts of a column that is no number.
_MEASURED = {"text": "length ", "image": "brightness "}


@dataclass(frozen=True)
class Cell:
    """One bin or category: its shares of the present values in training and live, between 0 and 1."""

    label: str
    reference: float
    live: float


@dataclass(frozen=True)
class RateChange:
    """A rate in training and live, the effect of the change (Cohen's h, positive for a rise), its q-value.

    `error` is the standard error of the effect.
    """

    reference: float
    live: float
    effect: float
    q: float
    flagged: bool = False
    error: float = 0.0


@dataclass(frozen=True)
class Compared:
    """How a column differs; effects and `p` are missing where one side has no values.

    Attributes:
        rows, present: live rows, and those of them that have a value.
        change: what has changed, in words.
        nulls, unseen: their `q` is still a p-value.
    """

    kind: Literal["number", "category"]
    rows: int
    present: int
    effects: Mapping[Name, Effect]
    p: float | None
    change: str
    nulls: RateChange
    unseen: RateChange | None
    cells: tuple[Cell, ...]


def compare(reference: ColumnProfile, live: ColumnProfile, measure: str = "") -> Compared:
    """Compare a column with the reference.

    Args:
        live: folded like `reference`.
        measure: of a column that is watched by its length or brightness: `text` or `image`.
    """
    if isinstance(reference, NumberProfile) and isinstance(live, NumberProfile):
        return _numbers(reference, live, _MEASURED.get(measure, ""))
    assert isinstance(reference, CategoryProfile)
    assert isinstance(live, CategoryProfile)
    return _names(reference, live)


def _numbers(reference: NumberProfile, live: NumberProfile, what: str) -> Compared:
    both = reference.moments.n > 0 and live.moments.n > 0
    effects = number_effects(reference, live) if both else {}
    starts = coarse(reference)
    names = labels(reference, starts)
    before, now = together(reference.counts, starts), together(live.counts, starts)
    change = ""
    if both:
        middle = [f"{profile.quantile(0.5):.4g}" for profile in (reference, live)]
        change = f"median {what}{' → '.join(middle)}"
        if middle[0] == middle[1] and effects["psi"].value >= _ANYTHING:
            change = what + _largest_move(names, before, now)  # which the median does not show
    return Compared(
        "number",
        live.rows,
        live.present,
        effects,
        ks_p(effects["ks"].value, reference.moments.n, live.moments.n) if both else None,
        change,
        _nulls(reference, live),
        None,
        _shares(names, before, now),
    )


def _names(reference: CategoryProfile, live: CategoryProfile) -> Compared:
    cells = cells_of(reference, live)
    both = reference.present > 0 and live.present > 0
    return Compared(
        "category",
        live.rows,
        live.present,
        category_effects(cells) if both else {},
        statistics.chi_square_p(*cells.compared) if both else None,
        _largest_move(cells.labels, cells.reference, cells.live) if both else "",
        _nulls(reference, live),
        _unseen(reference, cells.unseen, live.present),
        _shares(cells.labels, cells.reference, cells.live),
    )


def _shares(names: Sequence[str], reference: Integers, live: Integers) -> tuple[Cell, ...]:
    before, now = max(int(reference.sum()), 1), max(int(live.sum()), 1)
    return tuple(
        Cell(label, float(r / before), float(n / now))
        for label, r, n in zip(names, reference, live, strict=True)
        if r or n
    )


def _largest_move(names: Sequence[str], reference: Integers, live: Integers) -> str:
    p, q = reference / reference.sum(), live / live.sum()
    most = int(np.abs(p - q).argmax())
    return f"{names[most]} {p[most]:.1%} → {q[most]:.1%}"


def _nulls(reference: ColumnProfile, live: ColumnProfile) -> RateChange:
    before, now = reference.nulls / max(reference.rows, 1), live.nulls / max(live.rows, 1)
    if not live.rows or not reference.rows:
        return RateChange(before, now, 0.0, 1.0)
    p = statistics.chi_square_p([reference.nulls, reference.present], [live.nulls, live.present])
    error = statistics.cohen_h_error(reference.rows, live.rows)
    return RateChange(before, now, statistics.cohen_h(before, now), p, error=error)


def _unseen(reference: CategoryProfile, unseen: int, present: int) -> RateChange | None:
    """Unseen values against the rate at which a fresh draw of the training data would show new ones.

    That rate is the share of values met exactly once (Good 1953, Turing's estimate; one added for n = 0).
    """
    seen = sum(reference.counts.values())
    if not reference.complete or not present or not seen:
        return None
    expected = min((sum(n == 1 for n in reference.counts.values()) + 1) / seen, 1.0)
    rate = unseen / present
    p = statistics.binomial_excess(unseen, present, expected)
    error = statistics.cohen_h_error(seen, present)
    return RateChange(0.0, rate, statistics.cohen_h(0.0, rate), p, error=error)
