"""What can be seen while features are made, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, Kind, columns_of
from runtime_lib.data.leaks.afterwards import Filled, passed_on
from runtime_lib.data.leaks.keys import MANY_LEVELS, key_levels
from runtime_lib.data.leaks.suspect import Suspect

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Watch"]


class Watch:
    """Looks at each month's raw rows and features in passing."""

    def __init__(self, keys: Sequence[str], declared: Mapping[str, Kind] | None = None) -> None:
        """`keys`: columns of the features that are no inputs; `declared`: see `read_inputs`."""
        self._keys, self._declared = keys, declared
        self._filled = Filled()
        self._levels: dict[str, set[str]] = {}
        self._rows: dict[str, int] = {}
        self._ids_before: Array = np.empty(0, dtype="uint64")
        self._returning = ""

    def add(self, raw: pd.DataFrame, table: pd.DataFrame) -> None:
        """Look at one month.

        Args:
            raw: all of its rows.
            table: the features of these rows with `label`, missing where the outcome is open; or under raw's
                index the features of those whose outcome is known, from a `features` that drops the others.

        Raises:
            DataError: an input is of a type that no model takes, or a declared one is not there.
        """
        self._remember_ids(table["id"])
        inputs = table.drop(columns=[*self._keys])
        self._count_levels(inputs)
        if len(inputs) == len(raw):
            self._filled.add(inputs, table["label"].notna().to_numpy())
        elif table.index.is_unique and table.index.isin(raw.index).all():
            links = passed_on(raw.loc[table.index], inputs)
            handed_on = raw[[*links.values()]].set_axis([*links], axis="columns")
            self._filled.add(handed_on, np.asarray(raw.index.isin(table.index)))

    def _remember_ids(self, ids: pd.Series[Any]) -> None:
        from pandas.util import hash_array

        hashed = hash_array(ids.astype("str").to_numpy(dtype="object"))
        again = np.isin(hashed, self._ids_before)
        if again.any() and not self._returning:
            self._returning = str(ids.iloc[int(again.argmax())])
        self._ids_before = hashed

    def _count_levels(self, inputs: pd.DataFrame) -> None:
        for column in columns_of(inputs, declared=self._declared):
            if column.kind == "category":
                values = inputs[column.name].dropna()
                self._levels.setdefault(column.name, set()).update(map(str, values.unique()))
                self._rows[column.name] = self._rows.get(column.name, 0) + len(values)

    def suspects(self) -> list[Suspect]:
        return [*self._filled.suspects(), *key_levels(self._levels, self._rows)]

    def notes(self) -> list[str]:
        """What is no leak, and better known before a long training."""
        named = {suspect.column for suspect in self.suspects()}
        returning = [
            f"The id {self._returning!r} is in two months, and so may others be. A late label finds its "
            f"prediction by the id alone, and may find that of another month: make ids unique, for instance "
            f"the customer and the month."
        ]
        return returning[: bool(self._returning)] + [
            f"'{column}' has {len(levels):,} levels: the model gets as many inputs for it. Group the rare "
            f"ones in features() if they are no use."
            for column, levels in self._levels.items()
            if len(levels) > MANY_LEVELS and column not in named
        ]
