"""Rows that are in the training months and in the test months: the model knows their label by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.signal import least
from runtime_lib.data.leaks.suspect import DUPLICATES, Suspect

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["repeated_keys", "repeated_rows"]

_SHARE = 0.01
_AGREEMENT = 0.9


def repeated_keys(keys: pd.DataFrame, test: Array) -> Suspect | None:
    """Test rows whose `id` and `time` are those of an earlier part's row.

    The same id at another time is none: a table may hold each customer once a month.
    """
    earlier, later = keys.loc[~test, ["id", "time"]], keys.loc[test, ["id", "time"]]
    earlier = earlier[earlier["id"].isin(later["id"])]
    joined = later.merge(earlier.drop_duplicates(), on=["id", "time"])
    if joined.empty:
        return None
    shown = ", ".join(map(repr, joined["id"].drop_duplicates()[:3]))
    why = (
        f"{len(joined):,} of {len(later):,} test rows are in an earlier month too, with the same id and time "
        f"(id {shown}): load() returns a row for more than one month"
    )
    return Suspect(DUPLICATES, "duplicates", len(joined) / len(later), why)


def repeated_rows(inputs: pd.DataFrame, label: Array, test: Array) -> Suspect | None:
    """Test rows with the same inputs as a training row, more than chance gives.

    Rows of few categories coincide by chance. Then training rows coincide with each other as often, and
    their labels agree no more than by the rate. Suspicious, at 1 % of the test rows or more (with 95 %
    confidence): twice as many as that, or 90 % agreement among the rows with the rarer label. On flights,
    digits, iris and breast cancer the share is 0.

    Args:
        inputs: all parts, `n` rows; test: which rows are of the test months, `(n,)`.
    """
    import pandas as pd

    row = pd.util.hash_pandas_object(inputs, index=False).to_numpy()
    known, label_of = np.unique(row[~test], return_index=True)
    twin = np.isin(row[test], known)
    share, within = float(twin.mean()), 1 - _single(row[~test]) / max((~test).sum(), 1)
    if least(share, int(test.sum())) < _SHARE:
        return None
    theirs = label[~test][label_of[np.searchsorted(known, row[test][twin])]]
    agreement, rows = _agreement(label[test][twin], theirs)
    if within * 2 > share and least(agreement, rows) < _AGREEMENT:
        return None
    why = (
        f"{int(twin.sum()):,} of {len(twin):,} test rows have exactly the inputs of a training row, and "
        f"{agreement:.0%} of the rarer label among them its label: rows were copied before the split"
    )
    return Suspect(DUPLICATES, "duplicates", share, why)


def _single(row: Array) -> int:
    return int((np.unique(row, return_counts=True)[1] == 1).sum())


def _agreement(label: Array, theirs: Array) -> tuple[float, int]:
    """How often the twin has the label too, among the rows with the rarer label; and how many those are."""
    rarer = label == (label.mean() <= 0.5)
    return (float((theirs[rarer] == label[rarer]).mean()), int(rarer.sum())) if rarer.any() else (0.0, 0)
