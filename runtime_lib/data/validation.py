"""Refuse a broken table before anything is trained on it, naming rows and rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.months import month_files, read_table
from runtime_lib.errors import DataError
from runtime_lib.files import write_json
from runtime_lib.progress import track

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

__all__ = ["validate"]

_SHOWN_ROWS = 5
# pandas has no missing value of these types, and says so of every such column without a word about why.
_WITH_GAPS = {
    "dtype('int": "whole numbers with missing values are float",
    "dtype('bool": 'yes and no with missing values is "boolean", coerce=True',
}


def validate(schema: pa.DataFrameSchema, raw: Path, report: Path) -> None:
    """Check every month in `raw` against a pandera schema and write what was checked to `report`.

    Raises:
        DataError: lists each broken rule with its month, column, count and first rows.
    """
    checked: dict[str, int] = {}
    problems: list[str] = []
    for path in track(month_files(raw), "Validate months"):
        table = read_table(path)
        checked[path.stem] = len(table)
        problems += [f"{path.stem}: {problem}" for problem in _broken_rules(schema, table)]
    if problems:
        raise DataError(f"The data breaks {len(problems)} rule(s):\n  " + "\n  ".join(problems))
    write_json(report, {"format": 1, "rows": checked, "columns": sorted(schema.columns)})


def _broken_rules(schema: pa.DataFrameSchema, table: pd.DataFrame) -> list[str]:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as error:
        groups = error.failure_cases.groupby(["column", "check"], dropna=False, sort=False)
        gaps = {column for column in table if table[column].isna().any()}
        return [_describe(column, check, cases, column in gaps) for (column, check), cases in groups]
    return []


def _describe(column: Any, check: Any, cases: pd.DataFrame, gaps: bool) -> str:
    if check == "column_in_dataframe":
        return f"column '{cases['failure_case'].iloc[0]}', rule {check}: the column is missing"
    rows = [str(int(row)) for row in cases["index"].dropna()[:_SHOWN_ROWS]]
    values = [repr(value) for value in cases["failure_case"][:_SHOWN_ROWS]]
    more = f" and {len(cases) - len(rows):,} more" if len(cases) > len(rows) else ""
    where = f"row {', '.join(rows)}{more}, value" if rows else "the column is"
    hints = [f" ({hint})" for start, hint in _WITH_GAPS.items() if gaps and str(check).startswith(start)]
    return f"column '{column}', rule {check}: {where} {', '.join(values)}{''.join(hints)}"
