"""How much columns vary from one stretch of time to the next while nothing is wrong.

Rows of one hour resemble each other: a day of them differs from the whole by more than chance allows, and
that is no news. So the reference is cut into blocks of rows in the order of time, and each is compared with
the quarters that it is not from. A change counts only above what blocks of as many rows show:

    once      in 99 of 100 blocks
    lasting   in 9,999 of 10,000 threes of blocks, of which the second largest effect counts

An effect's logarithm (of one that ends at 1 its logit) is taken as normal, its spread over blocks as the
column's own, but not below that of all columns together: few blocks are left of a large size. Of columns that
follow the seasons this would allow what no sensor can show. So nothing is usual that is twice as much as any
block has shown; nor may large blocks vary more than small ones, as their rows are the same: each effect is
convex, and so that of a mixture at most the largest of its parts.

Then twenty columns, watched in three windows of which two must agree, raise a false alarm in less than 1 % of
windows, whether rows are independent or resemble their neighbours (docs/monitoring.md has the simulation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.blocks import Places, block_effects, count_blocks
from runtime_lib.profiles.effects import Name
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.number import NumberProfile

__all__ = ["Often", "Typical", "Variation", "vary"]

Often = Literal["once", "lasting"]
# Normal quantiles of 99 % and of 99.99 %.
_Z: Mapping[Often, float] = {"once": 2.326, "lasting": 3.719}
_LEAST = 500  # rows of the smallest blocks
_FEWEST = 8  # blocks, or threes of them, without a row in common; of fewer nothing is said
_TO_ONE: frozenset[Name] = frozenset(("ks", "cramers_v"))  # effects that end at 1
_MOST = 64  # of each quarter, threes that may overlap
_QUARTERS = 4
_APART = 2  # times the largest effect of a block, which is the most that is usual
_TINY = 1e-12


@dataclass(frozen=True)
class Variation:
    """Of an effect's logarithms or logits: mean, standard deviation, the largest, and of how many parts."""

    mean: float
    sd: float
    most: float
    parts: float


