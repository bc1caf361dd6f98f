"""What a table of features holds, found without loading it: rows, columns, and how many levels each has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtime_lib.data.columns import Column, Kind, columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.images import pixels
from runtime_lib.errors import DataError

__all__ = ["Scan", "read_column", "scan"]

# Of one column, in memory at a time.
_ROWS, _IMAGES = 65_536, 1_024


@dataclass(frozen=True)
class Scan:
    """`columns`: the model's inputs, nullable where a value is missing. `levels`: of each category.

    An image column has the shape of its first image, and 1 as its largest pixel if none is larger.
    """

    rows: int
    columns: tuple[Column, ...]
    levels: Mapping[str, int]


def scan(path: Path, declared: Mapping[str, Kind] | None = None) -> Scan:
    """Read the number of rows and the types from the file's metadata, missing values and levels in pieces.

    The statistics in the metadata would not do: they do not count a NaN as missing, and know no levels.

    Args:
        declared: columns of text and images, see `read_inputs`.

    Raises:
        DataError: the file cannot be read, a column is of a type that no model takes, or a declared one is
            not there or not of its kind.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            empty = file.schema_arrow.empty_table().to_pandas()
            columns = columns_of(empty, without=KEYS, declared=declared)
            found = [(_scan_images if c.is_image else _scan_column)(file, c) for c in columns]
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
        if (
            column.kind == "category"
            and pa.types.is_nested(values.type)
            and not pa.types.is_dictionary(values.type)
        ):
            raise DataError(
                f"Column '{column.name}' holds lists. If they are images, declare it in params.yaml: "
                f"`inputs: {{image: [{column.name}]}}`."
            )
        if column.kind != "category":
            continue
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            levels.update(pc.unique(values).to_pylist())
    return replace(column, nullable=missing), len(levels - {None})


def _scan_images(file: Any, column: Column) -> tuple[Column, int]:
    import pyarrow.compute as pc

    shape: tuple[int, ...] = ()
    missing, largest = False, 0.0
    for values in _batches(file, column.name, _IMAGES):
        missing = missing or values.null_count > 0
        if not shape and len(present := values.drop_null()):
            shape = _first(present[0].as_py(), column.name)
        values = values.field("pixels") if _has_shape(values.type) else values
        while _is_list(values.type):
            values = values.flatten()
        largest = max(largest, pc.max(values).as_py() or 0.0)
    if not shape:
        raise DataError(f"Column '{column.name}' has no image in {file.metadata.num_rows:,} rows.")
    return replace(column, nullable=missing, shape=shape, largest=1 if largest <= 1 else 255), 0


def _batches(file: Any, name: str, size: int) -> Iterator[Any]:
    for batch in file.iter_batches(batch_size=size, columns=[name]):
        values = batch.column(0)
        if not (_is_list(values.type) or _has_shape(values.type)):
            raise DataError(
                f"Column '{name}' is declared as an image and holds {values.type} in the features' file. "
                f"Make it again: `mlops run --stage featurize --force`."
            )
        yield values


def _first(image: Any, name: str) -> tuple[int, ...]:
    try:
        found: tuple[int, ...] = pixels(image).shape
    except ValueError as error:
        raise DataError(f"Column '{name}', its first image: {error}.") from error
    return found


def _has_shape(kind: Any) -> bool:
    """Whether it is what `images.storable` writes."""
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and {"shape", "pixels"} <= {field.name for field in kind}


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
