"""The project's `features` and `label`, applied to raw rows and checked: one way to train and to score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEYS", "Features", "left_out"]

# What a feature table holds besides the model's inputs: the row's business key, its time, what happened.
KEYS = ("id", "time", "label")
_SHOWN = 5


@dataclass(frozen=True)
class Features:
    """The features of a row, the same whether its outcome is known or not.

    `features` gives `id`, `time` and the inputs of every raw row, `label` its outcome, or missing while it is
    open, with the index of raw. Without `label`, as in projects made before 0.6, `features` returns the
    column `label` too and leaves open rows out.

    `where` names the rows in messages: a month, a file.
    """

    features: Callable[[pd.DataFrame], pd.DataFrame]
    label: Callable[[pd.DataFrame], pd.Series[Any]] | None = None
    task: Task = BINARY

    def inputs(self, raw: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return `id`, `time` and the inputs: of every raw row, in raw's order.

        Without `label`, of the rows that `features` returns.

        Raises:
            DataError: a key or a row is missing, an id comes twice, or `features` returned the label.
        """
        if self.label is None:
            table = _check_ids(self.features(raw.copy(deep=False)), where, KEYS[:2])
            return table.drop(columns="label", errors="ignore")
        return self._every_row(_numbered(raw), where)

    def with_outcomes(self, raw: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return the inputs with `label`, missing while the outcome is open.

        Without `label`, of the rows that `features` returns, none of them open.

        Raises:
            DataError: as `inputs`; a label is another value.
        """
        if self.label is None:
            table = _check_ids(self.features(raw.copy(deep=False)), where, KEYS)
            hint = "Leave out rows whose label is not known."
            _check_labels(self.task, table["label"], where, "features()", hint)
            return table
        raw = _numbered(raw)
        return self._every_row(raw, where).assign(label=self._outcomes(raw, where))

    def known(self, raw: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return the inputs with `label` of the rows whose outcome is known by now, maybe none.

        Raises:
            DataError: as `with_outcomes`.
        """
        return self._closed(self.with_outcomes(raw, where))

    def labelled(self, table: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return those rows of a table of `with_outcomes` that can be trained on.

        Raises:
            DataError: there is none.
        """
        if not (known := self._closed(table)).empty:
            return known
        what = f"label() knows no outcome of {where} yet: all {len(table):,} rows are open"
        if self.label is None:
            what = f"features() returned no rows for {where}"
        raise DataError(
            f"{what}. Train on earlier months (data.last in params.yaml), and score this one with "
            f"`mlops predict --month`. If its labels have arrived at the source, "
            f"`mlops run --refresh {where}` reads them."
        )

    def _closed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Without the rows whose outcome is open; what an older `features` returned stays as it is."""
        return (
            table if self.label is None else table[table["label"].notna()].astype({"label": self.task.stored})
        )

    def _every_row(self, raw: pd.DataFrame, where: str) -> pd.DataFrame:
        table = self.features(raw.copy(deep=False))
        if "label" in table.columns:
            raise DataError(
                "features() returned a column 'label', and features.py has a function label(). "
                "Leave the outcome to label() alone: it must not be among the inputs."
            )
        if len(table) != len(raw) or not table.index.isin(raw.index).all() or table.index.has_duplicates:
            raise DataError(
                f"features() returned {len(table):,} rows for the {len(raw):,} of {where}, or not under "
                f"their index. It returns one row for each, labelled or not, and keeps raw's index: "
                f"no filter, no reset_index; after a merge, `.set_index(raw.index)`."
            )
        return _check_ids(table.loc[raw.index], where, KEYS[:2])

    def _outcomes(self, raw: pd.DataFrame, where: str) -> pd.Series[Any]:
        import pandas as pd

        assert self.label is not None
        label = self.label(raw.copy(deep=False))
        if not isinstance(label, pd.Series) or not label.index.equals(raw.index):
            raise DataError(
                f"label() must return a pandas Series with the index of raw, one value a row; for {where} it "
                f"returned {_described(label)} for {len(raw):,} rows."
            )
        hint = "Leave the value missing while the outcome is open."
        _check_labels(self.task, label[label.notna()], where, "label()", hint)
        return label


def left_out(raw: pd.DataFrame, table: pd.DataFrame) -> str:
    """Say how many rows `features` has not returned, and what to do; empty: none."""
    if len(table) >= len(raw):
        return ""
    return (
        f"features() left out {len(raw) - len(table):,} of {len(raw):,} rows, so they cannot be scored: it "
        f"drops rows whose outcome is open. Move the outcome into a function label(raw) of features.py, and "
        f"let features() return every row, without the label."
    )


def _numbered(raw: pd.DataFrame) -> pd.DataFrame:
    """Number the rows from 1: an index that `features` makes anew counts from 0 and is noticed by that.

    Sorted rows under a new index would get each other's labels without an error.
    """
    import pandas as pd

    return raw.set_axis(pd.RangeIndex(1, len(raw) + 1), axis="index")


def _check_ids(table: pd.DataFrame, where: str, keys: tuple[str, ...]) -> pd.DataFrame:
    for key in keys:
        if key not in table.columns:
            raise DataError(f"features() returned no column '{key}' for {where}; it needs {', '.join(keys)}.")
    if table["id"].duplicated().any():
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(
            f"features() returned the id {twice!r} twice for {where}; ids tie late labels to predictions."
        )
    return table


def _check_labels(task: Task, label: pd.Series[Any], where: str, by: str, hint: str) -> None:
    if (wrong := task.wrong_labels(label)).any():
        values = label[wrong].unique().tolist()
        found = f"{values[:_SHOWN]}" + (f" and {len(values) - _SHOWN:,} more" if values[_SHOWN:] else "")
        raise DataError(
            f"{by} returned the labels {found} for {where} (the first in row {int(wrong.argmax())}); "
            f"each must be {task.labels}, as task.kind in params.yaml is {task.kind}. {hint}"
        )


def _described(value: object) -> str:
    import pandas as pd

    if isinstance(value, pd.Series):
        return f"a Series of {len(value):,} values under another index"
    return f"{type(value).__name__}"
