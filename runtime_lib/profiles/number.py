"""What a column of numbers holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.bins import CHUNK, SAMPLE, Bins, Fold, begin
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.moments import Moments

__all__ = ["NumberFold", "NumberProfile"]


@dataclass(frozen=True)
class NumberProfile:
    """Counts in `k` bins, and what no bin holds.

    Attributes:
        counts: `(k,)`, of all finite values; `strays`, `(k,)`: of them, see `bins`.
        nulls: missing values. `infinite`: how many are -∞ and +∞.
    """

    bins: Bins
    counts: Integers
    strays: Integers
    moments: Moments
    nulls: int = 0
    infinite: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        return self.present + self.nulls

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return self.moments.n + sum(self.infinite)

    @property
    def sd(self) -> float:
        """Standard deviation in the unit of the values; 0 for fewer than two."""
        if self.moments.n < 2:
            return 0.0
        return float(np.sqrt(max(self.moments.squares, 0.0) / (self.moments.n - 1))) * self.bins.grid.scale

    @property
    def mean(self) -> float:
        return self._own(self.moments.mean)

    @property
    def least(self) -> float:
        """+∞ if there is none."""
        return self._own(self.moments.least)

    @property
    def most(self) -> float:
        """-∞ if there is none."""
        return self._own(self.moments.most)

    def _own(self, unit: float) -> float:
        """From the grid's unit to that of the values."""
        return self.bins.grid.centre + unit * self.bins.grid.scale

    @property
    def shares(self) -> Floats:
        """Of the finite values, in each bin and to its left: the distribution at its upper border, `(k,)`."""
        return np.cumsum(self.counts) / max(self.moments.n, 1)

    def quantile(self, share: float) -> float:
        """The value that so many are at most; within its bin between the borders by proportion."""
        if not self.moments.n:
            return float("nan")
        place = min(int(np.searchsorted(self.shares, share - 1e-12)), self.counts.size - 1)
        if (atom := self.bins.atoms[place]) == atom:
            return float(atom)
        borders = self.bins.borders(self.least, self.most)
        before = self.shares[place] - self.counts[place] / self.moments.n
        inside = min(max((share - before) / max(self.counts[place] / self.moments.n, 1e-300), 0.0), 1.0)
        return float(borders[place] * (1 - inside) + borders[place + 1] * inside)

    def merge(self, other: NumberProfile) -> NumberProfile:
        """Of both samples together: the same as one pass over all.

        Raises:
            DataError: they were counted in different bins.
        """
        if not self.bins.agree(other.bins):
            raise DataError("Two profiles were counted in different bins: fold both `like` one of them.")
        return replace(
            self,
            counts=self.counts + other.counts,
            strays=self.strays + other.strays,
            moments=self.moments.merge(other.moments),
            nulls=self.nulls + other.nulls,
            infinite=(self.infinite[0] + other.infinite[0], self.infinite[1] + other.infinite[1]),
        )


@dataclass
class NumberFold:
    """A column of numbers as it comes. `like`: count in the bins of this profile."""

    like: NumberProfile | None = None
    _fold: Fold | None = field(default=None, init=False)
    _nulls: int = field(default=0, init=False)
    _infinite: tuple[int, int] = field(default=(0, 0), init=False)

    def add(self, values: Floats) -> None:
        """Args: float64, `(n,)`, NaN where missing."""
        if self._fold is None:
            sample = np.empty(0) if self.like else _sample(values)
            if not sample.size and not self.like:
                return self._note(values)
            self._fold = begin(sample, self.like.bins if self.like else None)
        for start in range(0, values.size, CHUNK):
            chunk = values[start : start + CHUNK]
            finite = np.isfinite(chunk)
            if not finite.all():
                self._note(chunk)
                chunk = chunk[finite]
            self._fold.add(chunk)

    def profile(self) -> NumberProfile:
        """What was added."""
        fold = self._fold or begin(np.empty(0), self.like.bins if self.like else None)
        found = fold.counted()
        return NumberProfile(
            found.bins, found.counts, found.strays, fold.moments, self._nulls, self._infinite
        )

    def _note(self, values: Floats) -> None:
        """Count those that are not finite."""
        below, above = (int(np.count_nonzero(values == sign * np.inf)) for sign in (-1, 1))
        self._nulls += int(np.count_nonzero(np.isnan(values)))
        self._infinite = (self._infinite[0] + below, self._infinite[1] + above)


def _sample(values: Floats) -> Floats:
    """Some finite ones, if there is any."""
    some = values[:: max(1, values.size // SAMPLE)]
    some = some[np.isfinite(some)]
    return some if some.size else values[np.isfinite(values)]
