"""Reading a table from a Parquet or CSV file: the one way in for what others bring."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_blocks", "read_table"]

# What a CSV file writes for a number that is missing. Among texts it may be a code like any other.
_MISSING = ("", "NA", "NaN", "nan", "null", "None")


def read_table(path: Path, *, text: Collection[str] = (), fix: str = "") -> pd.DataFrame:
    """Read a `.parquet` or `.csv` file.

    Args:
        text: columns of a CSV file that hold text: `007` stays `007`, `NA` stays `NA`, only an empty field
            is missing. Names that the file lacks are ignored.
        fix: what to do where the file cannot be read, for the message.

    Raises:
        DataError: there is no such file, it is of another kind, or it is damaged.
    """
    import pandas as pd

    with _reading(path, fix):
        return pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, text)


def csv_blocks(path: Path) -> Iterator[pd.DataFrame]:
    """Read a `.csv` file as `read_table` does, but in blocks of up to a million fields, in constant memory.

    A column may be of another type in each block. Its values are those of the whole table all the same:
    pandas tells types anew each so many rows also where it reads a file at once, and then mixes them.

    Yields:
        At least one block, which is empty where the file has no rows.

    Raises:
        DataError: as `read_table`; an error in a later block when that is read.
    """
    import pandas as pd

    with _reading(path):
        columns = len(pd.read_csv(path, nrows=0).columns)
        with _read_csv(path, (), chunksize=_rows_at_a_time(columns)) as blocks:
            yield from blocks


def _rows_at_a_time(columns: int) -> int:
    """How many rows pandas tells types by (`buffer_lines` of its parser in C)."""
    rows = 1
    while rows * 2 < 2**20 // columns:
        rows *= 2
    return rows


@contextmanager
def _reading(path: Path, fix: str = "") -> Iterator[None]:
    fix = f" {fix}" if fix else ""
    if path.suffix not in (".parquet", ".csv"):
        kind = f"'{path.suffix}' files" if path.suffix else "a file without a suffix"
        raise DataError(f"{path}: cannot read {kind}. Bring a .parquet or a .csv file.")
    if not path.is_file():
        raise DataError(f"There is no file {path}.{fix}")
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {error}.{fix}") from error


def _read_csv(path: Path, text: Collection[str], **options: Any) -> Any:
    """A table, or with `chunksize` a reader of blocks."""
    import pandas as pd

    header = pd.read_csv(path, nrows=0).columns
    missing = {name: [""] if name in text else list(_MISSING) for name in header}
    types = dict.fromkeys(text, "str")
    return pd.read_csv(path, dtype=types, na_values=missing, keep_default_na=False, **options)
