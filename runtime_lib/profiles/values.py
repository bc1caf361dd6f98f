"""The values of a column, of whatever library, as numbers or as counted names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime_lib.errors import DataError
from runtime_lib.profiles.grid import Floats

__all__ = ["Kind", "coded_names", "count_names", "is_missing", "kind_of", "numbers"]

Kind = Literal["number", "category"]

# Arrow's units of time.
_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def kind_of(values: Any) -> Kind | None:
    """What a column holds by its type: a time is a number, a truth a category; None: neither, or nothing."""
    import pyarrow.types as types

    kind = _arrow(values).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or _is_time(kind):
        return "number"
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return "category" if texts or types.is_boolean(kind) else None


def numbers(values: Any, name: str) -> Floats:
    """Values as float64, `(n,)`, NaN where missing; moments in time as seconds since 1970, others as seconds.

    Args:
        values: a column of numpy, Arrow, pandas or polars, or a list.

    Raises:
        DataError: they are no numbers.
    """
    import pyarrow as pa
    import pyarrow.types as types

    if type(values) is np.ndarray and values.ndim == 1 and values.dtype.kind in "fiu":
        return np.asarray(values, dtype=np.float64)
    try:
        if getattr(values, "ndim", 1) != 1:
            raise ValueError(f"an array of {values.ndim} dimensions")
        found = _arrow(values)
        if types.is_dictionary(found.type):
            found = found.dictionary_decode()
        if _is_time(found.type):
            return _seconds(found)
        return _floats(found)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"Column '{name}' is to hold numbers but holds others: {error}.") from error


def count_names(values: Any) -> tuple[Mapping[str, int], int]:
    """Rows of each value as Python's text of it, and how many are missing.

    Args:
        values: a column of numpy, Arrow, pandas or polars, or a list.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    found = _arrow(values)
    if types.is_string_view(found.type):  # counts of views call a missing value an empty one (Arrow 25)
        found = found.cast(pa.large_string())
    if types.is_dictionary(found.type):
        values, rows_of = _counted_codes(found)
    else:
        found = pc.value_counts(found)
        values, rows_of = found.field("values").to_pylist(), found.field("counts").to_pylist()
    counts: Counter[str] = Counter()
    nulls = 0
    # A dictionary may hold a name twice, or a missing one.
    for value, rows in zip(values, rows_of, strict=True):
        if is_missing(value):
            nulls += rows
        else:
            counts[str(value)] += rows
    return counts, nulls


def _counted_codes(found: Any) -> tuple[list[Any], list[int]]:
    """The names of a dictionary array that are met, and in how many rows; None: missing ones.

    Codes are places, and so need no hash as Arrow's `value_counts` has: three times as fast.
    """
    import pyarrow as pa

    missing, codes = len(found.dictionary), found.indices
    places = _buffer(codes, str(codes.type)).astype(np.intp)
    if codes.null_count:
        places[~_known(codes)] = missing
    rows = np.bincount(places, minlength=missing + 1)
    met = np.flatnonzero(rows[:missing]).astype(np.int64)
    # Not `pa.array`: it imports pandas, as Arrow does in many places.
    names = found.dictionary.take(pa.Array.from_buffers(pa.int64(), met.size, [None, pa.py_buffer(met)]))
    return [*names.to_pylist(), None], [*rows[met].tolist(), int(rows[missing])]


def coded_names(values: Any) -> tuple[list[str], NDArray[np.intp]]:
    """The names in a column, and of each row the place of its name there, `(n,)`; behind them: missing.

    Args:
        values: a column of numpy or pandas, or a list.
    """
    found = np.asarray(values, dtype=object).tolist()
    try:
        distinct = dict.fromkeys(found)
        mixed = not all(isinstance(value, str) or is_missing(value) for value in distinct)
    except TypeError:  # a list, say, which is no key
        mixed = True
    if mixed:  # 1, 1.0 and True would be one key
        found = [None if is_missing(value) else str(value) for value in found]
        distinct = dict.fromkeys(found)
    names = [value for value in distinct if not is_missing(value)]
    codes = dict.fromkeys(distinct, len(names)) | {name: place for place, name in enumerate(names)}
    return names, np.fromiter(map(codes.__getitem__, found), np.intp, len(found))


def _is_time(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_temporal(kind) and not types.is_interval(kind)  # months have no length


def _seconds(found: Any) -> Floats:
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_date(found.type):
        found = found.cast(pa.timestamp("s"))
    unit = _SECOND[found.type.unit]
    whole = found.view(pa.int32() if types.is_time32(found.type) else pa.int64())
    return _floats(whole) / unit


def _floats(found: Any) -> Floats:
    """An array's numbers from its buffers: Arrow's own way to numpy imports pandas, 50 MB."""
    import pyarrow as pa

    if found.type != pa.float64():
        found = found.cast(pa.float64(), safe=False)
    values = _buffer(found, np.float64)
    return np.where(_known(found), values, np.nan) if found.null_count else values


def _buffer(found: Any, dtype: Any) -> NDArray[Any]:
    """An array's values, whatever they are where they are missing."""
    if not len(found):
        return np.empty(0, dtype)
    start = np.dtype(dtype).itemsize * found.offset
    return np.frombuffer(found.buffers()[1], dtype, count=len(found), offset=start)


def _known(found: Any) -> NDArray[np.bool_]:
    """Which values are not missing, of an array where some are."""
    start, bits = found.offset, np.frombuffer(found.buffers()[0], np.uint8)
    return np.unpackbits(bits, count=start + len(found), bitorder="little")[start:].view(np.bool_)


def _arrow(values: Any) -> Any:
    """As an Arrow array; values of mixed types as texts."""
    import pyarrow as pa

    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if hasattr(values, "to_arrow"):  # polars
        return _arrow(values.to_arrow())
    try:
        return _arrow(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        plain = np.asarray(values)
        if plain.ndim == 1 and plain.dtype.kind in "fiu":  # of another byte order, or longer than 64 bits
            return pa.array(plain.astype(np.float64), from_pandas=True)
        return pa.array([None if is_missing(value) else str(value) for value in values], pa.string())


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN or pandas' NA."""
    # NaN differs from itself; pandas' NA answers no comparison, but has a name.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)
