"""The windows that drift is judged by: the newest days, or equal parts of a log that is younger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce

from runtime_lib.monitoring.daily import Day, Source
from runtime_lib.profiles.table import TableProfile

__all__ = ["windows"]


def windows(source: Source, days: Sequence[Day]) -> list[TableProfile]:
    """The newest `monitoring.windows` windows, oldest first; before them, as one, what else was answered.

    A window is `window_days` days, or as many as bring `min_rows`. Where the days make fewer windows, their
    rows are cut into equal parts in the order that the log has them, as many as have `min_rows`.
    """
    rules = source.settings.monitoring
    found, rest = _of_days(days, rules.windows, rules.window_days, rules.min_rows)
    kept = [day for day in days if day.is_kept]
    parts = min(rules.windows, _rows(kept) // rules.min_rows)
    if len(found) < parts:
        return _of_rows(source, kept, parts) or [_merged(days)]
    if rest:
        older = _merged(rest)
        found = [older, *found] if found else [older]
    return found


def _of_days(
    days: Sequence[Day], most: int, length: int, least: int
) -> tuple[list[TableProfile], Sequence[Day]]:
    """Windows from the newest day back, and the days before them."""
    found: list[TableProfile] = []
    end = len(days)
    while end and len(found) < most:
        start = end - 1
        while start and (_span(days[start:end]) < length or _rows(days[start:end]) < least):
            start -= 1
        if _rows(days[start:end]) < least:
            break
        found.insert(0, _merged(days[start:end]))
        end = start
    return found, days[:end]


def _rows(days: Sequence[Day]) -> int:
    return sum(day.rows for day in days)


def _span(days: Sequence[Day]) -> int:
    return (days[-1].first.date() - days[0].first.date()).days + 1


def _merged(days: Sequence[Day]) -> TableProfile:
    return reduce(TableProfile.merge, (day.profile for day in days))


def _of_rows(source: Source, days: Sequence[Day], parts: int) -> list[TableProfile]:
    total = _rows(days)
    folds = [source.reference.fold() for _ in range(parts)]
    done = 0
    for day in days:
        begin = day.first.replace(hour=0, minute=0, second=0, microsecond=0)
        since = max(begin, source.since) if source.since else begin
        for batch in source.rows(since, begin + timedelta(days=1)):
            start = 0
            while start < batch.num_rows:
                part = min(done * parts // total, parts - 1)
                # Rows that came since the days were counted belong to the last part.
                end = -(-total * (part + 1) // parts) if part < parts - 1 else done + batch.num_rows
                taken = batch.slice(start, max(1, end - done))
                folds[part].add(source.columns(taken))
                start += taken.num_rows
                done += taken.num_rows
    # Rows may have gone since the days were counted.
    return [profile for fold in folds if (profile := fold.profile()).rows]
