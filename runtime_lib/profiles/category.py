"""What a column of names holds: categories, codes, truths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

__all__ = ["MOST_VALUES", "CategoryFold", "CategoryProfile"]

# Values that are counted by name; a column with more holds identifiers, and would outgrow what it describes.
MOST_VALUES = 1_000
# While counting, so that what is left out is rare: no more than a row in 8,000 goes of any value.
_WHILE = 8 * MOST_VALUES


@dataclass(frozen=True)
class CategoryProfile:
    """How often each value was met.

    Attributes:
        counts: rows of each value that is kept; each may be too low by `slack`.
        other: rows of values that are not kept.
        known: values that are kept however rare: those of the profile that this one was made like.
    """

    counts: Mapping[str, int]
    other: int = 0
    nulls: int = 0
    slack: int = 0
    known: Set[str] = frozenset()

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return sum(self.counts.values()) + self.other

    @property
    def rows(self) -> int:
        return self.present + self.nulls

    @property
    def complete(self) -> bool:
        """Whether every value that was met is kept: any other one is new."""
        return not self.other

    def merge(self, other: CategoryProfile) -> CategoryProfile:
        """Of both samples together: the same as one pass over all, while no value is left out."""
        counts = Counter(self.counts)
        counts.update(other.counts)
        both = replace(
            self,
            counts=counts,
            other=self.other + other.other,
            nulls=self.nulls + other.nulls,
            slack=self.slack + other.slack,
        )
        return both.keep(MOST_VALUES)

    def keep(self, most: int) -> CategoryProfile:
        """Leave out the rarest of the values that are not `known`, so that at most so many stay."""
        new = [value for value in self.counts if value not in self.known]
        if len(new) <= most:
            return self
        new.sort(key=lambda value: (-self.counts[value], value))
        gone = set(new[most:])
        counts = {value: rows for value, rows in self.counts.items() if value not in gone}
        return replace(
            self,
            counts=counts,
            other=self.present - sum(counts.values()),
            slack=self.slack + self.counts[new[most]],
        )


@dataclass
class CategoryFold:
    """A column of names as it comes. `like`: the profile that the new one is to be compared with."""

    like: CategoryProfile | None = None
    _found: CategoryProfile = field(init=False)

    def __post_init__(self) -> None:
        self._found = CategoryProfile({}, known=frozenset(self.like.counts) if self.like else frozenset())

    def add(self, counts: Mapping[str, int], nulls: int) -> None:
        """Args: rows of each value, and without one."""
        together = Counter(self._found.counts)
        together.update(counts)
        self._found = replace(self._found, counts=together, nulls=self._found.nulls + nulls)
        if len(together) > 2 * _WHILE:
            self._found = self._found.keep(_WHILE)

    def profile(self) -> CategoryProfile:
        """What was added."""
        return self._found.keep(MOST_VALUES)
