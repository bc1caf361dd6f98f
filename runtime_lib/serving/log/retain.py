"""Days of the log that are deleted because they are old enough."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.locks import one_at_a_time, removing
from runtime_lib.serving.log.days import days

__all__ = ["delete_before"]


def delete_before(folder: Path, keep_days: int, *, now: datetime | None = None) -> tuple[str, ...]:
    """Delete the folders of days that ended more than `keep_days` days ago; never today's.

    While another process reads or compacts the log nothing is deleted: the next call does it.

    Args:
        folder: as given to `PredictionLog`; may not exist yet.
        keep_days: 0: for ever.
        now: with a time zone. Default: the clock.

    Returns:
        The days that were deleted, as `YYYY-MM-DD`.

    Raises:
        ServiceError: a folder cannot be deleted.
    """
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    if keep_days <= 0 or not folder.is_dir():
        return ()
    ages = {day: (today - date.fromisoformat(day.name)).days for day in days(folder)}
    old = [day for day, age in ages.items() if age > keep_days and not day.is_symlink()]
    if not old:
        return ()
    try:
        with one_at_a_time(folder) as alone, removing(folder) as unread:
            if not (alone and unread):
                return ()
            for day in old:
                shutil.rmtree(day)
    except OSError as error:
        raise ServiceError(
            f"Days in {folder} that are older than the {keep_days:,} of `keep_days` cannot be deleted "
            f"({error}). Make the folder writable, or delete them yourself."
        ) from error
    return tuple(day.name for day in old)
