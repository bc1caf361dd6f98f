"""The profile of a table: of each column what it holds, folded in one pass and constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.profiles.category import CategoryFold, CategoryProfile
from runtime_lib.profiles.number import NumberFold, NumberProfile
from runtime_lib.profiles.values import Kind, count_names, kind_of, numbers

__all__ = ["ColumnProfile", "TableFold", "TableProfile", "kinds_in", "profile_parquet", "profile_table"]

ColumnProfile = NumberProfile | CategoryProfile

# Of a column at a time: rows, and bytes of the file, however large its row groups are.
_ROWS, _BUFFER = 1 << 16, 1 << 16


@dataclass(frozen=True)
class TableProfile:
    """Column name → its profile; `skipped`: columns that hold neither numbers nor names, and of what type."""

    columns: Mapping[str, ColumnProfile]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return next((column.rows for column in self.columns.values()), 0)

    @property
    def kinds(self) -> dict[str, Kind]:
        return {name: kind(column) for name, column in self.columns.items()}

    def merge(self, other: TableProfile) -> TableProfile:
        """Of both tables together: the same as one pass over all rows.

        Raises:
            DataError: they have other columns, or were counted in different bins.
        """
        if self.kinds != other.kinds:
            raise DataError(
                f"Two profiles have different columns: {', '.join(self.columns)}; {', '.join(other.columns)}."
            )
        merged = {name: self.columns[name].merge(other.columns[name]) for name in self.columns}  # type: ignore[arg-type]
        return TableProfile(merged, {**self.skipped, **other.skipped})


def kind(column: ColumnProfile) -> Kind:
    return "number" if isinstance(column, NumberProfile) else "category"


@dataclass
class ColumnFold:
    """A column as it comes, of the kind that its first values tell, or of the profile that it is `like`."""

    name: str
    like: ColumnProfile | None = None
    kind: Kind | None = None
    _fold: NumberFold | CategoryFold | None = field(default=None, init=False)

    def add(self, values: Any) -> None:
        """Args: a column of numpy, Arrow, pandas or polars, or a list.

        Raises:
            DataError: these are of another kind than those before.
        """
        if self._fold is None:
            self._fold = self._begin(values)
        if isinstance(self._fold, NumberFold):
            self._fold.add(numbers(values, self.name))
        else:
            self._fold.add(*count_names(values))

    def profile(self) -> ColumnProfile:
        """What was added.

        Raises:
            DataError: nothing was, and so nobody knows what it holds.
        """
        return (self._fold or self._begin([])).profile()

    def _begin(self, values: Any) -> NumberFold | CategoryFold:
        wanted = kind(self.like) if self.like else self.kind or kind_of(values)
        if wanted == "number":
            return NumberFold(self.like if isinstance(self.like, NumberProfile) else None)
        return CategoryFold(self.like if isinstance(self.like, CategoryProfile) else None)


class TableFold:
    """A table as it comes, batch by batch."""

    def __init__(self, like: TableProfile | None = None, kinds: Mapping[str, Kind] | None = None) -> None:
        """
        Args:
            like: count as in this profile, to be compared or merged with it; only its columns are looked at.
            kinds: what the columns hold; default: as their types say. Others are not looked at.
        """
        self._like, self._kinds = like, kinds
        self._folds: dict[str, ColumnFold] = {}
        self._skipped: dict[str, str] = {}

    def add(self, batch: Any) -> None:
        """Take in rows.

        Args:
            batch: a table of Arrow, pandas or polars, or column name → values.

        Raises:
            DataError: a column is missing, or holds values of another kind than expected.
        """
        names = self._names(batch)
        for name in names:
            self._folds.setdefault(name, self._fold(name)).add(batch[name])

    def profile(self) -> TableProfile:
        """What was added."""
        return TableProfile({name: fold.profile() for name, fold in self._folds.items()}, self._skipped)

    def _names(self, batch: Any) -> list[str]:
        # Arrow has names, pandas and polars columns; a mapping is its keys.
        there = list(getattr(batch, "column_names", getattr(batch, "columns", batch)))
        wanted = self._like.columns if self._like else self._kinds or self._folds or None
        if wanted is None:
            return [name for name in there if self._holds_something(name, batch[name])]
        if missing := [name for name in wanted if name not in there]:
            raise DataError(f"The rows lack the column '{missing[0]}'; they have {', '.join(there)}.")
        return list(wanted)

    def _holds_something(self, name: str, values: Any) -> bool:
        if kind_of(values) is None:
            self._skipped[name] = str(getattr(values, "type", None) or getattr(values, "dtype", "object"))
        return name not in self._skipped

    def _fold(self, name: str) -> ColumnFold:
        like = self._like.columns[name] if self._like else None
        return ColumnFold(name, like, (self._kinds or {}).get(name))


def profile_table(
    batches: Iterable[Any], *, like: TableProfile | None = None, kinds: Mapping[str, Kind] | None = None
) -> TableProfile:
    """Fold batches, see `TableFold`; a single table is `[table]`."""
    fold = TableFold(like, kinds)
    for batch in batches:
        fold.add(batch)
    return fold.profile()


def kinds_in(path: Path) -> dict[str, Kind | None]:
    """What the columns of a Parquet file hold; None: neither numbers nor names.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    import pyarrow as pa

    return {one.name: kind_of(pa.nulls(0, one.type)) for one in _schema(path)}


def profile_parquet(path: Path, *, like: TableProfile | None = None) -> TableProfile:
    """Fold a Parquet file column by column, in constant memory.

    Args:
        like: see `TableFold`.

    Raises:
        DataError: the file cannot be read, has no rows, or lacks a column of `like`.
    """
    import pyarrow as pa

    schema, kinds = _schema(path), kinds_in(path)
    names = list(like.columns) if like else [name for name, holds in kinds.items() if holds]
    if missing := [name for name in names if name not in kinds]:
        raise DataError(f"{path} lacks the column '{missing[0]}'; it has {', '.join(kinds)}.")
    columns = {}
    try:
        for name in names:
            fold = ColumnFold(name, like.columns[name] if like else None, kinds[name])
            columns[name] = _profile_column(path, fold)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}.") from error
    found = TableProfile(
        columns, {} if like else {one.name: str(one.type) for one in schema if not kinds[one.name]}
    )
    if not found.rows:
        raise DataError(f"{path} has no rows.")
    return found


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}.") from error


def _profile_column(path: Path, fold: ColumnFold) -> ColumnProfile:
    import pyarrow.parquet as pq

    names = [fold.name] if fold.kind == "category" else []
    with pq.ParquetFile(path, read_dictionary=names, pre_buffer=False, buffer_size=_BUFFER) as file:
        for batch in file.iter_batches(_ROWS, columns=[fold.name], use_threads=False):
            fold.add(batch.column(0))
    return fold.profile()
