"""What was counted of rows and rules: in constant memory, and the same however the rows were divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from runtime_lib.data.quality.judge import Judged
from runtime_lib.data.quality.rule import Rule
from runtime_lib.errors import quoted

__all__ = ["MOST_EXAMPLES", "Example", "QualityCount", "RuleCount"]

MOST_EXAMPLES = 5  # of each rule; the first ones


@dataclass(frozen=True)
class Example:
    """A bad row: the month or day it is of, its number from 0 or its id, and its values as text."""

    where: str
    row: int | str
    value: str


@dataclass(frozen=True)
class RuleCount:
    """Of one rule: rows that were judged, those that broke it, and the first of these."""

    rows: int = 0
    bad: int = 0
    examples: tuple[Example, ...] = ()

    def merge(self, later: RuleCount) -> RuleCount:
        examples = (*self.examples, *later.examples)[:MOST_EXAMPLES]
        return RuleCount(self.rows + later.rows, self.bad + later.bad, examples)


@dataclass(frozen=True)
class QualityCount:
    """Of some rows: how many there were, how many were set aside, and what each rule, by name, found."""

    rows: int = 0
    quarantined: int = 0
    rules: Mapping[str, RuleCount] = field(default_factory=dict)

    def merge(self, later: QualityCount) -> QualityCount:
        """The counts of both; of the examples the first."""
        names = [*self.rules, *(name for name in later.rules if name not in self.rules)]
        none = RuleCount()
        return QualityCount(
            self.rows + later.rows,
            self.quarantined + later.quarantined,
            {name: self.rules.get(name, none).merge(later.rules.get(name, none)) for name in names},
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, of which `from_dict` makes the same."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> QualityCount:
        rules = {
            name: RuleCount(
                found["rows"], found["bad"], tuple(Example(**example) for example in found["examples"])
            )
            for name, found in stored["rules"].items()
        }
        return cls(stored["rows"], stored["quarantined"], rules)


def count_rules(
    judged: Judged, batch: Any, rules: Sequence[Rule], where: str, rows: Sequence[int | str]
) -> dict[str, RuleCount]:
    """Count a judged batch.

    Args:
        where: the month or day of its rows.
        rows: what each is called: its number from 0, or its id.
    """
    found = {}
    for rule in rules:
        bad = np.flatnonzero(judged.bad[rule.name])
        examples = tuple(
            Example(where, _plain(rows[place]), _values(batch, int(place), rule))
            for place in bad[:MOST_EXAMPLES]
        )
        found[rule.name] = RuleCount(judged.rows, len(bad), examples)
    return found


def _plain(row: Any) -> int | str:
    return row if isinstance(row, str) else int(row)


def _values(batch: Any, row: int, rule: Rule) -> str:
    """The values of a rule's columns in a row."""
    return quoted(", ".join(_text(batch, row, name) for name in rule.columns)).strip("'\"")


def _text(batch: Any, row: int, name: str) -> str:
    if hasattr(batch, "iloc"):
        value = batch[name].iloc[row]
    else:
        value = batch.column(batch.schema.get_field_index(name))[row].as_py()
    # What is missing has several names: of pandas, of numpy, of Arrow.
    return (
        "missing"
        if value is None or value is not value or str(value) in ("nan", "NaT", "<NA>")
        else str(value)
    )
