"""Two tables in files, compared as monitoring compares: one window, nothing typical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift.column import ColumnDrift
from runtime_lib.monitoring.drift.decide import drift
from runtime_lib.monitoring.drift.reference import Reference
from runtime_lib.monitoring.drift.together import Together
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.number import NumberFold
from runtime_lib.profiles.table import ColumnProfile, TableProfile, kinds_in, profile_parquet, profile_table
from runtime_lib.profiles.values import Kind, kind_of
from runtime_lib.settings import Monitoring
from runtime_lib.tables import csv_blocks

__all__ = ["TableDrift", "compare_files"]


@dataclass(frozen=True)
class TableDrift:
    """What two tables differ in.

    Attributes:
        rows: of the reference and of the current table.
        columns: those that both have, the drifted ones first.
        missing, new: columns that only the reference has, or only the current table.
        skipped: columns that hold neither numbers nor names → their type.
        together: what `tell_apart` found; None: it was not asked.
    """

    rows: tuple[int, int]
    rules: Monitoring = field(repr=False)
    columns: tuple[ColumnDrift, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    together: Together | None = None

    @property
    def kinds(self) -> dict[str, Kind]:
        """Of the columns that both have."""
        return {column.name: column.kind for column in self.columns}

    @property
    def drifted(self) -> bool:
        """A column that both have has drifted, or one is gone, or a classifier tells the tables apart."""
        apart = self.together is not None and self.together.drifted
        return apart or bool(self.missing) or any(column.drifted for column in self.columns)

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
            "together": self.together and self.together.to_dict(),
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
        "jensen_shannon": column.jensen_shannon,
        "effects": {each.name: each.value for each in column.evidence},
        "nulls": vars(column.nulls),
        "unseen": column.unseen and vars(column.unseen),
        "drift": column.drifted,
        "reasons": list(column.reasons),
    }


def compare_files(reference: Path, current: Path, rules: Monitoring | None = None) -> TableDrift:
    """Compare two `.parquet` or `.csv` files in constant memory.

    Args:
        rules: when a change counts; default: those of a project that sets none.

    Raises:
        DataError: a file cannot be read, they have no column in common, or one is of another kind in each.
    """
    rules = rules or Monitoring()
    before, after = _File(reference), _File(current)
    kinds = after.kinds()
    whole = before.profile()
    both = {name: _like(column, kinds[name]) for name, column in whole.columns.items() if name in kinds}
    if not both:
        raise DataError(
            f"{reference} and {current} have no column in common: {', '.join(whole.columns) or 'none'}; "
            f"{', '.join(kinds) or 'none'}."
        )
    like = Reference(TableProfile(both))
    for name, kind in like.profile.kinds.items():
        if kinds[name] not in (kind, "nothing"):
            raise DataError(
                f"'{name}' holds {_PLURAL[kind]} in {reference} and {_PLURAL[kinds[name]]} in {current}. "
                f"Give it one type in both."
            )
    now = after.profile(like.profile)
    return TableDrift(
        (whole.rows, now.rows),
        rules,
        tuple(drift(like, [now], _asking(rules, whole.rows, now.rows))),
        tuple(name for name in whole.columns if name not in kinds),
        tuple(name for name in kinds if name not in whole.columns and name not in whole.skipped),
        whole.skipped,
    )


def _asking(rules: Monitoring, before: int, now: int) -> Monitoring:
    """The rules; where the reference has too few rows, such as no window reaches: nothing is told from it."""
    if before >= rules.min_rows:
        return rules
    return structs.replace(rules, min_rows=max(rules.min_rows, now + 1))


_CsvHolds = Literal["number", "category", "nothing"]
_Holds = _CsvHolds | None
_PLURAL: Mapping[_Holds, str] = {
    "number": "numbers",
    "category": "names",
    "nothing": "nothing",
    None: "values of another type",
}


def _like(column: ColumnProfile, kind: _Holds) -> ColumnProfile:
    """The column, as one of the other kind where it holds nothing: then its type says nothing either."""
    if column.present or kind not in ("number", "category"):
        return column
    if kind == "number":
        return replace(NumberFold().profile(), nulls=column.nulls)
    return CategoryProfile({}, nulls=column.nulls)


def _empty_in(path: Path) -> list[str]:
    """Columns of a Parquet file that are written as holding nothing at all."""
    import pyarrow.parquet as pq
    import pyarrow.types as types

    return [one.name for one in pq.read_schema(path) if types.is_null(one.type)]


class _File:
    """A file; one of CSV is read once for what its columns hold, and again to be counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._csv = path.suffix != ".parquet"
        self._of_csv = _kinds_in_csv(path) if self._csv else {}

    def kinds(self) -> dict[str, _Holds]:
        """What its columns hold; None: neither numbers nor names."""
        if self._csv:
            return {**self._of_csv}
        return {**kinds_in(self._path), **dict.fromkeys(_empty_in(self._path), "nothing")}

    def profile(self, like: TableProfile | None = None) -> TableProfile:
        """What the columns hold; what holds nothing as names that are all missing."""
        if self._csv:
            kinds: dict[str, Kind] = {
                name: "number" if kind == "number" else "category" for name, kind in self._of_csv.items()
            }
            return profile_table(csv_blocks(self._path), like=like, kinds=kinds)
        found = profile_parquet(self._path, like=like)
        if like:
            return found
        nothing = dict.fromkeys(_empty_in(self._path), CategoryProfile({}, nulls=found.rows))
        skipped = {name: kind for name, kind in found.skipped.items() if name not in nothing}
        return TableProfile({**found.columns, **nothing}, skipped)


def _kinds_in_csv(path: Path) -> dict[str, _CsvHolds]:
    """What the columns hold over all blocks: numbers in one and names in another are names.

    Raises:
        DataError: the file cannot be read, or has no rows.
    """
    found: dict[str, _CsvHolds] = {}
    rows = 0
    for block in csv_blocks(path):
        rows += len(block)
        for name, values in block.items():
            here = "nothing" if values.isna().all() else kind_of(values) or "category"
            kinds = {found.get(str(name), "nothing"), here} - {"nothing"}
            found[str(name)] = "category" if len(kinds) == 2 else kinds.pop() if kinds else "nothing"
    if not rows:
        raise DataError(f"{path} has no rows.")
    return found
