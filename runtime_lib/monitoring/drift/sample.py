"""Some thousand rows of two files as numbers that a classifier takes, and the columns that it may not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.grid import Floats, Integers
from runtime_lib.profiles.values import Kind, numbers
from runtime_lib.tables import csv_blocks

__all__ = ["MOST_ROWS", "Sample", "draw"]

MOST_ROWS = 20_000
# Rows at a time, and bytes of each column's file, however large its row groups are.
_BATCH, _BUFFER = 1 << 14, 1 << 16
_SEED = 20_260
# scikit-learn's trees take 255 categories; rarer ones are one.
_MOST_NAMES = 250
_LARGEST = 1e300  # of a number: their differences must be finite too

# Why a column would tell any two tables apart, or none.
_ONE_VALUE = "holds one value"
_TIME = "is a moment in time"
_SORTED = "rises or falls from row to row"
_UNIQUE = "another value in each row, or nearly"


@dataclass(frozen=True)
class Sample:
    """Rows of both tables.

    Attributes:
        values: `(n + m, k)`, categories as whole numbers from 0, NaN where missing.
        label: `(n + m,)`, 0 in the reference, 1 in the current table.
        columns: names, `k` of them. `is_category`: `(k,)`.
        left_out: name → why.
    """

    values: Floats
    label: Integers
    columns: tuple[str, ...]
    is_category: tuple[bool, ...]
    left_out: Mapping[str, str]


def draw(reference: Path, current: Path, kinds: Mapping[str, Kind]) -> Sample:
    """Take up to 20,000 rows of each file, from all parts of it, in constant memory.

    Args:
        kinds: of the columns that both have.

    Raises:
        DataError: a file cannot be read.
    """
    tables = [_rows(path, list(kinds)) for path in (reference, current)]
    columns: dict[str, Floats] = {}
    left_out: dict[str, str] = {}
    for name, kind in kinds.items():
        sides = [table[name] for table in tables]
        found = _TIME if any(map(_is_time, sides)) else _as_numbers(sides, name, kind)
        if isinstance(found, str):
            left_out[name] = found
        else:
            columns[name] = found
    sizes = [len(next(iter(table.values()))) for table in tables]
    return Sample(
        np.column_stack(list(columns.values())) if columns else np.empty((sum(sizes), 0)),
        np.repeat([0, 1], sizes),
        tuple(columns),
        tuple(kinds[name] == "category" for name in columns),
        left_out,
    )


def _rows(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Column → Arrow array of some rows, in the order of the file."""
    return _rows_of_parquet(path, names) if path.suffix == ".parquet" else _rows_of_csv(path, names)


def _rows_of_csv(path: Path, names: Sequence[str]) -> dict[str, Any]:
    import pandas as pd

    places = _places(sum(map(len, csv_blocks(path))))
    taken, begin = [], 0
    for block in csv_blocks(path):
        first, end = np.searchsorted(places, [begin, begin + len(block)])
        taken.append(block.iloc[places[first:end] - begin])
        begin += len(block)
    table = pd.concat(taken)
    return {name: _array(table[name]) for name in names}


def _rows_of_parquet(path: Path, names: Sequence[str]) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    taken, begin = [], 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            places = _places(file.metadata.num_rows)
            for batch in file.iter_batches(_BATCH, columns=list(names), use_threads=False):
                first, end = np.searchsorted(places, [begin, begin + len(batch)])
                taken.append(batch.take(pa.array(places[first:end] - begin)))
                begin += len(batch)
        table = pa.Table.from_batches(taken)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}.") from error
    return {name: table[name].combine_chunks() for name in names}


def _array(values: Any) -> Any:
    """A column of pandas; values of mixed types as texts."""
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError):
        return pa.array([str(v) if known else None for v, known in zip(values, values.notna(), strict=True)])


def _places(rows: int) -> Integers:
    """One row at random of each of as many equal stretches."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    within = np.random.default_rng(_SEED).random(MOST_ROWS)
    return np.unique(((np.arange(MOST_ROWS) + within) * (rows / MOST_ROWS)).astype(np.int64))


def _texts(values: Any) -> Any:
    import pyarrow as pa

    return values.cast(pa.string())


def _is_time(values: Any) -> bool:
    """Whether these are dates or moments in time, by their type or as texts of ISO 8601."""
    import pyarrow.types as types

    if types.is_timestamp(values.type) or types.is_date(values.type):
        return True
    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return False
    return values.null_count < len(values) and any(_reads_as(values, zone) for zone in (None, "UTC"))


def _reads_as(values: Any, zone: str | None) -> bool:
    import pyarrow as pa

    try:
        _texts(values).cast(pa.timestamp("us", zone))
    except pa.ArrowException:
        return False
    return True


def _as_numbers(sides: Sequence[Any], name: str, kind: Kind) -> Floats | str:
    """The column of both tables, or why it is left out."""
    if kind == "number":
        before, now = (np.clip(numbers(side, name), -_LARGEST, _LARGEST) for side in sides)
        return _unfit_numbers(before, now) or np.concatenate([before, now])
    before, now = _numbered([_texts(side) for side in sides])
    return _unfit_names(before, now) or np.minimum(np.concatenate([before, now]), _MOST_NAMES)


def _unfit_numbers(before: Floats, now: Floats) -> str | None:
    if np.unique(np.concatenate([before, now])).size == 1:
        return _ONE_VALUE
    present = [side[~np.isnan(side)] for side in (before, now)]
    if all(map(_is_sorted, present)):
        return _SORTED
    if all(map(_is_whole, present)) and all(map(_is_unique, present)):
        return _UNIQUE
    return None


def _is_sorted(values: Floats) -> bool:
    """Whether they only rise or only fall, over three values at least."""
    steps = np.diff(values)
    return bool(np.count_nonzero(steps) >= 2 and ((steps >= 0).all() or (steps <= 0).all()))


def _is_whole(values: Floats) -> bool:
    return bool((values == np.round(values)).all())


def _is_unique(values: Floats) -> bool:
    return values.size > 0 and np.unique(values).size == values.size


def _numbered(sides: Sequence[Any]) -> list[Floats]:
    """Names of both tables as whole numbers, the commonest as 0; NaN where missing."""
    import pandas as pd

    values = np.concatenate([np.asarray(side.to_pylist(), dtype=object) for side in sides])
    codes, names = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    rank = np.empty(len(names))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    found = np.full(codes.size, np.nan)
    found[codes >= 0] = rank[codes[codes >= 0]]
    return np.split(found, [len(sides[0])])


def _unfit_names(before: Floats, now: Floats) -> str | None:
    if np.unique(np.concatenate([before, now])).size == 1:
        return _ONE_VALUE
    if all(map(_is_mostly_unique, (before, now))):
        return _UNIQUE
    return None


def _is_mostly_unique(codes: Floats) -> bool:
    present = codes[~np.isnan(codes)]
    return present.size > 0 and np.unique(present).size > present.size / 2
