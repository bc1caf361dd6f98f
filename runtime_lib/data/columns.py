"""The columns that a model takes, and the check of a table against them.

The same check runs before training and before every prediction, so a model never sees a value
that its training would have refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runtime_lib.data.images import pixels
from runtime_lib.errors import DataError, quoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Array", "Column", "Kind", "check_rows", "columns_of", "images_last"]

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["number", "category", "text", "image"]

# What JSON's numbers and texts are in Python, with what is missing; of texts not numpy's own type.
_JSON_NUMBERS, _JSON_TEXTS = {float, int, bool, type(None)}, {str, type(None)}


@dataclass(frozen=True)
class Column:
    """One input of a model.

    A number is any finite real number. A category is one of some texts, `text` is to be read. An image is
    `(h, w)` or `(h, w, c)` pixels; the two kinds are declared, see `data/inputs.py`.

    Attributes:
        shape: of an image, that of the training images; empty: that of the first one.
        largest: of an image, what a white pixel is: 255 or 1.
    """

    name: str
    kind: Kind
    nullable: bool = False
    shape: tuple[int, ...] = ()
    largest: int = 255

    def to_dict(self) -> dict[str, Any]:
        found = {"name": self.name, "kind": self.kind, "nullable": self.nullable}
        # Models without images are stored as ever.
        return {**found, "shape": list(self.shape), "largest": self.largest} if self.is_image else found

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Column:
        shape, largest = tuple(fields.get("shape", ())), int(fields.get("largest", 255))
        return cls(str(fields["name"]), fields["kind"], bool(fields["nullable"]), shape, largest)

    @property
    def is_image(self) -> bool:
        return self.kind == "image"

    @property
    def has_groups(self) -> bool:
        """Whether its values can be put into groups as they are: it is a number or a category."""
        return self.kind in ("number", "category")


def columns_of(
    table: pd.DataFrame, *, without: Sequence[str] = (), declared: Mapping[str, Kind] | None = None
) -> tuple[Column, ...]:
    """Describe the columns of a table: numeric types are numbers, text is a category.

    Args:
        without: columns that are no inputs.
        declared: columns of another kind, see `read_inputs`.

    Raises:
        DataError: a column is of a type that no model takes or not of its declared kind, or a declared column
            is not there.
    """
    declared = declared or {}
    inputs = [str(name) for name in table.columns if name not in without]
    if absent := [name for name in declared if name not in inputs]:
        raise DataError(
            f"params.yaml, inputs.{declared[absent[0]]}: features() returns no input '{absent[0]}', only "
            f"{', '.join(inputs) or 'none'}."
        )
    return tuple(_described(table[name], name, declared.get(name)) for name in inputs)


def images_last(columns: Iterable[Column]) -> tuple[Column, ...]:
    """In their order, but with the images at the end: the encoded matrix has them there."""
    return tuple(sorted(columns, key=lambda column: column.is_image))


def _described(values: pd.Series[Any], name: str, declared: Kind | None) -> Column:
    kind, found = values.dtype.kind, str(values.dtype)
    if kind not in "biufOT" and found not in ("str", "string", "category"):
        raise DataError(
            f"Column '{name}' is of type {found}; a model takes numbers and text. "
            f"Turn it into a number (for a time: its hour, its weekday, …) in features()."
        )
    number = kind in "biuf" and found != "category"
    if declared and number:
        raise DataError(
            f"params.yaml, inputs.{declared}: features() returns numbers ({found}) in '{name}'. "
            f"Leave it out of inputs."
        )
    filled = values.dropna() if kind == "O" and declared != "image" else values[:0]
    if len(filled) and isinstance(filled.iloc[0], (list, dict, np.ndarray)):
        raise DataError(
            f"Column '{name}' holds lists. If they are images, declare it in params.yaml: "
            f"`inputs: {{image: [{name}]}}`; else make a column of each number in features()."
        )
    return Column(name, declared or ("number" if number else "category"), bool(values.isna().any()))


def check_rows(rows: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Array]:
    """Check a table of columns and convert it to the types that a model takes.

    Args:
        rows: column name → values, each of the same length `n ≥ 1` (lists, arrays, a DataFrame).
        columns: what the model takes.

    Returns:
        Column name → `float64` of shape `(n,)` (missing: NaN) for a number, `object` of text or
        `None` for a category and for text, `float32` of shape `(n, h, w)` or `(n, h, w, c)` from 0 to 1
        (missing: NaN) for an image; in the order of `columns`.

    Raises:
        DataError: names the column, the row (from 0) and the value, of an image both sizes.
    """
    names = [str(name) for name in rows]
    known = [column.name for column in columns]
    here, expected = set(names), set(known)
    if missing := [name for name in known if name not in here]:
        raise DataError(f"Column '{missing[0]}' is missing. Expected columns: {', '.join(known)}.")
    if unknown := [name for name in names if name not in expected]:
        raise DataError(f"Column '{unknown[0]}' is unknown. Expected columns: {', '.join(known)}.")
    lengths = {name: len(rows[name]) for name in known}
    if len(set(lengths.values())) > 1:
        raise DataError(f"Columns differ in length: {lengths}.")
    if known and not lengths[known[0]]:
        raise DataError("The table has no rows; send at least one.")
    checks = {"number": _numbers, "image": _images}
    plain = _plain_numbers(rows, columns)
    return {
        c.name: plain[c.name] if c.name in plain else checks.get(c.kind, _texts)(rows[c.name], c)
        for c in columns
    }


def _plain_numbers(rows: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Array]:
    """All columns of numbers, converted and checked together: of a few rows, the calls are what takes time.

    Of lists of JSON's numbers alone. Where there is anything else in them, or a value to be refused, nothing:
    each column is then looked at by itself.
    """
    numbers = [column for column in columns if column.kind == "number"]
    lists = [rows[column.name] for column in numbers]
    if not lists or any(type(values) is not list for values in lists):
        return {}
    if not {*map(type, chain.from_iterable(lists))} <= _JSON_NUMBERS:
        return {}
    try:
        table = np.array(lists, dtype=np.float64)
    except OverflowError:
        return {}
    if not np.isfinite(table).all():
        complete = [place for place, column in enumerate(numbers) if not column.nullable]
        if np.isinf(table).any() or np.isnan(table[complete]).any():
            return {}
    return dict(zip((column.name for column in numbers), table, strict=True))


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
    raise DataError(f"Column '{column.name}', row {row}: {quoted(value)} is not a number.")


def _texts(values: Any, column: Column) -> Array:
    array = np.empty(len(values), dtype=object)
    if type(values) is list and {*map(type, values)} <= (_JSON_TEXTS if column.nullable else {str}):
        array[:] = values
        return array
    for row, value in enumerate(values):
        if isinstance(value, str):
            array[row] = str(value)  # numpy's own text type cannot be written as JSON
        elif value is None or _is_na(value):
            if not column.nullable:
                raise _missing(column, row)
            array[row] = None
        else:
            raise DataError(f"Column '{column.name}', row {row}: {quoted(value)} is not text.")
    return array


def _images(values: Any, column: Column) -> Array:
    found = [_image(value, row, column) for row, value in enumerate(values)]
    shape = column.shape or next((image.shape for image in found if image is not None), (1, 1))
    checked: Array = np.full((len(found), *shape), np.nan, dtype=np.float32)
    for row, image in enumerate(found):
        if image is None:
            if not column.nullable:
                raise _missing(column, row)
        elif image.shape != shape:
            raise DataError(
                f"Column '{column.name}', row {row}: the image is {_size(image.shape)}, those of training "
                f"are {_size(shape)} (height x width x channels). Bring it to that size in features()."
            )
        else:
            checked[row] = image / np.float32(column.largest)
    return checked


def _image(value: Any, row: int, column: Column) -> Array | None:
    if value is None or _is_na(value):
        return None
    where = f"Column '{column.name}', row {row}:"
    if isinstance(value, str):
        raise DataError(
            f"{where} {quoted(value)} is text. Send the pixels: "
            f"files are opened only where features are made."
        )
    try:
        image = pixels(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} {quoted(value, 60)} is no image: {error}.") from None
    if (wrong := ~((image >= 0) & (image <= column.largest))).any():
        raise DataError(
            f"{where} the pixel {image[wrong][0]:g} is not between 0 and {column.largest}, as in training."
        )
    return image


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


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
