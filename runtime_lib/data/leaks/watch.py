"""What can be seen while features are made, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from runtime_lib.data.columns import columns_of
from runtime_lib.data.leaks.afterwards import Filled, passed_on
from runtime_lib.data.leaks.keys import MANY_LEVELS, key_levels
from runtime_lib.data.leaks.suspect import Suspect

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Watch"]


class Watch:
    """Looks at each month's raw rows and features in passing."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys`: columns of the features that are no inputs."""
        self._keys = keys
        self._filled = Filled()
        self._levels: dict[str, set[str]] = {}
        self._rows: dict[str, int] = {}

    def add(self, raw: pd.DataFrame, table: pd.DataFrame) -> None:
        """Look at one month.

        Args:
            raw: all of its rows.
            table: the features of these rows with `label`, missing where the outcome is open; or under raw's
                index the features of those whose outcome is known, from a `features` that drops the others.

        Raises:
            DataError: an input is of a type that no model takes.
        """
        inputs = table.drop(columns=[*self._keys])
        self._count_levels(inputs)
        if len(inputs) == len(raw):
            self._filled.add(inputs, table["label"].notna().to_numpy())
        elif table.index.is_unique and table.index.isin(raw.index).all():
            links = passed_on(raw.loc[table.index], inputs)
            handed_on = raw[[*links.values()]].set_axis([*links], axis="columns")
            self._filled.add(handed_on, np.asarray(raw.index.isin(table.index)))

    def _count_levels(self, inputs: pd.DataFrame) -> None:
        for column in columns_of(inputs):
            if column.kind == "category":
                values = inputs[column.name].dropna()
                self._levels.setdefault(column.name, set()).update(map(str, values.unique()))
                self._rows[column.name] = self._rows.get(column.name, 0) + len(values)

    def suspects(self) -> list[Suspect]:
        return [*self._filled.suspects(), *key_levels(self._levels, self._rows)]

    def notes(self) -> list[str]:
        """What is no leak, and better known before a long training."""
        named = {suspect.column for suspect in self.suspects()}
        return [
            f"'{column}' has {len(levels):,} levels: the model gets as many inputs for it. Group the rare "
            f"ones in features() if they are no use."
            for column, levels in self._levels.items()
            if len(levels) > MANY_LEVELS and column not in named
        ]
