"""Fine bins brought together to a few, which a person can look at and an index can be taken over."""

from __future__ import annotations

import numpy as np

from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.number import NumberProfile

__all__ = ["FEW", "coarse", "labels", "together"]

FEW = 20


def coarse(profile: NumberProfile, few: int = FEW) -> Integers:
    """The first fine bin of each coarse one, `(c,)`: some `few` of equal mass, and one beyond either end.

    A bin as heavy as a coarse one, like 0 mm of rain, is one by itself.
    """
    counts = profile.counts
    used = np.flatnonzero(counts)
    if not used.size:
        return np.zeros(1, np.int64)
    if counts.size <= 2 * few + 2:  # they are coarse: a profile until 0.8 has no others
        return np.arange(counts.size)
    most = profile.moments.n / few
    alone = counts >= most
    part = ((np.cumsum(counts) - counts) / most).astype(np.int64)
    begins = np.zeros(counts.size, bool)
    begins[1:] = (part[1:] != part[:-1]) | alone[1:] | alone[:-1]
    begins[: used[0] + 1] = False
    begins[used[-1] + 1 :] = False
    ends = [0, used[0], *([used[-1] + 1] if used[-1] + 1 < counts.size else [])]
    begins[ends] = True
    starts = np.flatnonzero(begins)
    # Empty fine bins behind a heavy one would be a coarse one without a row: they go with what follows.
    held = np.add.reduceat(counts, starts)
    empty = (held == 0) & (starts > used[0]) & (starts <= used[-1])
    return starts[~np.concatenate([[False], empty[:-1]])] if empty.any() else starts


def together(counts: Integers, starts: Integers) -> Integers:
    """Counts of fine bins, `(k,)`, in coarse ones, `(c,)`."""
    return np.asarray(np.add.reduceat(counts, starts))


def labels(profile: NumberProfile, starts: Integers) -> list[str]:
    """What lies in each coarse bin: a value, or from where to where."""
    borders = profile.bins.borders(profile.least, profile.most)
    if starts.size == 1:
        return ["any"]
    atoms = profile.bins.atoms
    ends = np.append(starts[1:], profile.counts.size)
    last = starts.size - 1
    found = []
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        only = _only(atoms[start:end], profile.counts[start:end])
        if place == 0:
            found.append(f"below {borders[end]:.4g}")
        elif place == last and not profile.counts[start:end].any():
            found.append(f"above {borders[start]:.4g}")
        elif only is not None:
            found.append(f"{only:.4g}")
        else:
            found.append(f"{borders[start]:.4g} to {borders[end]:.4g}")
    return found


def _only(atoms: Floats, counts: Integers) -> float | None:
    """The single value that these bins hold, if they do."""
    held = atoms[counts > 0]
    return float(held[0]) if held.size == 1 and held[0] == held[0] else None
