"""The values of a column, of whatever library, as numbers or as counted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.grid import Floats

__all__ = ["Kind", "count_names", "kind_of", "numbers"]

Kind = Literal["number", "category"]


def kind_of(values: Any) -> Kind | None:
    """What a column holds by its type: a moment in time is a number, a truth a category; None: neither."""
    import pyarrow.types as types

    kind = _arrow(values).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_temporal(kind):
        return "number"
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return "category" if texts or types.is_boolean(kind) or types.is_null(kind) else None


def numbers(values: Any, name: str) -> Floats:
    """Values as float64, `(n,)`, NaN where missing; moments in time as seconds since 1970.

    Args:
        values: a column of numpy, Arrow, pandas or polars, or a list.

    Raises:
        DataError: they are no numbers.
    """
    import pyarrow as pa
    import pyarrow.types as types

    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return np.asarray(values, dtype=np.float64)
    try:
        found = _arrow(values)
        if types.is_timestamp(found.type) or types.is_date(found.type):
            found = found.cast(pa.timestamp("us", getattr(found.type, "tz", None))).cast(pa.int64())
            return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64) / 1e6
        if not types.is_float64(found.type):
            found = found.cast(pa.float64(), safe=False)
        return np.asarray(found.to_numpy(zero_copy_only=False))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"Column '{name}' is to hold numbers but holds others: {error}.") from error


def count_names(values: Any) -> tuple[Mapping[str, int], int]:
    """Rows of each value as text, and how many are missing.

    Args:
        values: a column of numpy, Arrow, pandas or polars, or a list.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    found = _arrow(values)
    nulls = found.null_count
    if types.is_dictionary(found.type) or types.is_boolean(found.type):
        pass
    elif not (types.is_string(found.type) or types.is_large_string(found.type)):
        found = found.cast(pa.string())
    counts = pc.value_counts(found)
    names = counts.field("values").cast(pa.string()).to_pylist()
    rows = counts.field("counts").to_pylist()
    return {name: n for name, n in zip(names, rows, strict=True) if name is not None}, nulls


def _arrow(values: Any) -> Any:
    """As an Arrow array; values of mixed types as texts."""
    import pyarrow as pa

    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if hasattr(values, "to_arrow"):  # polars
        return _arrow(values.to_arrow())
    try:
        return _arrow(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array([None if _missing(value) else str(value) for value in values], pa.string())


def _missing(value: Any) -> bool:
    # NaN differs from itself; pandas' NA answers no comparison, but has a name.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)
