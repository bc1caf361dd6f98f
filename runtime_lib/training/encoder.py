"""From a table of raw columns to the matrix that a network takes, and back to JSON.

The encoder is stored with the model, so that serving turns rows into numbers exactly as training did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array, Column

__all__ = ["Encoder"]

# Beyond eight standard deviations a value says "extreme" and no more; unbounded, one outlier rules.
_CLIP = 8.0


@dataclass(frozen=True)
class _Number:
    """Standardised by training mean and deviation; missing becomes the median, with a flag beside it."""

    name: str
    median: float
    mean: float
    deviation: float
    flag: bool

    @property
    def width(self) -> int:
        return 1 + self.flag

    @classmethod
    def fit(cls, name: str, values: Array, *, flag: bool) -> _Number:
        known = values[~np.isnan(values)]
        if not known.size:
            known = np.zeros(1)
        return cls(name, float(np.median(known)), float(known.mean()), float(known.std()) or 1.0, flag)

    def fill(self, values: Array, out: Array) -> None:
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)
        out[:, 0] = np.clip((filled - self.mean) / self.deviation, -_CLIP, _CLIP)
        if self.flag:
            out[:, 1] = missing


@dataclass(frozen=True)
class _Category:
    """One-hot over the training levels; an unseen or missing level is all zeros."""

    name: str
    levels: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.levels)

    @classmethod
    def fit(cls, name: str, values: Array) -> _Category:
        return cls(name, tuple(sorted({value for value in values if value is not None})))

    def fill(self, values: Array, out: Array) -> None:
        place = {level: index for index, level in enumerate(self.levels)}
        index = np.fromiter((place.get(value, -1) for value in values), dtype=np.int64, count=len(values))
        known = np.flatnonzero(index >= 0)
        out[known, index[known]] = 1.0


@dataclass(frozen=True)
class Encoder:
    """Fitted once on the training rows; `encode` is then a pure function of a row."""

    parts: tuple[_Number | _Category, ...]

    @property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return sum(part.width for part in self.parts)

    @classmethod
    def fit(cls, rows: Mapping[str, Array], columns: Sequence[Column]) -> Encoder:
        """Learn means, medians and levels from checked rows (see `check_rows`)."""
        return cls(
            tuple(
                _Number.fit(c.name, rows[c.name], flag=c.nullable)
                if c.kind == "number"
                else _Category.fit(c.name, rows[c.name])
                for c in columns
            )
        )

    def encode(self, rows: Mapping[str, Array]) -> Array:
        """Return a `float32` matrix of shape `(n, width)` for checked rows of length `n`."""
        n = len(next(iter(rows.values())))
        matrix = np.zeros((n, self.width), dtype=np.float32)
        start = 0
        for part in self.parts:
            part.fill(rows[part.name], matrix[:, start : start + part.width])
            start += part.width
        return matrix

    @staticmethod
    def width_for(columns: Sequence[Column], levels: Mapping[str, int]) -> int:
        """The width of an encoder of these columns; `levels`: how many each category has in training."""
        return sum(1 + c.nullable if c.kind == "number" else levels[c.name] for c in columns)

    def to_dict(self) -> list[dict[str, Any]]:
        return [{"kind": type(part).__name__.strip("_").lower(), **asdict(part)} for part in self.parts]

    @classmethod
    def from_dict(cls, parts: Sequence[Mapping[str, Any]]) -> Encoder:
        made: list[_Number | _Category] = []
        for part in parts:
            fields = {key: value for key, value in part.items() if key != "kind"}
            if part["kind"] == "number":
                made.append(_Number(**fields))
            else:
                made.append(_Category(fields["name"], tuple(fields["levels"])))
        return cls(tuple(made))
