"""The parts of an encoder: what each kind of column becomes, and how it is stored.

Numbers and categories are filled in for all their columns together, so that a few rows take a dozen calls of
numpy and not some for each column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.rows import Stacked
from runtime_lib.errors import require

if TYPE_CHECKING:
    from runtime_lib.training.transformer.embed import Transformer

__all__ = [
    "HASHES",
    "PARTS",
    "Categories",
    "Category",
    "Embedded",
    "Image",
    "Number",
    "Numbers",
    "Part",
    "Text",
]

# Beyond eight standard deviations a value says "extreme" and no more; unbounded, one outlier rules.
_CLIP = 8.0
# Columns of a text, and the characters of it that are read. Stored with the model, so that other numbers here
# would not change what a stored model answers.
HASHES, _READ, _NGRAMS = 1024, 2_000, (1, 3)
# Texts that are hashed at a time: the hashes of a long text take more room than its row of the matrix.
_AT_ONCE = 4_096


@dataclass(frozen=True)
class Number:
    """Standardised by training mean and deviation; a missing value becomes the median and sets a flag."""

    name: str
    median: float
    mean: float
    deviation: float
    flag: bool

    @property
    def width(self) -> int:
        return 1 + self.flag

    @classmethod
    def fit(cls, name: str, values: Array, *, flag: bool) -> Number:
        known = values[~np.isnan(values)]
        if not known.size:
            known = np.zeros(1)
        return cls(name, float(np.median(known)), float(known.mean()), float(known.std()) or 1.0, flag)


@dataclass(frozen=True)
class Category:
    """One-hot over the training levels; an unseen or missing level is all zeros."""

    name: str
    levels: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.levels)

    @classmethod
    def fit(cls, name: str, values: Array) -> Category:
        return cls(name, tuple(sorted({value for value in values if value is not None})))


@dataclass(frozen=True)
class Text:
    """Counts of hashed n-grams of characters within words, of length 1 (l2); a missing text is all zeros.

    Nothing is learned, so there is no unseen text. `read`: characters, the rest is cut off.
    """

    name: str
    flag: bool
    hashes: int = HASHES
    read: int = _READ
    ngrams: tuple[int, int] = _NGRAMS

    @property
    def width(self) -> int:
        return self.hashes + self.flag

    def fill(self, values: Array, out: Array) -> None:
        text = require("sklearn.feature_extraction.text", extra="training")
        vectorizer = text.HashingVectorizer(
            analyzer="char_wb", ngram_range=self.ngrams, n_features=self.hashes, dtype=np.float32
        )
        for start in range(0, len(values), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            read = ["" if value is None else value[: self.read] for value in values[some]]
            out[some, : self.hashes] = vectorizer.transform(read).toarray()
        if self.flag:
            out[:, -1] = [value is None for value in values]


@dataclass(frozen=True)
class Embedded:
    """The embedding by a transformer, of length 1 (l2); a missing text is all zeros.

    The transformer is one for all columns, and the encoder's. `tokens`, `source`: its own, see `Transformer`.
    """

    name: str
    flag: bool
    size: int
    tokens: int
    source: str

    @property
    def width(self) -> int:
        return self.size + self.flag

    def fill_with(self, transformer: Transformer, values: Array, out: Array) -> None:
        out[:, : self.size] = transformer.embed(values)
        if self.flag:
            out[:, -1] = [value is None for value in values]


@dataclass(frozen=True)
class Image:
    """The pixels one after the other, from 0 to 1; a missing image is all zeros."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return prod(self.shape)

    def fill(self, values: Array, out: Array) -> None:
        out[:] = np.nan_to_num(values.reshape(len(values), self.width), nan=0.0)


Part = Number | Category | Text | Embedded | Image
PARTS: tuple[type[Part], ...] = (Number, Category, Text, Embedded, Image)


class Numbers:
    """The number columns of an encoder. `parts`: each with its first column in the matrix."""

    def __init__(self, parts: Sequence[tuple[Number, int]]) -> None:
        self._names = tuple(part.name for part, _ in parts)
        table = np.array([(part.median, part.mean, part.deviation) for part, _ in parts])
        self._median, self._mean, self._deviation = table.T[:, :, None]
        self._columns = np.array([start for _, start in parts])
        self._flagged = np.flatnonzero([part.flag for part, _ in parts])
        self._flags = self._columns[self._flagged] + 1

    def fill(self, rows: Mapping[str, Array], matrix: Array) -> None:
        values = self._of(rows)
        missing = np.isnan(values)
        np.copyto(values, self._median, where=missing)
        values -= self._mean
        values /= self._deviation
        np.minimum(values, _CLIP, out=values)
        np.maximum(values, -_CLIP, out=values)
        matrix[:, self._columns] = values.T
        if len(self._flags):
            matrix[:, self._flags] = missing[self._flagged].T

    def _of(self, rows: Mapping[str, Array]) -> Array:
        """The values of each column, `(d, n)`, to be written over."""
        if isinstance(rows, Stacked) and rows.side_by_side == self._names:
            return rows.numbers.T.copy()
        values = np.concatenate([rows[name] for name in self._names], dtype=np.float64)
        return values.reshape(len(self._names), -1)


class Categories:
    """The category columns of an encoder. `parts`: each with its first column in the matrix."""

    def __init__(self, parts: Sequence[tuple[Category, int]]) -> None:
        # From a level to its column.
        self._columns = {
            part.name: {level: start + place for place, level in enumerate(part.levels)}
            for part, start in parts
        }

    def fill(self, rows: Mapping[str, Array], matrix: Array) -> None:
        found = (map(of.get, rows[name], repeat(-1)) for name, of in self._columns.items())
        count = len(matrix) * len(self._columns)
        columns = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=count)
        known = np.flatnonzero(columns >= 0)
        matrix[known % len(matrix), columns[known]] = 1.0
