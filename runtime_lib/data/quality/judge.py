"""A batch judged by rules of rows: which rows break which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.quality.rule import RowRule

__all__ = ["Judged", "judge"]


@dataclass(frozen=True)
class Judged:
    """`bad`: for each rule, by name, the rows that break it: `bool` of shape `(rows,)`."""

    rows: int
    bad: Mapping[str, Array]

    def any(self, names: Collection[str]) -> Array:
        """The rows that break at least one of these rules: `bool` of shape `(rows,)`."""
        found = np.zeros(self.rows, dtype=bool)
        for name in names:
            found |= self.bad[name]
        return found

    def reasons(self, row: int, names: Sequence[str]) -> list[str]:
        """Those of these rules that a row breaks."""
        return [name for name in names if self.bad[name][row]]


def judge(batch: Any, rules: Sequence[RowRule]) -> Judged:
    """Judge each row by each rule, on its own.

    Args:
        batch: a pandas DataFrame, an Arrow table or a record batch; `Unique` needs a whole month.

    Raises:
        DataError: a rule's column is not there, or of a type that the rule does not take.
    """
    return Judged(len(batch), {rule.name: rule.bad(batch) for rule in rules})
