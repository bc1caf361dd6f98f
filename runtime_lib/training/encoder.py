"""From a table of raw columns to the matrix that a network takes, and back to JSON.

The encoder is stored with the model, so that serving turns rows into numbers exactly as training did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, Column, images_last
from runtime_lib.errors import ModelError, require

if TYPE_CHECKING:
    from runtime_lib.training.transformer.embed import Transformer

__all__ = ["Encoder"]

# Beyond eight standard deviations a value says "extreme" and no more; unbounded, one outlier rules.
_CLIP = 8.0
# Columns of a text, and the characters of it that are read. Stored with the model, so that other numbers here
# would not change what a stored model answers.
_HASHES, _READ, _NGRAMS = 1024, 2_000, (1, 3)
# Texts that are hashed at a time: the hashes of a long text take more room than its row of the matrix.
_AT_ONCE = 4_096


@dataclass(frozen=True)
class _Number:
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
        index = np.fromiter(map(place.get, values, repeat(-1)), dtype=np.int64, count=len(values))
        known = np.flatnonzero(index >= 0)
        out[known, index[known]] = 1.0


@dataclass(frozen=True)
class _Text:
    """Counts of hashed n-grams of characters within words, of length 1 (l2); a missing text is all zeros.

    Nothing is learned, so there is no unseen text. `read`: characters, the rest is cut off.
    """

    name: str
    flag: bool
    hashes: int = _HASHES
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
class _Embedded:
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
class _Image:
    """The pixels one after the other, from 0 to 1; a missing image is all zeros."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return prod(self.shape)

    def fill(self, values: Array, out: Array) -> None:
        out[:] = np.nan_to_num(values.reshape(len(values), self.width), nan=0.0)


_Part = _Number | _Category | _Text | _Embedded | _Image
_PARTS: tuple[type[_Part], ...] = (_Number, _Category, _Text, _Embedded, _Image)


@dataclass(frozen=True)
class Encoder:
    """Fitted once on the training rows; `encode` is then a pure function of a row.

    The parts are in the order of the columns, with the images last. `transformer`: what reads texts, if it is
    not n-grams that are counted.
    """

    parts: tuple[_Part, ...]
    transformer: Transformer | None = None

    @property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return sum(part.width for part in self.parts)

    @classmethod
    def fit(
        cls, rows: Mapping[str, Array], columns: Sequence[Column], transformer: Transformer | None = None
    ) -> Encoder:
        """Learn means, medians and levels from checked rows (see `check_rows`).

        Args:
            transformer: that reads the text columns (default: n-grams are counted).
        """
        return cls(tuple(_fitted(c, rows[c.name], transformer) for c in images_last(columns)), transformer)

    def encode(self, rows: Mapping[str, Array]) -> Array:
        """Return a `float32` matrix of shape `(n, width)` for checked rows of length `n`."""
        n = len(next(iter(rows.values())))
        matrix = np.zeros((n, self.width), dtype=np.float32)
        start = 0
        for part in self.parts:
            values, out = rows[part.name], matrix[:, start : start + part.width]
            if isinstance(part, _Embedded):
                assert self.transformer is not None
                part.fill_with(self.transformer, values, out)
            else:
                part.fill(values, out)
            start += part.width
        return matrix

    @staticmethod
    def width_for(columns: Sequence[Column], levels: Mapping[str, int], *, embedding: int = _HASHES) -> int:
        """The width of an encoder of these columns.

        Args:
            levels: how many each category has in training.
            embedding: numbers that a transformer gives for a text (default: of counted n-grams).
        """
        return sum(_width(column, levels, embedding) for column in columns)

    def to_dict(self) -> list[dict[str, Any]]:
        return [{"kind": type(part).__name__.strip("_").lower(), **asdict(part)} for part in self.parts]

    @classmethod
    def from_dict(cls, parts: Sequence[Mapping[str, Any]], transformer: Transformer | None = None) -> Encoder:
        kinds = {kind.__name__.strip("_").lower(): kind for kind in _PARTS}
        return cls(tuple(kinds[part["kind"]](**_fields(part)) for part in parts), transformer)

    def save(self, folder: Path) -> list[dict[str, Any]]:
        """Write the transformer's files, if there is one; return the rest as JSON."""
        if self.transformer:
            self.transformer.save(folder)
        return self.to_dict()

    @classmethod
    def open(
        cls, parts: Sequence[Mapping[str, Any]], files: Mapping[str, bytes], *, force_gpu: bool
    ) -> Encoder:
        """Rebuild a stored one.

        Args:
            parts: what `save` returned. files: of the model, checked.
            force_gpu: see `choose_device`.

        Raises:
            ModelError: the transformer's files are damaged.
            MissingExtraError: there is one, and transformers is not installed.
        """
        encoder = cls.from_dict(parts)
        read = next((part for part in encoder.parts if isinstance(part, _Embedded)), None)
        if read is None:
            return encoder
        from runtime_lib.hardware import choose_device
        from runtime_lib.training.transformer.embed import open_stored

        require("transformers", extra="text")
        device = choose_device("torch", force_gpu=force_gpu).name
        transformer = open_stored(files, tokens=read.tokens, device=device, name=read.source)
        if transformer.size != read.size:
            raise ModelError(
                f"The transformer {read.source} gives {transformer.size} numbers for a text, the model takes "
                f"{read.size}. Train it again."
            )
        return cls(encoder.parts, transformer)


def _width(column: Column, levels: Mapping[str, int], embedding: int) -> int:
    if column.kind == "number":
        return 1 + column.nullable
    if column.kind == "category":
        return levels[column.name]
    return embedding + column.nullable if column.kind == "text" else prod(column.shape)


def _fitted(column: Column, values: Array, transformer: Transformer | None) -> _Part:
    if column.kind == "number":
        return _Number.fit(column.name, values, flag=column.nullable)
    if column.kind == "category":
        return _Category.fit(column.name, values)
    if column.kind == "text" and transformer:
        return _Embedded(column.name, column.nullable, transformer.size, transformer.tokens, transformer.name)
    if column.kind == "text":
        return _Text(column.name, column.nullable)
    return _Image(column.name, values.shape[1:])


def _fields(part: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists for tuples."""
    given = {name: value for name, value in part.items() if name != "kind"}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
