"""The rules of whole raw months: how new the newest row is, and how many rows came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import Any, ClassVar

from runtime_lib.data import calendar
from runtime_lib.data.quality.batch import column, mistyped
from runtime_lib.data.quality.rule import MonthRule, is_number
from runtime_lib.errors import SettingsError

__all__ = ["Freshness", "Month", "Volume"]

# Fewer earlier months have no median worth the name.
_LEAST_MONTHS = 3


@dataclass(frozen=True)
class Month:
    """A raw month: its rows as a batch, when it was read, and how many rows each month before it has."""

    name: str
    batch: Any
    read: datetime
    earlier: tuple[int, ...] = ()


@dataclass(frozen=True)
class Freshness(MonthRule):
    """The newest row is at most so old when the month is over, or when it was read if that was before.

    So a month that is over is judged alike whenever that happens. Times without a zone are those of UTC.
    """

    kind: ClassVar[str] = "freshness"

    column: str
    hours: float = field(default=0, kw_only=True)
    days: float = field(default=0, kw_only=True)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self) -> None:
        for option in ("hours", "days"):
            value = getattr(self, option)
            if not is_number(value) or not 0 <= value <= 100_000:
                raise self.wrong(option, "write how old the newest row may be, a number from 0 to 100,000")
        if not self.hours + self.days:
            raise SettingsError(f"Quality rule '{self.name}' has no limit: give hours or days.")

    def broken(self, month: Month) -> str:
        import pyarrow as pa
        import pyarrow.compute as pc

        values, kind = column(month.batch, self.column, self), pa.types
        if not any(is_kind(values.type) for is_kind in (kind.is_timestamp, kind.is_date, kind.is_null)):
            raise mistyped(values, self.column, self, "times")
        newest = _moment(pc.max(values).as_py())
        if newest is None:
            return f"no row has a time in '{self.column}'"
        due = min(month.read, _end(month.name) or month.read)
        limit = timedelta(hours=self.hours, days=self.days)
        if due - newest <= limit:
            return ""
        return (
            f"the newest row is of {newest:%Y-%m-%d %H:%M}, {_hours(due - newest)} before "
            f"{due:%Y-%m-%d %H:%M}; at most {_hours(limit)} are allowed"
        )


@dataclass(frozen=True)
class Volume(MonthRule):
    """How many rows a month has: from `least` to `most`, or as shares of the median of the months before it.

    Attributes:
        least, most: rows.
        least_share, most_share: of the median number of rows; not judged before the fourth month.
    """

    kind: ClassVar[str] = "volume"

    least: int | None = field(default=None, kw_only=True)
    most: int | None = field(default=None, kw_only=True)
    least_share: float | None = field(default=None, kw_only=True)
    most_share: float | None = field(default=None, kw_only=True)

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def check(self) -> None:
        options = ("least", "most", "least_share", "most_share")
        if all(getattr(self, option) is None for option in options):
            raise SettingsError(f"Quality rule '{self.name}' has no bound: give one of {', '.join(options)}.")
        for option in options:
            value = getattr(self, option)
            if value is not None and (not is_number(value) or value < 0):
                raise self.wrong(option, "write a number of 0 or more")
        for low, high in (("least", "most"), ("least_share", "most_share")):
            lower, upper = getattr(self, low), getattr(self, high)
            if None not in (lower, upper) and lower > upper:
                raise self.wrong(low, f"it is above {high} = {upper!r}, so every month would break the rule")

    def broken(self, month: Month) -> str:
        rows = len(month.batch)
        if self.least is not None and rows < self.least:
            return f"{rows:,} rows, fewer than {self.least:,}"
        if self.most is not None and rows > self.most:
            return f"{rows:,} rows, more than {self.most:,}"
        if len(month.earlier) < _LEAST_MONTHS:
            return ""
        middle = median(month.earlier)
        against = f"the median of the {len(month.earlier)} months before it, {middle:,.0f}"
        if self.least_share is not None and rows < self.least_share * middle:
            return f"{rows:,} rows, fewer than {self.least_share:g} times {against}"
        if self.most_share is not None and rows > self.most_share * middle:
            return f"{rows:,} rows, more than {self.most_share:g} times {against}"
        return ""


def _moment(value: Any) -> datetime | None:
    """A time of Arrow as one of UTC; a day begins at midnight."""
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    found: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return found


def _end(month: str) -> datetime | None:
    """When a month is over; None: the file has another name than a month's."""
    try:
        return datetime.combine(calendar.complete_on(month, 0), time(), UTC)
    except SettingsError:
        return None


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):,.1f} hours"
