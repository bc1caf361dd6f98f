"""Ids and dates that are taken for inputs: each row, or each day, has a value that no later row has."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.suspect import Suspect

__all__ = ["MANY_LEVELS", "counting", "key_levels"]

# As many as a model's profile keeps (`profiles.category.MOST_VALUES`): monitoring cannot watch more.
MANY_LEVELS = 1_000
_ROWS_PER_LEVEL = 2
_FEW_LEVELS = 20
_MOSTLY = 0.95
_KEY_NAME = re.compile(r"(^|[_\W])(id|uid|uuid|guid)$", re.IGNORECASE)
_DAY = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|(19|20)\d\d[01]\d[0-3]\d)"
    r"([T ,]+\d{1,2}:\d\d(:\d\d([.,]\d+)?)?\s*(Z|[AaPp][Mm]|[+-]\d\d:?\d\d)?)?\s*"
)


def key_levels(levels: Mapping[str, Collection[str]], rows: Mapping[str, int]) -> list[Suspect]:
    """Find the text columns that are dates or ids.

    A date: 95 % of its levels name a day. An id: fewer than two rows a level on average, or more than 1,000
    levels and a name that says so. A model that is given one learns rows by heart; every later row has a
    level that it never saw. (Kaufman et al. 2012, "Leakage in data mining", ACM TKDD 6(4):15, on ids that
    know the label.)

    Args:
        levels: of each text column, without the missing.
        rows: of each, those with a value.
    """
    found = []
    for column, values in levels.items():
        if len(values) < _FEW_LEVELS:
            continue
        if sum(bool(_DAY.fullmatch(value)) for value in values) >= _MOSTLY * len(values):
            found.append(_date(column, values))
        elif _is_key(column, len(values), rows[column]):
            found.append(_identifier(column, len(values), rows[column]))
    return found


def counting(column: str, values: Array) -> Suspect | None:
    """A number column that numbers the rows: whole, never twice the same, and hardly a number left out.

    `values`: `float64` `(n,)`, NaN for missing. Amounts in cents are as distinct in a small table, but lie
    far apart: the range of row numbers is less than ten times their count.
    """
    present = values[~np.isnan(values)]
    if len(present) < _FEW_LEVELS**2 or (present != np.floor(present)).any():
        return None
    if np.ptp(present) > 10 * len(present) or len(np.unique(present)) < len(present):
        return None
    why = f"{len(present):,} rows hold as many whole numbers, none twice: it numbers the rows, as an id does"
    return Suspect(column, "identifier", float(len(present)), why)


def _is_key(column: str, levels: int, rows: int) -> bool:
    return rows < _ROWS_PER_LEVEL * levels or (levels > MANY_LEVELS and bool(_KEY_NAME.search(column)))


def _date(column: str, values: Collection[str]) -> Suspect:
    why = (
        f"{len(values):,} levels such as {min(values)!r}: a date taken for a category, one input of the "
        f"model for each. Turn it into numbers in features(): weekday, hour, days before `time`"
    )
    return Suspect(column, "date", float(len(values)), why)


def _identifier(column: str, levels: int, rows: int) -> Suspect:
    why = f"{levels:,} levels in {rows:,} rows: an id taken for a category, one input of the model for each"
    return Suspect(column, "identifier", float(levels), why)
