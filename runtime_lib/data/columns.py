"""The columns that a model takes, and the check of a table against them.

The same check runs before training and before every prediction, so a model never sees a value
that its training would have refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runtime_lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Array", "Column", "check_rows", "columns_of"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Column:
    """One input of a model. A category is text; a number is any finite real number."""

    name: str
    kind: Literal["number", "category"]
    nullable: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Column:
        return cls(name=str(fields["name"]), kind=fields["kind"], nullable=bool(fields["nullable"]))


def columns_of(table: pd.DataFrame, *, without: Sequence[str] = ()) -> tuple[Column, ...]:
    """Describe the columns of a table: numeric types are numbers, text is a category."""
    found = []
    for name in table.columns:
        if name in without:
            continue
        kind = table[name].dtype.kind
        if kind not in "biufOT" and str(table[name].dtype) not in ("str", "string", "category"):
            raise DataError(
                f"Column '{name}' is of type {table[name].dtype}; a model takes numbers and text. "
                f"Turn it into a number (for a time: its hour, its weekday, …) in features()."
            )
        number = kind in "biuf" and str(table[name].dtype) != "category"
        found.append(Column(str(name), "number" if number else "category", bool(table[name].isna().any())))
    return tuple(found)


def check_rows(rows: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Array]:
    """Check a table of columns and convert it to the types that a model takes.

    Args:
        rows: column name → values, each of the same length `n ≥ 1` (lists, arrays, a DataFrame).
        columns: what the model takes.

    Returns:
        Column name → `float64` of shape `(n,)` (missing: NaN) for a number, `object` of text or
        `None` for a category; in the order of `columns`.

    Raises:
        DataError: names the column, the row (from 0) and the value.
    """
    names = [str(name) for name in rows]
    known = [column.name for column in columns]
    if missing := [name for name in known if name not in names]:
        raise DataError(f"Column '{missing[0]}' is missing. Expected columns: {', '.join(known)}.")
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"Column '{unknown[0]}' is unknown. Expected columns: {', '.join(known)}.")
    lengths = {name: len(rows[name]) for name in known}
    if len(set(lengths.values())) > 1:
        raise DataError(f"Columns differ in length: {lengths}.")
    if known and not lengths[known[0]]:
        raise DataError("The table has no rows; send at least one.")
    return {c.name: (_numbers if c.kind == "number" else _categories)(rows[c.name], c) for c in columns}


def _numbers(values: Any, column: Column) -> Array:
    try:
        array = np.asarray(values)
    except ValueError:  # rows that are lists of different lengths
        array = np.empty(len(values), dtype=object)
        array[:] = list(values)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        array = np.array([_number(value, row, column) for row, value in enumerate(values)], dtype=np.float64)
    array = array.astype(np.float64)
    if (bad := np.flatnonzero(np.isinf(array))).size:
        raise DataError(f"Column '{column.name}', row {bad[0]}: {array[bad[0]]} is not a finite number.")
    if not column.nullable and (bad := np.flatnonzero(np.isnan(array))).size:
        raise _missing(column, int(bad[0]))
    return array


def _number(value: Any, row: int, column: Column) -> float:
    if value is None or _is_na(value):
        return np.nan
    if isinstance(value, (int, float, np.number)):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    raise DataError(f"Column '{column.name}', row {row}: {value!r} is not a number.")


def _categories(values: Any, column: Column) -> Array:
    array = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if isinstance(value, str):
            array[row] = str(value)  # numpy's own text type cannot be written as JSON
        elif value is None or _is_na(value):
            if not column.nullable:
                raise _missing(column, row)
            array[row] = None
        else:
            raise DataError(f"Column '{column.name}', row {row}: {value!r} is not text.")
    return array


def _missing(column: Column, row: int) -> DataError:
    return DataError(
        f"Column '{column.name}', row {row}: a value is missing, and training never saw it missing."
    )


def _is_na(value: Any) -> bool:
    """NaN, pandas' NA and NaT: the only values that differ from themselves or refuse to be a truth."""
    try:
        return bool(np.isscalar(value) and value != value) or type(value).__name__ in ("NAType", "NaTType")
    except TypeError:
        return False
