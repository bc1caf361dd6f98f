"""Which rows of the log a reader wants, and which of their columns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime_lib.serving.log.ids import buckets, hashes
from runtime_lib.serving.log.shape import Shape

__all__ = ["Wanted", "micros", "wanted"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Wanted:
    """`since` (inclusive) and `until` (exclusive) in µs since 1970; None stands for all.

    Attributes:
        ids: only rows whose id is in one of these buckets.
    """

    since: int | None = None
    until: int | None = None
    version: str | None = None
    role: str | None = None
    columns: frozenset[str] | None = None
    ids: range | None = None

    def day(self, name: str) -> bool:
        """Whether a row of this day, `YYYY-MM-DD`, may be wanted."""
        begin = datetime.fromisoformat(name + "T00:00:00+00:00")
        return (self.until is None or micros(begin) < self.until) and (
            self.since is None or micros(begin + timedelta(days=1)) > self.since
        )

    def of(self, shape: Shape) -> bool:
        return self.version in (None, shape.version) and self.role in (None, shape.role)

    def at(self, time: int) -> bool:
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)

    def read(self, shape: Shape) -> frozenset[str]:
        """The columns of its rows that must be read: `id` always, it tells how many rows there are."""
        if self.columns is None:
            return frozenset(shape.columns)
        timed = self.since is not None or self.until is not None
        return (self.columns & frozenset(shape.columns)) | {"id"} | ({"time"} if timed else set())

    def rows(self, table: Any) -> Any:
        """Those of a table, which has `time` where that matters."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = pa.timestamp("us", tz="UTC")
        if self.since is not None:
            table = table.filter(pc.greater_equal(table["time"], pa.scalar(self.since, kind)))
        if self.until is not None:
            table = table.filter(pc.less(table["time"], pa.scalar(self.until, kind)))
        if self.ids is not None:
            found = buckets(hashes(table["id"].combine_chunks()))
            table = table.filter(pa.array((found >= self.ids.start) & (found < self.ids.stop)))
        return table


def micros(time: datetime) -> int:
    """A time with a time zone in µs since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def wanted(
    *,
    since: datetime | None,
    until: datetime | None,
    version: str | None,
    role: str | None,
    columns: Collection[str] | None,
) -> Wanted:
    """The same, of times with a time zone."""
    return Wanted(
        since=None if since is None else micros(since),
        until=None if until is None else micros(until),
        version=version,
        role=role,
        columns=None if columns is None else frozenset(columns),
    )
