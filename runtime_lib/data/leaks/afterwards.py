"""Columns that are filled only once the outcome is known: in service they will be empty."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.signal import least
from runtime_lib.data.leaks.suspect import Suspect

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Filled", "passed_on"]

_TENTH = 0.1


class Filled:
    """Counts, month by month, how many rows with and without an outcome have a value in each column."""

    def __init__(self) -> None:
        self._known: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._rows = {True: 0, False: 0}

    def add(self, inputs: pd.DataFrame, known: Array) -> None:
        """Count the rows of `inputs`; `known` `(n,)`: whether the row's outcome is."""
        filled = inputs.notna()
        self._known.update(filled[known].sum().to_dict())
        self._open.update(filled[~known].sum().to_dict())
        self._rows[True] += int(known.sum())
        self._rows[False] += int((~known).sum())

    def suspects(self) -> list[Suspect]:
        """Columns filled less than a tenth as often where the outcome is open, with 95 % confidence.

        So 25 open rows without a single value are too few to tell, 30 are enough for a column that is always
        filled otherwise.
        """
        known, still_open = self._rows[True], self._rows[False]
        found = []
        for column, filled in self._known.items():
            share, later = filled / max(known, 1), self._open[column] / max(still_open, 1)
            if still_open and 1 - least(1 - later, still_open) < _TENTH * share:
                why = (
                    f"filled in {share:.1%} of {known:,} rows with an outcome, and in {later:.1%} of "
                    f"{still_open:,} whose outcome is open: in service it will be missing"
                )
                found.append(Suspect(column, "afterwards", later, why))
        return found


def passed_on(raw: pd.DataFrame, table: pd.DataFrame) -> dict[str, str]:
    """Raw columns that `features` hands on as they are, by the input that holds them, under any name.

    Args:
        raw: the raw rows that `table` describes, in its order.
    """
    found = {}
    for name in table.columns:
        same = [column for column in _first(name, raw.columns) if _same(raw[column], table[name])]
        if same:
            found[name] = same[0]
    return found


def _first(name: str, columns: pd.Index[Any]) -> list[str]:
    return sorted(columns, key=lambda column: column != name)


def _same(raw: pd.Series[Any], values: pd.Series[Any]) -> bool:
    """Whether the values are those of the raw column, wherever it has one: a gap may have been filled."""
    filled = raw.notna().to_numpy()
    numbers = raw.dtype.kind in "biuf"
    if not filled.any() or numbers != (values.dtype.kind in "biuf"):
        return False
    ours, theirs = raw[filled], values[filled]
    if numbers:
        return bool((ours.to_numpy("float64") == theirs.to_numpy("float64")).all())
    return bool((ours.astype(str).to_numpy() == theirs.astype(str).to_numpy()).all())
