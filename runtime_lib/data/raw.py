"""The types of raw rows: recorded from the months, kept with the model, given to rows that come another way.

JSON has no times, and a CSV file no types at all: `features` would see text where training saw a time. So
what the months' files held is recorded as the pandas type of each column,

    {"format": 1, "columns": {"order_id": "int64", "ordered_at": "datetime64[us, UTC]", "country": "str"}}

next to the features (`data/features/raw.json`), next to the split, and in the model's `config.json`. Beside
pandas' own types a column may be a `date`, a `decimal`, or an `object`: values as they come. To change the
format: raise `_FORMAT` and keep reading every earlier number in `from_dict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.errors import DataError, quoted
from runtime_lib.files import check_format, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILE", "RawTypes", "as_json", "as_lists", "as_stored", "read_types", "write_types"]

FILE = "raw.json"
_FORMAT = 1
_TEXT = ("str", "string", "string[python]", "string[pyarrow]")
_WHOLE = ("int", "uint")


@dataclass(frozen=True)
class RawTypes:
    """Column → its type in the raw months, by pandas' name."""

    columns: Mapping[str, str]

    @classmethod
    def of(cls, files: Iterable[Path | BytesIO]) -> RawTypes:
        """Read the types from the metadata of the months' files.

        Where months differ, as a whole number does that once had a gap, the type that holds both.
        """
        import pyarrow.parquet as pq

        found: dict[str, dict[str, None]] = {}
        for file in files:
            for name, kind in _kinds(pq.read_schema(file)).items():
                found.setdefault(name, {})[kind] = None
        return cls({name: _common([*kinds]) for name, kinds in found.items()})

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> RawTypes:
        check_format(fields.get("format"), newest=_FORMAT, where="The record of the raw columns' types")
        return cls({str(name): str(kind) for name, kind in fields["columns"].items()})

    def to_dict(self) -> dict[str, Any]:
        return {"format": _FORMAT, "columns": dict(self.columns)}

    @property
    def text(self) -> list[str]:
        """The columns of text, which a CSV file must not be read as numbers."""
        return [name for name, kind in self.columns.items() if kind in _TEXT]

    def cast(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Give the columns of a table the recorded types; others stay as they are.

        A whole number or a yes-or-no with gaps becomes what pandas makes of it, as in a month.

        Raises:
            DataError: a value cannot be read as its column's type, or months have times of several zones.
        """
        return raw.assign(
            **{
                str(name): _cast(raw[name], self.columns[name])
                for name in raw.columns
                if name in self.columns and str(raw[name].dtype) != self.columns[name]
            }
        )

    def parse(self, rows: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """Make a table of the values of JSON: `n` a column. Columns may be left out.

        Times are text as ISO 8601 writes them; without an offset they are UTC where the months' times have
        a zone. Decimals are text or numbers.

        Raises:
            DataError: names the column, the row (from 0) and the value.
        """
        import pandas as pd

        if unknown := [name for name in rows if name not in self.columns]:
            raise DataError(
                f"Raw column '{unknown[0]}' is unknown. The raw months have: {', '.join(self.columns)}."
            )
        lengths = {name: len(values) for name, values in rows.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"Columns differ in length: {lengths}.")
        if not lengths or not next(iter(lengths.values())):
            raise DataError("The table has no rows; send at least one.")
        checked = {name: _checked(values, self.columns[name], name) for name, values in rows.items()}
        return self.cast(pd.DataFrame(checked))


def as_stored(raw: pd.DataFrame) -> pd.DataFrame:
    """Return a table as a month's file gives it back: some types of pandas do not survive being written."""
    import pandas as pd

    file = BytesIO()
    raw.to_parquet(file, index=False)
    return pd.read_parquet(file)


def as_json(raw: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a table as the values of JSON that `RawTypes.parse` reads: column → `n` values."""
    return {str(name): _values(raw[name]) for name in raw.columns}


def as_lists(value: Any) -> Any:
    """Return nested arrays, as Parquet gives them for an image, as nested lists; another value as it is."""
    if hasattr(value, "tolist") and np.ndim(value):
        value = value.tolist()
    return [as_lists(each) for each in value] if isinstance(value, list) else value


def write_types(types: RawTypes, folder: Path) -> None:
    write_json(folder / FILE, types.to_dict())


def read_types(folder: Path) -> RawTypes | None:
    """Return the types that lie in a folder; None where a release before 0.6 wrote it."""
    if not (folder / FILE).exists():
        return None
    return RawTypes.from_dict(read_json(folder / FILE, made_by="mlops run --stage featurize --force"))


def _kinds(schema: Any) -> dict[str, str]:
    """The type of each column as `read_parquet` gives it; an empty name for a column without any value."""
    import pyarrow as pa

    empty = schema.empty_table().to_pandas()
    found = {}
    for name in empty.columns:
        arrow, kind = schema.field(name).type, str(empty[name].dtype)
        if pa.types.is_null(arrow):
            kind = ""
        elif pa.types.is_date(arrow):
            kind = "date"
        elif pa.types.is_decimal(arrow):
            kind = "decimal"
        found[str(name)] = kind
    return found


def _common(kinds: Sequence[str]) -> str:
    import pandas as pd

    kinds = [kind for kind in kinds if kind]
    if len(kinds) <= 1 or not {"date", "decimal"}.isdisjoint(kinds):
        return kinds[0] if len(kinds) == 1 else "object"
    return str(pd.concat([pd.Series(dtype=kind) for kind in kinds]).dtype)


def _cast(values: pd.Series[Any], kind: str) -> pd.Series[Any]:
    import pandas as pd

    if kind == "object" and isinstance(values.dtype, pd.DatetimeTZDtype):
        raise DataError(
            f"Raw column '{values.name}' has times of several zones in the months, here {values.dtype.tz}. "
            f'Let load() return one, for instance by `.dt.tz_convert("UTC")`, then `mlops run --refresh all`.'
        )
    if kind in ("date", "decimal", "object"):
        return values.astype("object")
    try:
        if kind.startswith("datetime64"):
            return pd.to_datetime(values, format="ISO8601", utc="," in kind).astype(kind)
        if values.isna().any() and (kind == "bool" or kind.startswith(_WHOLE)):
            return values.astype("object" if kind == "bool" else "float64")
        return values.astype(kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"Raw column '{values.name}' cannot be read as {kind}: {error}.") from error


def _checked(values: Sequence[Any], kind: str, name: str) -> list[Any]:
    """Read the JSON values of one column, each on its own."""
    read, words = _reader(kind)
    found = []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except (TypeError, ValueError, ArithmeticError):
            raise DataError(f"Raw column '{name}', row {row}: {quoted(value)} is not {words}.") from None
    return found


def _reader(kind: str) -> tuple[Callable[[Any], Any], str]:
    """How a value of JSON becomes one of the column, and what it must be, in words."""
    import pandas as pd

    if kind in _TEXT:
        return _of_type(str), "text"
    if kind in ("bool", "boolean"):
        return _of_type(bool), "true or false"
    if kind.startswith("datetime64"):
        zone = "," in kind
        return lambda value: _time(value, zone), "a time" + ("" if zone else " without an offset")
    if kind.startswith("timedelta64"):
        return lambda value: pd.Timedelta(_of_type(str)(value)), "a span of time"
    if kind == "date":
        return date.fromisoformat, "a date"
    if kind == "decimal":
        return lambda value: Decimal(str(value)), "a decimal number"
    if kind.lower().startswith(_WHOLE):
        return _whole, "a whole number"
    if kind.lower().startswith("float"):
        return lambda value: float(_of_type(int, float)(value)), "a number"
    return lambda value: value, "a value"


def _of_type(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in kinds:  # not isinstance: True is no number
            raise TypeError
        return value

    return read


def _whole(value: Any) -> int:
    if int(_of_type(int, float)(value)) != value:
        raise ValueError
    return int(value)


def _time(value: Any, zone: bool) -> Any:
    import pandas as pd

    found = pd.Timestamp(_of_type(str)(value))
    if not value[:4].isdigit() or (not zone and found.tz is not None):
        raise ValueError
    return found.tz_localize("UTC") if zone and found.tz is None else found


def _values(column: pd.Series[Any]) -> list[Any]:
    return [
        None if missing else _json(value)
        for value, missing in zip(column.tolist(), column.isna(), strict=True)
    ]


def _json(value: Any) -> Any:
    if isinstance(value, (date, time)):  # a time of pandas is one too
        return value.isoformat()
    return str(value) if isinstance(value, (Decimal, timedelta)) else as_lists(value)
