"""The rules of rows. A missing value breaks none of them but `NotMissing`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.quality.batch import as_mask, column, frame, mistyped
from runtime_lib.data.quality.rule import RowRule, is_number
from runtime_lib.errors import DataError, SettingsError

__all__ = ["AllowedValues", "NotMissing", "Pattern", "Range", "Unique"]


@dataclass(frozen=True)
class _OfOneColumn(RowRule):
    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Range(_OfOneColumn):
    """A number from `least` to `most`, both included, in the column's unit; one may be left out."""

    kind: ClassVar[str] = "range"

    least: float | None = field(default=None, kw_only=True)
    most: float | None = field(default=None, kw_only=True)

    def check(self) -> None:
        if self.least is None and self.most is None:
            raise SettingsError(f"Quality rule '{self.name}' has no bound: give least, most or both.")
        for option in ("least", "most"):
            if not (getattr(self, option) is None or is_number(getattr(self, option))):
                raise self.wrong(option, "write a finite number")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise self.wrong("least", f"it is above most = {self.most!r}, so every row would break the rule")

    def bad(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        values, kind = column(batch, self.column, self), pa.types
        if not any(
            is_kind(values.type)
            for is_kind in (kind.is_integer, kind.is_floating, kind.is_decimal, kind.is_null)
        ):
            raise mistyped(values, self.column, self, "numbers")
        values = pc.cast(values, pa.float64(), safe=False)
        found = np.zeros(len(values), dtype=bool)
        if self.least is not None:
            found |= as_mask(pc.less(values, float(self.least)))
        if self.most is not None:
            found |= as_mask(pc.greater(values, float(self.most)))
        return found


@dataclass(frozen=True)
class AllowedValues(_OfOneColumn):
    """One of some values: texts, numbers, or true and false."""

    kind: ClassVar[str] = "set"

    values: Sequence[Any]

    def check(self) -> None:
        if isinstance(self.values, str) or not isinstance(self.values, (Sequence, set, frozenset)):
            raise self.wrong("values", "write a list of the values that are allowed")
        if not self.values:
            raise self.wrong("values", "write at least one value that is allowed")
        kinds = {_kind(value) for value in self.values}
        if len(kinds) > 1 or "" in kinds:
            raise self.wrong(
                "values", "write values of one kind, all text or all numbers; missing is the rule NotMissing"
            )
        ordered = sorted(self.values) if isinstance(self.values, (set, frozenset)) else self.values
        object.__setattr__(self, "values", tuple(ordered))

    def bad(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = column(batch, self.column, self)
        if pa.types.is_null(values.type):
            return np.zeros(len(values), dtype=bool)
        allowed = pa.array(list(self.values))
        # Arrow would read the text "7" as the number 7, and write the number as text.
        if _is_text(allowed.type) != _is_text(values.type):
            raise mistyped(values, self.column, self, "text" if _is_text(allowed.type) else "numbers")
        try:
            allowed = allowed.cast(values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise mistyped(values, self.column, self, f"values as {self.values[0]!r}") from error
        return ~as_mask(pc.is_in(values, value_set=allowed)) & ~_missing(values)


@dataclass(frozen=True)
class Pattern(_OfOneColumn):
    """A text that a regular expression matches as a whole, in the syntax of RE2 (no look-around)."""

    kind: ClassVar[str] = "pattern"

    pattern: str

    def check(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise self.wrong("pattern", f"it is no regular expression ({error})") from error

    def bad(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = column(batch, self.column, self)
        if not _is_text(values.type) and not pa.types.is_null(values.type):
            raise mistyped(values, self.column, self, "text")
        try:
            found = pc.match_substring_regex(values.cast(pa.large_string()), rf"\A(?:{self.pattern})\z")
        except pa.ArrowInvalid as error:
            raise self.wrong("pattern", f"RE2 does not read it ({error})") from error
        return ~as_mask(found) & ~_missing(values)


@dataclass(frozen=True)
class NotMissing(_OfOneColumn):
    """A value is there: no null, no NaN. For a largest share of missing values, set `max_bad`."""

    kind: ClassVar[str] = "missing"

    def bad(self, batch: Any) -> Any:
        return _missing(column(batch, self.column, self))


@dataclass(frozen=True)
class Unique(RowRule):
    """No two rows of a month have the same values in all these columns; of those that do, the first is good.

    Exact: the values themselves are compared, in a hash table as large as these columns of one month.
    Rows that lack one of the values are not compared, nor are months with each other.
    """

    kind: ClassVar[str] = "unique"
    places: ClassVar[tuple[str, ...]] = ("raw",)

    key: str | Sequence[str]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    def check(self) -> None:
        if not self.columns:
            raise self.wrong("key", "name a column, or a list of columns")
        object.__setattr__(self, "key", self.columns)

    def bad(self, batch: Any) -> Any:
        found = frame(batch, self.columns, self)
        try:
            again = found.duplicated()
        except TypeError as error:
            raise DataError(f"Quality rule '{self.name}': its columns hold lists ({error}).") from error
        return (again & found.notna().all(axis="columns")).to_numpy(dtype=bool)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number" if is_number(value) else ""


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _missing(values: Any) -> Any:
    import pyarrow.compute as pc

    return as_mask(pc.is_null(values, nan_is_null=True))
