"""The bins in which a column of numbers is counted, chosen once and shared by all that is compared with it.

Mostly they are runs of a grid's cells. Where a sample shows that one cell holds much and more than one value,
as with two clusters far apart, they are edges between which sorted values are counted: slower, and exact.

A value that is met often, like 0 mm of rain, is the *atom* of a bin: where it lies in there is known. Other
values of such a bin are its *strays*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runtime_lib.profiles.grid import CELLS, Floats, Grid, Integers, cells
from runtime_lib.profiles.moments import Moments

__all__ = ["CHUNK", "SAMPLE", "Bins", "Counted", "Fold", "begin"]

# Of the values, in a bin: the distance of two distributions is known to so much.
MASS = 1 / 1024
# More values of one cell than this that are not its atom, and edges are searched instead.
_COARSE = 3 * MASS
SAMPLE = 16_384  # values by which bins are chosen
_OFTEN = 8  # times in the sample
_EDGES, _EVEN = 1024, 128
_DENSEST = 8
CHUNK = 1 << 14  # values at a time: 128 KiB, which stay in a processor's cache
_WAITING = 8 * CHUNK  # values that are counted together, as each count goes through all cells
# A landmark each so many cells: a bin of the tails may hold little, but is not to be wide.
_APART = 64
# Of a grid's step: how much it is at most, and the part of the values' range that it is at least.
_LARGEST, _FURTHEST = 4e307, 1e100


@dataclass(frozen=True)
class Bins:
    """`k` bins in rising order.

    Attributes:
        grid: whose cells make up the bins, or whose unit alone matters.
        starts: the first cell of each bin, `(k,)`, the first one 0; empty: `edges` tell.
        edges: bin `i` is `edges[i - 1] <= x < edges[i]`, `(k - 1,)`.
        atoms: of each bin its atom, NaN where it has none, `(k,)`.
    """

    grid: Grid
    starts: Integers
    edges: Floats
    atoms: Floats

    def borders(self, least: float, most: float) -> Floats:
        """Where bins begin and end, `(k + 1,)`; the outer ones at the least and the largest value."""
        inner = self.grid.lower(self.starts[1:]) if self.starts.size else self.edges
        return np.asarray(np.clip(np.concatenate([[least], inner, [most]]), least, most))

    def agree(self, other: Bins) -> bool:
        """Whether counts in both may be added up."""
        return (
            self.grid == other.grid
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.edges, other.edges)
            and np.array_equal(self.atoms, other.atoms, equal_nan=True)
        )


@dataclass(frozen=True)
class Counted:
    """Values in `k` bins: `counts` of all, and of those `strays`, other than the atom of their bin."""

    bins: Bins
    counts: Integers
    strays: Integers


@dataclass
class Fold:
    """Counts values as they come, in a grid's cells or between edges.

    Attributes:
        bins: those to count in; None: chosen from what was counted, in cells of `grid`.
        atoms: the values to be told apart in their cells.
        moments: of the values in the grid's unit.
    """

    grid: Grid
    bins: Bins | None
    atoms: Floats
    moments: Moments = field(default=Moments(), init=False)
    _counts: Integers = field(init=False)
    _strays: Integers = field(init=False)
    _waiting: NDArray[np.intp] = field(init=False)
    _wait: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        size = CELLS if self._edges is None else self._edges.atoms.size
        self._counts = np.zeros(size, np.int64)
        self._strays = np.zeros(size if self.atoms.size else 1, np.int64)
        self._waiting = np.empty(_WAITING, np.intp)

    def add(self, values: Floats) -> None:
        """Count at most `CHUNK` finite values."""
        unit = self.grid.unit(values)
        self.moments = self.moments.merge(Moments.of(unit))
        if self._edges is None:
            self._add_to_cells(values, unit)
        else:
            self._add_between(values, self._edges)

    def counted(self) -> Counted:
        """Sum up."""
        self._count()
        bins = self._edges or self.bins or _cut(self.grid, self._counts, self._atom_at)
        return Counted(bins, self._in(bins, self._counts), self._in(bins, self._strays))

    def _add_to_cells(self, values: Floats, unit: Floats) -> None:
        if self._wait + values.size > _WAITING:
            self._count()
        places = self._waiting[self._wait : self._wait + values.size]
        self._wait += values.size
        places[:] = cells(unit)
        if self.atoms.size:
            atom = self._atom_at[places]
            stray = (atom != values) & (atom == atom)
            if stray.any():
                np.add.at(self._strays, places[stray], 1)

    def _add_between(self, values: Floats, bins: Bins) -> None:
        """An atom has an edge on either side, and so no strays."""
        # A search for each edge among sorted values costs a fifth of one for each value among the edges.
        below = np.searchsorted(np.sort(values), bins.edges)
        self._counts += np.diff(below, prepend=0, append=values.size)

    def _count(self) -> None:
        if self._wait:
            self._counts += np.bincount(self._waiting[: self._wait], minlength=self._counts.size)
            self._wait = 0

    def _in(self, bins: Bins, counts: Integers) -> Integers:
        if counts.size == 1:
            return np.zeros(bins.atoms.size, np.int64)
        return counts if self._edges is not None else np.add.reduceat(counts, bins.starts)

    @cached_property
    def _edges(self) -> Bins | None:
        return self.bins if self.bins is not None and not self.bins.starts.size else None

    @cached_property
    def _atom_at(self) -> Floats:
        """Of each cell."""
        return _atom_at(self.grid, self.atoms)


def begin(sample: Floats, bins: Bins | None = None) -> Fold:
    """Begin to count.

    Args:
        sample: some `SAMPLE` of the values to come, by which bins are chosen; finite, in any order.
        bins: count in these instead.
    """
    if bins is not None:
        return Fold(bins.grid, bins, bins.atoms[bins.atoms == bins.atoms])
    ordered = np.sort(sample)
    atoms = _atoms(ordered)
    grid = _grid(ordered, atoms)
    places = grid.cells(ordered)
    loose = np.bincount(places[_atom_at(grid, atoms)[places] != ordered], minlength=1)
    if loose.max() > max(_COARSE * ordered.size, _OFTEN):
        return Fold(grid, _between_edges(grid, ordered, atoms), atoms)
    return Fold(grid, None, atoms)


def _atoms(ordered: Floats) -> Floats:
    """The values that are met often, in rising order."""
    values, counts = np.unique(ordered, return_counts=True)
    return np.asarray(values[counts >= min(_OFTEN, ordered.size)])


def _atom_at(grid: Grid, atoms: Floats) -> Floats:
    found = np.full(CELLS, np.nan)
    found[grid.cells(atoms)] = atoms
    return found


def _grid(ordered: Floats, atoms: Floats) -> Grid:
    """Around the densest eighth of the values, in steps of its width: cells are widest far from it."""
    whole = ordered[-1] / 2 - ordered[0] / 2 if ordered.size else 0.0
    if whole > _LARGEST:  # a distance from another centre than 0 may be more than a float can hold
        return Grid(0.0, _LARGEST)
    others = ordered[~np.isin(ordered, atoms)]
    if others.size * _DENSEST < ordered.size:
        others = ordered
    if not others.size:
        return Grid(0.0, 1.0)
    reach = max(others.size // _DENSEST, 1)
    # Halves: a whole width may be more than a float can hold.
    widths = others[reach:] / 2 - others[:-reach] / 2
    place = int(widths.argmin()) if widths.size else 0
    centre = float(others[place + reach // 2])
    tried = (*widths[place : place + 1], whole, abs(centre) / 2)
    # Of steps much smaller than all values together, the squares of distances could not be summed up.
    usable = (2 * float(width) for width in tried if width > whole / _FURTHEST)
    return Grid(centre, next((width for width in usable if width > 0 and 1 / width < np.inf), 1.0))


def _cut(grid: Grid, counts: Integers, atom_at: Floats) -> Bins:
    """Bring cells together until a bin has its mass; a heavy cell and one with an atom stay by themselves."""
    most = MASS * max(int(counts.sum()), 1)
    alone = (counts > most) | ((atom_at == atom_at) & (counts > 0))
    part = ((np.cumsum(counts) - counts) / most).astype(np.int64)
    begins = np.empty(CELLS, bool)
    begins[0] = True
    begins[1:] = (part[1:] != part[:-1]) | alone[1:] | alone[:-1]
    begins[_landmarks(counts)] = True
    starts = np.flatnonzero(begins)
    atoms = np.where(alone[starts], atom_at[starts], np.nan)
    return Bins(grid, starts, np.empty(0), atoms)


def _landmarks(counts: Integers) -> Integers:
    used = np.flatnonzero(counts)
    if not used.size:
        return np.zeros(1, np.int64)
    marks = np.arange(0, CELLS, _APART)
    marks = marks[(marks > used[0]) & (marks <= used[-1])]
    return np.concatenate([[used[0], min(used[-1] + 1, CELLS - 1)], marks])


def _between_edges(grid: Grid, ordered: Floats, atoms: Floats) -> Bins:
    """Quantiles of the sample as edges; an atom has one on either side."""
    quantiles = ordered[np.linspace(0, ordered.size - 1, _EDGES).astype(int)]
    # Where nothing is now something may come.
    part = np.linspace(0, 1, _EVEN)
    even = ordered[0] * (1 - part) + ordered[-1] * part
    with np.errstate(over="ignore"):
        behind = np.nextafter(atoms, np.inf)
    edges = np.unique(np.concatenate([quantiles, even, atoms, behind[behind < np.inf]]))
    atom = np.full(edges.size + 1, np.nan)
    atom[np.searchsorted(edges, atoms) + 1] = atoms
    return Bins(grid, np.empty(0, np.int64), edges, atom)
