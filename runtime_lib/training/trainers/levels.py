"""From a table of raw columns to the matrix that boosted trees take, and back to JSON.

Trees need no scaling, and split a category by its levels. So a number stays what it is, with NaN where it is
missing, and a category becomes the place of its level among those of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.errors import ModelError

__all__ = ["Levels", "refuse_unread"]


@dataclass(frozen=True)
class Levels:
    """Column → its levels in training, sorted; None for a number. Stored with the model."""

    of: Mapping[str, tuple[str, ...] | None]

    @property
    def names(self) -> list[str]:
        return list(self.of)

    @property
    def categories(self) -> list[int]:
        """Places of the columns that are codes."""
        return [place for place, levels in enumerate(self.of.values()) if levels is not None]

    @cached_property
    def _codes(self) -> dict[str, dict[str, float]]:
        """Of each category the codes of its levels: their places."""
        return {
            name: {level: float(place) for place, level in enumerate(levels)}
            for name, levels in self.of.items()
            if levels is not None
        }

    @classmethod
    def fit(cls, rows: Mapping[str, Array], columns: Sequence[Column], *, most: int | None = None) -> Levels:
        """Learn the levels from checked rows (see `check_rows`).

        Args:
            most: levels of a column, the commonest; the others are missing.

        Raises:
            ModelError: a column is text or an image.
        """
        refuse_unread(columns)
        return cls({c.name: None if c.kind == "number" else _levels(rows[c.name], most) for c in columns})

    def matrix(self, rows: Mapping[str, Array]) -> Array:
        """Return `float64` of shape `(n, columns)`; a level that training did not have is missing, NaN."""
        found = np.empty((len(next(iter(rows.values()))), len(self.of)), dtype=np.float64)
        for place, name in enumerate(self.of):
            values, codes = rows[name], self._codes.get(name)
            found[:, place] = values if codes is None else _coded(values, codes)
        return found

    def to_dict(self) -> list[dict[str, Any]]:
        """As a list: JSON is written with sorted keys, and the order of the columns is the matrix's."""
        return [
            {"name": name, "levels": None if levels is None else list(levels)}
            for name, levels in self.of.items()
        ]

    @classmethod
    def from_dict(cls, parts: Sequence[Mapping[str, Any]]) -> Levels:
        return cls({p["name"]: None if p["levels"] is None else tuple(p["levels"]) for p in parts})


def refuse_unread(columns: Sequence[Column]) -> None:
    """Refuse columns that boosted trees cannot split.

    Raises:
        ModelError: names the first, and what to do.
    """
    if unread := [column for column in columns if not column.has_groups]:
        name, kind = unread[0].name, unread[0].kind
        raise ModelError(
            f"Boosted trees take numbers and categories, and '{name}' is declared as {kind} in params.yaml. "
            f"Make numbers of it in features(), leave it out, or train on the encoded matrix: a network, or "
            f"Sklearn(estimator)."
        )


def _levels(values: Array, most: int | None) -> tuple[str, ...]:
    counts = Counter(values.tolist())
    del counts[None]
    return tuple(sorted(sorted(counts, key=lambda level: (-counts[level], level))[:most]))


def _coded(values: Array, codes: Mapping[str, float]) -> Array:
    # Without a line of Python for each row.
    return np.fromiter(map(codes.get, values, repeat(np.nan)), dtype=np.float64, count=len(values))
