"""Months as `YYYY-MM`, the day it is, and from which day on a month is complete. Days are those of UTC."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta

from runtime_lib import settings as settings_file
from runtime_lib.errors import SettingsError

__all__ = ["LATEST", "complete_on", "months", "newest_complete", "now"]

# What `data.last` may be in the place of a month: the newest complete one.
LATEST = "latest"
# A day to take for today, as YYYY-MM-DD: to see what a run would do then.
_TODAY = "MLOPS_TODAY"


def months(first: str, last: str) -> list[str]:
    """List the months from `first` to `last`, both included, as `YYYY-MM`.

    `last` may be `latest`, the newest month that is complete today by `data.labels_after` of the project.
    """
    if last == LATEST:
        last = newest_complete(now().date(), settings_file.load().data.labels_after)
    start, end = _number("first", first), _number("last", last)
    if end < start:
        raise SettingsError(f"data.last = {last} in params.yaml lies before data.first = {first}.")
    return [_name(number) for number in range(start, end + 1)]


def now() -> datetime:
    """This moment, on the day that `MLOPS_TODAY` names if it is set."""
    moment = datetime.now(UTC)
    if not (day := os.environ.get(_TODAY)):
        return moment
    try:
        return datetime.combine(date.fromisoformat(day), moment.timetz())
    except ValueError as error:
        raise SettingsError(f"{_TODAY} = {day!r} is not a day; write it as YYYY-MM-DD.") from error


def complete_on(month: str, labels_after: int) -> date:
    """The first day on which a month is over and its labels are complete, `labels_after` days later."""
    year, number = divmod(_number("last", month) + 1, 12)
    return date(year, number + 1, 1) + timedelta(days=labels_after)


def newest_complete(today: date, labels_after: int) -> str:
    """The newest month whose labels are complete `today`."""
    day = today - timedelta(days=labels_after)
    return _name(day.year * 12 + day.month - 2)


def _number(name: str, month: object) -> int:
    """Months since the year 0; `name` is the parameter's, for the message."""
    if not (match := re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", str(month))):
        also = ", or latest" if name == "last" else ""
        raise SettingsError(
            f"data.{name} = {month!r} in params.yaml is not a month; write it as YYYY-MM{also}."
        )
    return int(match[1]) * 12 + int(match[2]) - 1


def _name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
