"""Two tables in files, compared as monitoring compares: one window, nothing typical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift.decide import ColumnDrift, drift
from runtime_lib.monitoring.drift.reference import Reference
from runtime_lib.profiles.table import TableProfile, kinds_in, profile_parquet, profile_table
from runtime_lib.profiles.values import kind_of
from runtime_lib.settings import Monitoring
from runtime_lib.tables import read_table

__all__ = ["TableDrift", "compare_files"]


@dataclass(frozen=True)
class TableDrift:
    """What two tables differ in.

    Attributes:
        rows: of the reference and of the current table.
        columns: those that both have, the drifted ones first.
        missing, new: columns that only the reference has, or only the current table.
        skipped: columns that hold neither numbers nor names → their type.
    """

    rows: tuple[int, int]
    rules: Monitoring = field(repr=False)
    columns: tuple[ColumnDrift, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def drifted(self) -> bool:
        """A column that both have has drifted, or one is gone."""
        return bool(self.missing) or any(column.drifted for column in self.columns)

    @property
    def early(self) -> bool:
        """Whether there are too few rows to tell."""
        return min(self.rows) < self.rules.min_rows

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, format 1."""
        return {
            "format": 1,
            "rows": {"reference": self.rows[0], "current": self.rows[1]},
            "drift": self.drifted,
            "early": self.early,
            "columns": [_column(column) for column in self.columns],
            "missing": list(self.missing),
            "new": list(self.new),
            "skipped": dict(self.skipped),
        }


def _column(column: ColumnDrift) -> dict[str, Any]:
    second = next((each for each in column.evidence if each.name == column.second_name), None)
    return {
        "name": column.name,
        "kind": column.kind,
        "statistic": column.second_name,
        "value": column.second,
        "bound": second.bound if second else None,
        "p": column.p,
        "q": column.q,
        "effect": column.effect,
        "effects": {each.name: each.value for each in column.evidence},
        "nulls": vars(column.nulls),
        "unseen": column.unseen and vars(column.unseen),
        "drift": column.drifted,
        "reasons": list(column.reasons),
    }


def compare_files(reference: Path, current: Path, rules: Monitoring | None = None) -> TableDrift:
    """Compare two `.parquet` or `.csv` files; a Parquet file in constant memory.

    Args:
        rules: when a change counts; default: those of a project that sets none.

    Raises:
        DataError: a file cannot be read, they have no column in common, or one is of another kind in each.
    """
    rules = rules or Monitoring()
    before = _profile(reference)
    kinds = _kinds(current)
    both = {name: column for name, column in before.columns.items() if name in kinds}
    if not both:
        raise DataError(
            f"{reference} and {current} have no column in common: {', '.join(before.columns) or 'none'}; "
            f"{', '.join(kinds) or 'none'}."
        )
    for name, kind in before.kinds.items():
        if name in kinds and kinds[name] not in (kind, None):
            raise DataError(
                f"'{name}' holds {_PLURAL[kind]} in {reference} and {_PLURAL[kinds[name]]} in {current}. "
                f"Give it one type in both."
            )
    like = Reference(TableProfile(both))
    now = _profile(current, like.profile)
    return TableDrift(
        (before.rows, now.rows),
        rules,
        tuple(drift(like, [now], rules)),
        tuple(name for name in before.columns if name not in kinds),
        tuple(name for name in kinds if name not in before.columns and name not in before.skipped),
        before.skipped,
    )


_PLURAL: Mapping[str | None, str] = {"number": "numbers", "category": "names", None: "neither"}


def _profile(path: Path, like: TableProfile | None = None) -> TableProfile:
    if path.suffix == ".parquet":
        return profile_parquet(path, like=like)
    table = read_table(path)
    if table.empty:
        raise DataError(f"{path} has no rows.")
    return profile_table([table], like=like)


def _kinds(path: Path) -> dict[str, str | None]:
    if path.suffix == ".parquet":
        return dict(kinds_in(path))
    table = read_table(path)
    # Of a column without a value a CSV file does not tell the type.
    return {str(name): kind_of(table[name]) if table[name].notna().any() else None for name in table}
