"""What keeps years of predictions and labels cheap to read: `mlops monitor` does it before it judges."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_lib.errors import ServiceError
from runtime_lib.monitoring.arrivals import merge_arrivals
from runtime_lib.serving.log import compact, delete_before
from runtime_lib.settings import Settings

__all__ = ["tidy"]


def tidy(settings: Settings) -> Iterator[str]:
    """Delete days of the log that are older than `keep_days`, compact the past ones, merge small label files.

    Yields:
        A sentence for each thing that was done, and a warning for each that could not be: neither a full
        disk nor another process that does the same keeps anyone from monitoring.
    """
    try:
        if gone := delete_before(settings.predictions, settings.monitoring.keep_days):
            span = gone[0] if len(gone) == 1 else f"{len(gone):,} days, {gone[0]} to {gone[-1]}"
            yield (
                f"deleted the predictions of {span}: older than {settings.monitoring.keep_days:,} days "
                f"(keep_days)."
            )
        done = compact(settings.predictions)
        if done.days:
            span = done.days[0] if len(done.days) == 1 else f"{len(done.days):,} days to {done.days[-1]}"
            yield f"compacted the predictions of {span}: {_rows(done.rows, done.repeated)}."
        merge_arrivals(settings.labels)
    except ServiceError as error:
        yield f"warning: {error}"


def _rows(count: int, repeated: int) -> str:
    rows = "1 row" if count == 1 else f"{count:,} rows"
    return f"{rows}; {repeated:,} answers had been given anew" if repeated else rows
