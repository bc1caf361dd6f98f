"""How far two columns of numbers lie apart, by their profiles; each with the error that the bins leave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime_lib.errors import require
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.number import NumberProfile

__all__ = ["Distance", "ks", "ks_p", "wasserstein"]


class Distance(NamedTuple):
    """`value` is off by at most `bound` from that of the values themselves."""

    value: float
    bound: float


def ks(reference: NumberProfile, live: NumberProfile) -> Distance:
    """Kolmogorov-Smirnov distance D: the largest gap between the two cumulative shares, from 0 to 1.

    (Smirnov 1948, Annals of Mathematical Statistics 19:279-281.) The gap at the bins' borders, and from below
    what it could be within a bin. Infinite values count, missing ones do not.

    Args: both counted in the same bins, and not empty.
    """
    f, g = _with_infinite(reference), _with_infinite(live)
    after = f.upto - g.upto
    before = np.concatenate([[0.0], after[:-1]])
    value = float(np.abs(after).max())
    # Before a bin's atom only its strays have been met, behind it all but them.
    most = 0.0
    for one, other, sign in ((f, g, 1), (g, f, -1)):
        early, late = sign * before + one.loose, sign * after + other.loose
        inside = np.where(f.atom, np.maximum(early, late), np.minimum(early, late))
        most = max(most, float(inside.max()))
    return Distance(value, max(0.0, min(most, 1.0) - value))


def ks_p(distance: float, reference: int, live: int) -> float:
    """P-value of D for samples of so many rows, by its limit (Smirnov 1948); too large with ties."""
    size = np.sqrt(reference * live / (reference + live))
    return float(require("scipy.special", extra="monitoring").kolmogorov(size * distance))


def wasserstein(reference: NumberProfile, live: NumberProfile) -> Distance:
    """Wasserstein-1 distance in standard deviations of the reference: how far a value has moved on average.

    The area between the two cumulative shares (Vallender 1974, Theory of Probability 18:784-786), values
    spread evenly within a bin; no less than between the means (Kantorovich 1942), as one bin holds all that
    lies beyond the reference. 0 where the reference is constant: nothing to measure by. Infinite values are
    left out.

    Args: both counted in the same bins, and not empty.
    """
    if not (reference.sd > 0 and live.moments.n):
        return Distance(0.0, 0.0)
    f, g = _finite(reference), _finite(live)
    after = f.upto - g.upto
    before = np.concatenate([[0.0], after[:-1]])
    borders = reference.bins.borders(min(reference.least, live.least), max(reference.most, live.most))
    atom = np.clip(reference.bins.atoms, borders[:-1], borders[1:])
    with np.errstate(over="ignore", invalid="ignore"):
        wide = np.diff(borders)
        split = np.abs(before) * (atom - borders[:-1]) + np.abs(after) * (borders[1:] - atom)
        area = np.where(f.atom, split, _under_line(before, after) * wide)
        bound = float(((f.loose + g.loose) / 2 * wide).sum()) / reference.sd
        value = float(area.sum()) / reference.sd
        means = abs(live.mean - reference.mean) / reference.sd
    if not np.isfinite(value):
        return Distance(0.0, 0.0)
    return (
        Distance(means, max(value + bound - means, 0.0)) if value < means < np.inf else Distance(value, bound)
    )


def _under_line(start: Floats, end: Floats) -> Floats:
    """The mean distance from 0 of lines between two heights."""
    near, far = np.abs(start), np.abs(end)
    crossing = (near**2 + far**2) / np.maximum(2 * (near + far), 1e-300)
    return np.where(start * end < 0, crossing, (near + far) / 2)


_Flags = NDArray[np.bool_]


class _Shares(NamedTuple):
    """Of each bin, `(k,)`.

    Attributes:
        upto: the share of values in it and to its left.
        loose: that of values whose place in it is unknown.
        atom: whether it has one.
    """

    upto: Floats
    loose: Floats
    atom: _Flags


def _finite(profile: NumberProfile) -> _Shares:
    atom = profile.bins.atoms == profile.bins.atoms
    return _shares(profile.counts, np.where(atom, profile.strays, profile.counts), atom)


def _with_infinite(profile: NumberProfile) -> _Shares:
    """With a bin for either infinity, whose place is known."""
    atom = profile.bins.atoms == profile.bins.atoms
    below, above = profile.infinite
    counts = np.concatenate([[below], profile.counts, [above]])
    loose = np.concatenate([[0], np.where(atom, profile.strays, profile.counts), [0]])
    return _shares(counts, loose, np.concatenate([[True], atom, [True]]))


def _shares(counts: Integers, loose: Integers, atom: _Flags) -> _Shares:
    # Whole numbers are summed up, so that all values are a share of exactly 1.
    n = max(int(counts.sum()), 1)
    return _Shares(np.cumsum(counts) / n, loose / n, atom)
