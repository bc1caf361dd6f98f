"""From a table of raw columns to the matrix that a network takes, and back to JSON.

The encoder is stored with the model, so that serving turns rows into numbers exactly as training did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, Column, images_last
from runtime_lib.data.rows import Stacked
from runtime_lib.errors import ModelError, require
from runtime_lib.training.parts import (
    HASHES,
    PARTS,
    Categories,
    Category,
    Embedded,
    Image,
    Number,
    Numbers,
    Part,
    Text,
)

if TYPE_CHECKING:
    from runtime_lib.training.transformer.embed import Transformer

__all__ = ["Encoder"]

# Rows whose numbers are computed at a time: so many fit a processor's cache, with their copies.
_AT_ONCE = 1_024


@dataclass(frozen=True)
class Encoder:
    """Fitted once on the training rows; `encode` is then a pure function of a row.

    The parts are in the order of the columns, with the images last. `transformer`: what reads texts, if it is
    not n-grams that are counted.
    """

    parts: tuple[Part, ...]
    transformer: Transformer | None = None

    @cached_property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return sum(part.width for part in self.parts)

    @cached_property
    def _placed(self) -> list[tuple[Part, int]]:
        """Each part with its first column in the matrix."""
        starts = accumulate((part.width for part in self.parts), initial=0)
        return list(zip(self.parts, starts, strict=False))

    @cached_property
    def _together(self) -> list[Numbers | Categories]:
        numbers = [(part, start) for part, start in self._placed if isinstance(part, Number)]
        categories = [(part, start) for part, start in self._placed if isinstance(part, Category)]
        return [*([Numbers(numbers)] if numbers else ()), *([Categories(categories)] if categories else ())]

    @cached_property
    def _alone(self) -> list[tuple[Text | Embedded | Image, int]]:
        return [(part, at) for part, at in self._placed if not isinstance(part, Number | Category)]

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
        n = len(rows.numbers if isinstance(rows, Stacked) else next(iter(rows.values())))
        matrix = np.zeros((n, self.width), dtype=np.float32)
        for start in range(0, n, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            few = rows if n <= _AT_ONCE else {name: values[some] for name, values in rows.items()}
            for filled in self._together:
                filled.fill(few, matrix[some])
        for part, start in self._alone:
            values, out = rows[part.name], matrix[:, start : start + part.width]
            if isinstance(part, Embedded):
                assert self.transformer is not None
                part.fill_with(self.transformer, values, out)
            else:
                part.fill(values, out)
        return matrix

    @staticmethod
    def width_for(columns: Sequence[Column], levels: Mapping[str, int], *, embedding: int = HASHES) -> int:
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
        kinds = {kind.__name__.strip("_").lower(): kind for kind in PARTS}
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
        read = next((part for part in encoder.parts if isinstance(part, Embedded)), None)
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


def _fitted(column: Column, values: Array, transformer: Transformer | None) -> Part:
    if column.kind == "number":
        return Number.fit(column.name, values, flag=column.nullable)
    if column.kind == "category":
        return Category.fit(column.name, values)
    if column.kind == "text" and transformer:
        return Embedded(column.name, column.nullable, transformer.size, transformer.tokens, transformer.name)
    if column.kind == "text":
        return Text(column.name, column.nullable)
    return Image(column.name, values.shape[1:])


def _fields(part: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists for tuples."""
    given = {name: value for name, value in part.items() if name != "kind"}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
