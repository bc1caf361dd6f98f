"""The same effects as `effects`, of many blocks of a reference's own rows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime_lib.profiles.bins import CHUNK
from runtime_lib.profiles.coarse import coarse
from runtime_lib.profiles.effects import Name
from runtime_lib.profiles.grid import CELLS, Floats, Integers
from runtime_lib.profiles.number import NumberProfile

__all__ = ["Places", "block_effects", "count_blocks", "places_of_names", "places_of_numbers"]

# The bin or cell of each row in the order of time, as many as there are where the value is missing, `(n,)`.
Places = NDArray[np.intp]


def places_of_numbers(profile: NumberProfile, values: Floats) -> Places:
    """Args: float64, `(n,)`, NaN where missing; an infinity is in the bin next to it."""
    bins, size = profile.bins, profile.counts.size
    of_cell = np.repeat(np.arange(size), np.diff(bins.starts, append=CELLS)) if bins.starts.size else None
    found = np.empty(values.size, np.intp)
    for start in range(0, values.size, CHUNK):
        chunk = values[start : start + CHUNK]
        missing = np.isnan(chunk)
        filled = np.nan_to_num(chunk, nan=bins.grid.centre)
        if of_cell is not None:
            place = of_cell[bins.grid.cells(filled)]
        else:
            place = np.searchsorted(bins.edges, filled, side="right")
        place[missing] = size
        found[start : start + CHUNK] = place
    return found


def places_of_names(labels: Sequence[str], names: Sequence[str], codes: NDArray[np.intp]) -> Places:
    """Args: the labels of `Cells`; what `coded_names` gives."""
    known = {label: place for place, label in enumerate(labels[:-2])}
    other, missing = len(labels) - 2, len(labels) - 1
    return np.array([*(known.get(name, other) for name in names), missing], dtype=np.intp)[codes]


def count_blocks(places: Places, starts: Integers, rows: int, size: int) -> NDArray[np.int64]:
    """Rows in each bin, of each block: `(b, size + 1)`; the last column counts what is missing."""
    counts = np.empty((starts.size, size + 1), np.int64)
    for block, start in enumerate(starts):
        counts[block] = np.bincount(places[start : start + rows], minlength=size + 1)
    return counts


def block_effects(
    profile: NumberProfile | None, reference: Integers, blocks: NDArray[np.int64]
) -> dict[Name, Floats]:
    """Effects of blocks against other rows of the reference.

    Args:
        profile: of a column of numbers, for its bins; None: the counts are of names in cells.
        reference, blocks: as from `count_blocks`, `(k + 1,)` and `(b, k + 1)`.
    """
    nulls = _nulls(reference, blocks)
    reference, blocks = reference[:-1], blocks[:, :-1]
    f = reference / max(reference.sum(), 1)
    g = blocks / np.maximum(blocks.sum(axis=1, keepdims=True), 1)
    if profile is None:
        both = np.maximum(f + g, 1e-300)
        v = np.sqrt(0.5 * ((f - g) ** 2 / both).sum(axis=1))
        return {"psi": _psi(reference, blocks), "cramers_v": v, "nulls": nulls}
    starts = coarse(profile)
    gap = np.cumsum(g - f, axis=1)
    found: dict[Name, Floats] = {
        "psi": _psi(np.add.reduceat(reference, starts), np.add.reduceat(blocks, starts, axis=1)),
        "ks": np.abs(gap).max(axis=1),
        "nulls": nulls,
    }
    if profile.sd > 0:
        wide = np.diff(profile.bins.borders(profile.least, profile.most))
        before = np.pad(gap, ((0, 0), (1, 0)))[:, :-1]
        found["wasserstein"] = (np.abs(gap) + np.abs(before)) / 2 @ wide / profile.sd
    return found


def _psi(reference: Integers, blocks: NDArray[np.int64]) -> Floats:
    """As `statistics.psi`; a cell that is empty in the reference counts where any block has it."""
    used = (reference > 0) | (blocks > 0).any(axis=0)
    r, n = reference[used] + 0.5, blocks[:, used] + 0.5
    p, q = r / r.sum(), n / n.sum(axis=1, keepdims=True)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def _nulls(reference: Integers, blocks: NDArray[np.int64]) -> Floats:
    """Cohen's h of the rate of missing values, without its sign."""
    before = reference[-1] / max(reference.sum(), 1)
    now = blocks[:, -1] / np.maximum(blocks.sum(axis=1), 1)
    return np.asarray(np.abs(2 * np.arcsin(np.sqrt(now)) - 2 * np.arcsin(np.sqrt(before))))
