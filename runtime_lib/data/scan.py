"""What a table of features holds, found without loading it: rows, columns, and how many levels each has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtime_lib.data.columns import Column, columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.errors import DataError

__all__ = ["Scan", "read_column", "scan"]

# Of one column, in memory at a time.
_ROWS = 65_536


@dataclass(frozen=True)
class Scan:
    """`columns`: the model's inputs, nullable where a value is missing. `levels`: of each text column."""

    rows: int
    columns: tuple[Column, ...]
    levels: Mapping[str, int]


def scan(path: Path) -> Scan:
    """Read the number of rows and the types from the file's metadata, missing values and levels in pieces.

    The statistics in the metadata would not do: they do not count a NaN as missing, and know no levels.

    Raises:
        DataError: the file cannot be read, or a column is of a type that no model takes.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            empty = file.schema_arrow.empty_table().to_pandas()
            found = [_scan_column(file, column) for column in columns_of(empty, without=KEYS)]
            return Scan(
                file.metadata.num_rows,
                tuple(column for column, _ in found),
                {column.name: levels for column, levels in found if column.kind == "category"},
            )
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise _unreadable(path, error) from error


def read_column(path: Path, name: str) -> Any:
    """Read one column alone, as a pandas Series.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=[name]).to_pandas()[name]
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read ({error}). Make it again with `mlops run`.")


def _scan_column(file: Any, column: Column) -> tuple[Column, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    levels: set[str] = set()
    missing = False
    for batch in file.iter_batches(batch_size=_ROWS, columns=[column.name]):
        values = batch.column(0)
        missing = missing or bool(pc.any(pc.is_null(values, nan_is_null=True)).as_py())
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            levels.update(pc.unique(values).to_pylist())
    return replace(column, nullable=missing), len(levels - {None})
