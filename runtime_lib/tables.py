"""Reading a table from a Parquet or CSV file: the one way in for what others bring."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_table"]

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

    fix = f" {fix}" if fix else ""
    if path.suffix not in (".parquet", ".csv"):
        kind = f"'{path.suffix}' files" if path.suffix else "a file without a suffix"
        raise DataError(f"{path}: cannot read {kind}. Bring a .parquet or a .csv file.")
    if not path.is_file():
        raise DataError(f"There is no file {path}.{fix}")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {error}.{fix}") from error


def _read_csv(path: Path, text: Collection[str]) -> pd.DataFrame:
    import pandas as pd

    header = pd.read_csv(path, nrows=0).columns
    missing = {name: [""] if name in text else list(_MISSING) for name in header}
    return pd.read_csv(path, dtype=dict.fromkeys(text, "str"), na_values=missing, keep_default_na=False)
