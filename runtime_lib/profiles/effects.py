"""How much a column has changed: every effect with its error.

An effect of a finite sample varies. `error` is its standard error where a change is large, so that a change
of just the size that matters is found, and not every other time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.coarse import coarse, together
from runtime_lib.profiles.distances import ks, wasserstein
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.number import NumberProfile
from runtime_lib.profiles.statistics import cramers_v, psi

__all__ = ["MOST_CELLS", "Cells", "Effect", "Name", "category_effects", "cells_of", "number_effects"]

Name = Literal["psi", "ks", "wasserstein", "cramers_v", "nulls"]

MOST_CELLS = 30  # more cells than this, and 500 rows would give a PSI of 0.1 by chance


class Effect(NamedTuple):
    """`value` with its standard `error`; the bins leave it unknown by at most `bound`."""

    value: float
    error: float
    bound: float = 0.0


class Cells(NamedTuple):
    """A column of names in cells, `(k,)`: the commonest of the reference, all others, those never seen."""

    labels: tuple[str, ...]
    reference: Integers
    live: Integers

    @property
    def unseen(self) -> int:
        """Live rows with values that the reference surely never had."""
        return int(self.live[-1])

    @property
    def compared(self) -> tuple[Integers, Integers]:
        """Reference and live, what was never seen among all others, `(k - 1,)`.

        Where training met many values once, other such values are to be expected; by themselves they would
        be a change. A test of its own looks at them.
        """
        return _with_unseen(self.reference), _with_unseen(self.live)


def number_effects(reference: NumberProfile, live: NumberProfile) -> dict[Name, Effect]:
    """Of two columns of numbers that both hold finite values and were counted in the same bins."""
    starts = coarse(reference)
    r, n = together(reference.counts, starts), together(live.counts, starts)
    distance, moved = ks(reference, live), wasserstein(reference, live)
    found: dict[Name, Effect] = {
        "psi": Effect(psi(r, n), _psi_error(r, n)),
        "ks": Effect(distance.value, _ks_error(reference, live), distance.bound),
    }
    if reference.sd > 0:
        spread = live.sd / reference.sd
        error = np.sqrt(1 / reference.moments.n + spread**2 / live.moments.n)
        found["wasserstein"] = Effect(moved.value, float(error), moved.bound)
    return found


def category_effects(cells: Cells) -> dict[Name, Effect]:
    """Of two columns of names that both hold values."""
    reference, live = cells.compared
    return {
        "psi": Effect(psi(reference, live), _psi_error(reference, live)),
        "cramers_v": Effect(cramers_v(reference, live), _cramers_error(reference, live)),
    }


def cells_of(reference: CategoryProfile, live: CategoryProfile, most: int = MOST_CELLS) -> Cells:
    """Count both in the `most` commonest values of the reference.

    A value that the reference could not keep may be an old one: only if it kept all, another one is unseen.
    """
    largest = sorted(reference.counts, key=lambda value: (-reference.counts[value], value))[:most]
    known = [live.counts.get(value, 0) for value in largest]
    unseen = 0
    if reference.complete:
        unseen = live.other + sum(n for value, n in live.counts.items() if value not in reference.counts)
    r = [reference.counts[value] for value in largest]
    return Cells(
        (*largest, "(other)", "(unseen)"),
        np.array([*r, reference.present - sum(r), 0]),
        np.array([*known, live.present - unseen - sum(known), unseen]),
    )


def _with_unseen(counts: Integers) -> Integers:
    return np.append(counts[:-2], counts[-2] + counts[-1])


def _ks_error(reference: NumberProfile, live: NumberProfile) -> float:
    """Of the gap where it is widest: the difference of two shares."""
    f, g = reference.shares, live.shares
    place = int(np.abs(f - g).argmax())
    parts = (f[place] * (1 - f[place]) / reference.moments.n, g[place] * (1 - g[place]) / live.moments.n)
    return float(np.sqrt(max(sum(parts), 0.0)))


def _psi_error(reference: Integers, live: Integers) -> float:
    """By the delta method, both samples multinomial."""
    p, q = _shares(reference, live)
    of_live, of_reference = np.log(q / p) + 1 - p / q, np.log(p / q) + 1 - q / p
    return _delta(p, of_reference, reference.sum(), q, of_live, live.sum())


def _cramers_error(reference: Integers, live: Integers) -> float:
    """By the delta method on V², both samples multinomial."""
    p, q = _shares(reference, live)
    both, apart = p + q, p - q
    of_reference = apart / both - apart**2 / (2 * both**2)
    of_live = -apart / both - apart**2 / (2 * both**2)
    squared = 0.5 * float((apart**2 / both).sum())
    error = _delta(p, of_reference, reference.sum(), q, of_live, live.sum())
    return error / (2 * np.sqrt(squared)) if squared > 0 else 0.0


def _shares(reference: Integers, live: Integers) -> tuple[Floats, Floats]:
    used = (reference + live) > 0
    p, q = reference[used] + 0.5, live[used] + 0.5
    return p / p.sum(), q / q.sum()


def _delta(p: Floats, of_p: Floats, m: float, q: Floats, of_q: Floats, n: float) -> float:
    variances = [
        ((share * slope**2).sum() - (share * slope).sum() ** 2) / rows
        for share, slope, rows in ((p, of_p, m), (q, of_q, n))
    ]
    return float(np.sqrt(max(sum(variances), 0.0)))
