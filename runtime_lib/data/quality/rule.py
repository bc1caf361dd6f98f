"""What all rules share: a name, columns, what happens when they are broken; and how they are stored."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from runtime_lib.errors import SettingsError, quoted

__all__ = ["Action", "MonthRule", "Place", "RowRule", "Rule", "check_names", "is_number"]

Action = Literal["quarantine", "warn", "stop"]
Place = Literal["raw", "inputs"]


@dataclass(frozen=True)
class Rule:
    """A rule of a project; see the kinds in `row_rules` and `month_rules`.

    Attributes:
        kind: its kind in messages and reports.
        name: unique among the rules of a project; by default kind and columns.
        action: what happens to what breaks it.
    """

    kind: ClassVar[str]
    actions: ClassVar[tuple[str, ...]]

    action: Action
    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        raise NotImplementedError

    def __post_init__(self) -> None:
        for column in self.columns:
            if not isinstance(column, str) or not column:
                raise SettingsError(
                    f"{type(self).__name__}: {column!r} is no column; write its name as text."
                )
        if not self.name:
            object.__setattr__(self, "name", " ".join([self.kind, ", ".join(self.columns)]).strip())
        if not isinstance(self.name, str):
            raise self.wrong("name", "write text")
        if self.action not in self.actions:
            raise self.wrong("action", f"choose one of {', '.join(self.actions)}")
        self.check()

    def check(self) -> None:
        """Refuse options that make no rule."""

    def wrong(self, option: str, what_to_do: str) -> SettingsError:
        """An error about one of this rule's options."""
        value = quoted(getattr(self, option))
        return SettingsError(f"Quality rule '{self.name}': {option} = {value}: {what_to_do}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; `stored.rule_of` reads them."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
        return {"kind": self.kind, **values}


@dataclass(frozen=True, kw_only=True)
class RowRule(Rule):
    """A rule that a row keeps or breaks.

    Attributes:
        action: "quarantine": bad rows are set aside before features are made of them; "warn": they stay;
            "stop": the stage ends where a month's share of bad rows is above `max_bad`.
        max_bad: the target: the largest share of bad rows that is accepted, from 0 to 1.
        at: which table it is about: "raw", the months as `load` returned them; "inputs", what `features`
            returns, which served rows have too.
    """

    actions: ClassVar[tuple[str, ...]] = get_args(Action)
    places: ClassVar[tuple[str, ...]] = get_args(Place)

    action: Action = "quarantine"
    max_bad: float = 0.001
    at: Place = "raw"
    name: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.max_bad) or not 0 <= self.max_bad < 1:
            raise self.wrong("max_bad", "write a share of rows from 0 to below 1, as 0.001 for 0.1 %")
        if self.at not in self.places:
            raise self.wrong("at", f"choose one of {', '.join(self.places)}")

    def bad(self, batch: Any) -> Any:
        """Which rows break the rule.

        Args:
            batch: a pandas DataFrame, an Arrow table or a record batch of `n` rows.

        Returns:
            `bool` of shape `(n,)`.

        Raises:
            DataError: the batch has no such column, or it is of a type that the rule does not take.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class MonthRule(Rule):
    """A rule that a whole raw month keeps or breaks: "warn" reports it, "stop" ends the stage."""

    actions: ClassVar[tuple[str, ...]] = ("warn", "stop")

    action: Action = "warn"
    name: str = ""

    def broken(self, month: Any) -> str:
        """Why a `month_rules.Month` breaks the rule; empty: it does not.

        Raises:
            DataError: as `RowRule.bad`.
        """
        raise NotImplementedError


def is_number(value: object) -> bool:
    """Whether it is a finite number; True is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_names(rules: Collection[Rule]) -> None:
    """Refuse two rules of one name.

    Raises:
        SettingsError: names it.
    """
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise SettingsError(
                f"Two quality rules are named '{rule.name}'. Give one of them another: name=\"…\"."
            )
        seen.add(rule.name)