@dataclass(frozen=True)
class Typical:
    """Of a column: what an effect is at most, in blocks of so many `rows`, `(s,)` each."""

    rows: tuple[int, ...] = ()
    once: Mapping[Name, tuple[float, ...]] = field(default_factory=dict)
    lasting: Mapping[Name, tuple[float, ...]] = field(default_factory=dict)

    def of(self, name: Name, rows: int, often: Often) -> float:
        """In a window of so many rows; between two sizes by proportion; 0 where nothing is known."""
        values = (self.once if often == "once" else self.lasting).get(name)
        if not values or not self.rows:
            return 0.0
        return float(np.interp(np.log(max(rows, 1)), np.log(self.rows), values))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, to four digits."""
        rounded = {
            often: {name: [float(f"{value:.4g}") for value in values] for name, values in found.items()}
            for often, found in (("once", self.once), ("lasting", self.lasting))
        }
        return {"rows": list(self.rows), **rounded}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any] | None, where: str = "The profile") -> Typical:
        """Of such values; nothing is typical without.

        Raises:
            DataError: they are damaged; `where` begins the message.
        """
        if not found:
            return cls()
        try:
            once, lasting = (
                {name: tuple(map(float, values)) for name, values in found[often].items()}
                for often in ("once", "lasting")
            )
            rows = tuple(map(int, found["rows"]))
            if any(len(values) != len(rows) for limits in (once, lasting) for values in limits.values()):
                raise ValueError(f"limits of other blocks than the {len(rows)} sizes")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where} is damaged: {type(error).__name__}: {error}. Train again.") from error
        return cls(rows, once, lasting)


# Effect → rows of a block → how it varies.
_Varied = dict[Name, dict[int, Variation]]
# Its first row, the first behind it, and its rows in each bin.
_Quarter = tuple[int, int, Integers]


def vary(columns: Iterator[tuple[str, NumberProfile | None, int, Places]]) -> dict[str, Typical]:
    """What is typical of each column.

    Args:
        columns: name, profile of a column of numbers, else None, how many bins or cells, and where each row
            lies in them, in the order of time; one at a time, as each is as long as the table.
    """
    found: dict[Often, dict[str, _Varied]] = {"once": {}, "lasting": {}}
    for name, profile, size, places in columns:
        found["once"][name], found["lasting"][name] = _varied(profile, size, places)
    limits = {often: _limits(varied, _Z[often]) for often, varied in found.items()}
    return {
        name: Typical(_sizes(varied), limits["once"][name], limits["lasting"][name])
        for name, varied in found["lasting"].items()
    }


def _sizes(varied: _Varied) -> tuple[int, ...]:
    return tuple(next(iter(varied.values()), {}))


def _varied(profile: NumberProfile | None, size: int, places: Places) -> tuple[_Varied, _Varied]:
    once: _Varied = {}
    lasting: _Varied = {}
    quarters = _in_quarters(size, places)
    rows = _LEAST
    while rows * _FEWEST <= places.size:
        # With few threes, single blocks stand for them: the second of three is rarely larger than one.
        length = 3 if rows * 3 * _FEWEST <= places.size else 1
        for name, effects in _in_a_row(profile, size, places, quarters, rows, length).items():
            # A rate may not have moved at all, of which a logarithm says nothing: its error is the least.
            least = 1 / np.sqrt(rows) if name == "nulls" else _TINY
            effects = _unbounded(name, np.maximum(effects, least))
            parts = places.size / rows
            once.setdefault(name, {})[rows] = _variation(effects.ravel(), parts)
            second = np.sort(effects, axis=0)[1] if length == 3 else effects[0]
            lasting.setdefault(name, {})[rows] = _variation(second, parts / length)
        rows *= 2
    return once, lasting


def _unbounded(name: Name, effects: Floats) -> Floats:
    """Where an effect is taken as normal."""
    if name in _TO_ONE:
        return np.log(effects) - np.log1p(-np.minimum(effects, 1 - _TINY))
    return np.log(effects)


def _bounded(name: Name, value: float) -> float:
    """Back again."""
    return float(1 / (1 + np.exp(-value)) if name in _TO_ONE else np.exp(value))


def _in_a_row(
    profile: NumberProfile | None,
    size: int,
    places: Places,
    quarters: Sequence[_Quarter],
    rows: int,
    length: int,
) -> dict[Name, Floats]:
    """Effects of so many blocks in a row, `(length, t)`, each against the quarters that it is not from."""
    found: dict[Name, list[Floats]] = {}
    whole = sum(own for _, _, own in quarters)
    for start, end, own in quarters:
        if end - start < length * rows:
            continue
        begins = _begins(start, end, rows, length)
        each = [
            block_effects(profile, whole - own, count_blocks(places, begins + step * rows, rows, size))
            for step in range(length)
        ]
        for name in each[0]:
            found.setdefault(name, []).append(np.stack([effects[name] for effects in each]))
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def _in_quarters(size: int, places: Places) -> list[_Quarter]:
    borders = np.linspace(0, places.size, _QUARTERS + 1).astype(int).tolist()
    return [(a, b, np.bincount(places[a:b], minlength=size + 1)) for a, b in pairwise(borders)]


def _begins(start: int, end: int, rows: int, length: int) -> Integers:
    """Where they begin, half a block apart or more."""
    last = end - length * rows
    many = min(_MOST, 1 + 2 * (last - start) // rows)
    return np.unique(np.linspace(start, last, many).astype(np.int64))


def _variation(values: Floats, parts: float) -> Variation:
    sd = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return Variation(float(values.mean()), sd, float(values.max()), parts)


def _limits(columns: Mapping[str, _Varied], z: float) -> dict[str, dict[Name, tuple[float, ...]]]:
    limits: dict[str, dict[Name, tuple[float, ...]]] = {name: {} for name in columns}
    for effect in dict.fromkeys(effect for varied in columns.values() for effect in varied):
        own = {name: varied[effect] for name, varied in columns.items() if effect in varied}
        for rows in _sizes({effect: next(iter(own.values()))}):
            # One that never varies, like a constant column, says nothing about the others.
            spreads = [each[rows].sd for each in own.values() if each[rows].sd > _TINY]
            usual = float(np.sqrt(np.mean(np.square(spreads)))) if spreads else 0.0
            for name, each in own.items():
                before = limits[name].get(effect, ())
                limit = min((_limit(effect, each[rows], usual, z), *before[-1:]))
                limits[name][effect] = (*before, limit)
    return limits


def _limit(effect: Name, variation: Variation, usual: float, z: float) -> float:
    if variation.sd <= _TINY:
        return _bounded(effect, variation.mean)
    spread = max(variation.sd, usual) * np.sqrt(1 + 1 / variation.parts)
    limit = _bounded(effect, float(variation.mean + z * spread))
    return min(limit, _APART * _bounded(effect, variation.most))
