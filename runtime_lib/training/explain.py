"""Why a model answers a row as it does: what each of its columns adds.

Exactly, where the model can tell (boosted trees by TreeSHAP, linear models), on the scale on which its parts
add up. For any other model one column at a time: how the answer differs from what it would be on average with
the other values that the column had in training. These do not add up, and two columns that say the same share
nothing. Of a text or an image: how the answer differs from what it would be without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.data.images import summaries
from runtime_lib.errors import DataError
from runtime_lib.training.model import Model

__all__ = ["MOST_ROWS", "Explanation", "Part", "explain", "said"]

MOST_ROWS = 1_000
_MOST_VALUES = 20  # of a column that are tried
_SHOWN = 24  # characters of a text


@dataclass(frozen=True)
class Part:
    """One column of one row: its value (of an image, what the log would say of it), and what it adds."""

    column: str
    value: str | float | None
    adds: float

    @property
    def said(self) -> str:
        """The value in a few characters."""
        if self.value is None:
            return "missing"
        if isinstance(self.value, float):
            return f"{self.value:g}"
        return self.value if len(self.value) <= _SHOWN else f"{self.value[: _SHOWN - 1]}…"


@dataclass(frozen=True)
class Explanation:
    """What each column adds to the answers of `n` rows.

    Attributes:
        exact: whether `base` and `shares` add up to the answer, in `unit`.
        unit: what they are in, in words.
        outputs, columns: names, in the order of the axes.
        base: without the columns, `(n, outputs)`; where it is not exact, the answer itself.
        shares: `(n, outputs, columns)`.
    """

    exact: bool
    unit: str
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    base: Array
    shares: Array

    def parts(self, rows: Mapping[str, Array], row: int, output: str) -> list[Part]:
        """The columns of one of these rows, those that add or take most first."""
        shares = self.shares[row, self.outputs.index(output)]
        parts = [
            Part(name, _plain(rows[name], row), float(share))
            for name, share in zip(self.columns, shares, strict=True)
        ]
        return sorted(parts, key=lambda part: -abs(part.adds))

    def start(self, row: int, output: str) -> float:
        """What is there without the columns."""
        return float(self.base[row, self.outputs.index(output)])


def said(answer: Any) -> str:
    """An answer, as `Task.records` gives it, in a few words."""
    if isinstance(answer, Mapping) and "label" in answer:
        return f"{answer['label']} ({answer['probability'][answer['label']]:.4f})"
    if isinstance(answer, Mapping):
        return ", ".join(f"{name} {value:.4g}" for name, value in answer.items())
    return f"{answer:.4f}"


def explain(model: Model, rows: Mapping[str, Array], profile: Mapping[str, Any]) -> Explanation:
    """Explain the answers to checked rows.

    Args:
        rows: from `check_rows`, at most 1,000.
        profile: the model's own, for the values that its columns had.

    Raises:
        DataError: too many rows.
    """
    count = len(next(iter(rows.values())))
    if count > MOST_ROWS:
        raise DataError(f"{count:,} rows are too many to explain at once; give at most {MOST_ROWS:,}.")
    names = tuple(column.name for column in model.columns)
    found = model.fitted.contributions(rows)
    if found is not None:
        shares, base, unit = model.task.in_its_unit(*found)
        return Explanation(True, unit, model.task.outputs, names, base, shares)
    answer = _outputs(model, rows)
    without = [_without(model, rows, column, profile) for column in model.columns]
    shares = np.stack([answer - other for other in without], axis=2)
    return Explanation(False, "the answer's own unit", model.task.outputs, names, answer, shares)


def _outputs(model: Model, rows: Mapping[str, Array]) -> Array:
    return np.column_stack([*model.task.columns(model.predict(rows)).values()])


def _without(model: Model, rows: Mapping[str, Array], column: Column, profile: Mapping[str, Any]) -> Array:
    """The mean answer over the other values that the column had in training, `(n, outputs)`.

    Of a text or an image the profile keeps none: the answer where it is missing.
    """
    name = column.name
    if not column.has_groups:
        blank: Array = np.full_like(rows[name], None if column.kind == "text" else np.nan)
        return _outputs(model, {**rows, name: blank})
    values, weights = _values(profile["columns"][name])
    count = len(rows[name])
    tried = {other: np.concatenate([of] * len(values)) for other, of in rows.items()}
    tried[name] = np.repeat(np.array(values, dtype=rows[name].dtype), count)
    answers = _outputs(model, tried).reshape(len(values), count, -1)
    mean: Array = np.tensordot(weights, answers, axes=1)
    return mean


def _values(about: Mapping[str, Any]) -> tuple[Sequence[Any], Array]:
    """Values of a column and their shares; of a number a value for each bin of its profile."""
    if about["kind"] == "category":
        commonest = sorted(about["counts"].items(), key=lambda item: (-item[1], item[0]))[:_MOST_VALUES]
        found = [*commonest, *([(None, about["nulls"])] if about["nulls"] else [])]
    else:
        edges, counts = about["edges"], about["counts"]
        found = [(edge, count) for edge, count in zip(edges, counts, strict=False) if count]
        found += [(np.nan, about["nulls"])] if about["nulls"] else []
    values, weights = zip(*found, strict=True)
    return values, np.array(weights, dtype=np.float64) / sum(weights)


def _plain(values: Array, row: int) -> str | float | None:
    value = values[row] if values.ndim == 1 else summaries(values[row : row + 1])[0]
    if value is None or isinstance(value, str):
        return value
    return None if np.isnan(value) else float(value)
