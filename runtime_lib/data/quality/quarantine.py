"""Bad rows set aside while features are made: next to the features, so that DVC keeps both as one output.

    data/features/quarantine/2013-01.parquet    the raw rows as they came, and why they are there
    data/features/quality.json                  what was counted, see `stored`

In the files `mlops.month` and `mlops.row` (from 0) say where a row stands in `data/raw`, `mlops.reasons`
which rules it breaks. A month without such rows has no file; a project without rules has neither folder
nor counts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime_lib.data import calendar
from runtime_lib.data.columns import Array
from runtime_lib.data.quality.count import Example, QualityCount, RuleCount, count_rules
from runtime_lib.data.quality.judge import Judged, judge
from runtime_lib.data.quality.month_rules import Month
from runtime_lib.data.quality.rule import MonthRule, RowRule, Rule
from runtime_lib.data.quality.stored import Found, write_found
from runtime_lib.data.reads import read_by
from runtime_lib.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FOLDER", "MONTH", "REASONS", "ROW", "Held", "Quarantine"]

FOLDER = "quarantine"
MONTH, ROW, REASONS = "mlops.month", "mlops.row", "mlops.reasons"
_FIX = "Mend them at the source and `mlops run --refresh {month}`, or change the rule in quality_rules()."


class Quarantine:
    """Judges months one after another, and keeps what must not reach the features.

    Args:
        folder: the folder of features that is being made.
    """

    def __init__(self, rules: Sequence[Rule], folder: Path) -> None:
        self._rules, self._folder = rules, folder
        self._months: dict[str, QualityCount] = {}

    def take(self, raw: pd.DataFrame, path: Path) -> Held:
        """Judge a raw month, the file of which is `path`, and take out the rows to be set aside.

        Raises:
            DataError: a rule that stops is broken, no row is left, or a rule does not fit the columns.
        """
        held = Held(path.stem, raw, [rule for rule in self._rules if isinstance(rule, RowRule)])
        if not self._rules:
            return held
        month = Month(path.stem, raw, read_by(path, by=calendar.now()), self._volumes())
        held.counts |= {
            rule.name: _judge_month(rule, month) for rule in self._rules if isinstance(rule, MonthRule)
        }
        held.judge_raw()
        return held

    def keep(self, held: Held) -> None:
        """Store the rows of a month that were set aside, and what was counted."""
        if not self._rules:
            return
        aside = held.set_aside()
        self._months[held.month] = QualityCount(len(held.raw), len(aside), held.counts)
        if len(aside):
            (self._folder / FOLDER).mkdir(exist_ok=True)
            aside.to_parquet(self._folder / FOLDER / f"{held.month}.parquet", index=False)

    def finish(self) -> None:
        """Store what was counted, and print what was found."""
        if not self._rules:
            return
        write_found(Found(self._rules, self._months), self._folder)
        total = QualityCount()
        for count in self._months.values():
            total = total.merge(count)
        for rule in self._rules:
            if (found := total.rules[rule.name]).bad:
                print(_sentence(rule, found), file=sys.stderr)
        if total.quarantined:
            print(
                f"Quality: {total.quarantined:,} of {total.rows:,} rows were set aside; "
                "`mlops quality` shows why.",
                file=sys.stderr,
            )

    def _volumes(self) -> tuple[int, ...]:
        return tuple(count.rows for count in self._months.values())


class Held:
    """One month under judgement. `kept` are the raw rows, under raw's index, that are good so far."""

    def __init__(self, month: str, raw: pd.DataFrame, rules: Sequence[RowRule]) -> None:
        self.month, self.raw, self.kept = month, raw, raw
        self.counts: dict[str, RuleCount] = {}
        self._rules = rules
        self._reasons: dict[int, list[str]] = {}

    def judge_raw(self) -> None:
        self._refuse_own_names()
        keep = self._judge(self.raw, "raw", np.arange(len(self.raw)))
        if not keep.all():
            self.kept = self.raw[keep].reset_index(drop=True)

    def judge_inputs(
        self, table: pd.DataFrame, month: pd.DataFrame, *, every_row: bool
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Judge what `features` returned of the rows that were kept.

        Args:
            table: features of the rows of `month`, in their order.
            month: the kept rows.
            every_row: whether `features` returns a row for each; else rules of inputs are refused.

        Returns:
            `table` and `month` without the rows that are set aside.

        Raises:
            DataError: as `Quarantine.take`.
        """
        if not (rules := [rule for rule in self._rules if rule.at == "inputs"]):
            return table, month
        if not every_row:
            raise DataError(
                f"Quality rule '{rules[0].name}' is about inputs, and features() of this project leaves out "
                f"rows, so that nobody knows which raw row is bad. Move the outcome into label(raw) of "
                f'features.py, or make it a rule at="raw".'
            )
        numbers = np.setdiff1d(np.arange(len(self.raw)), [*self._reasons])
        keep = self._judge(table, "inputs", numbers)
        return (table, month) if keep.all() else (table[keep], month[keep])

    def set_aside(self) -> pd.DataFrame:
        """The raw rows that break a rule, with month, row and reasons."""
        rows = sorted(self._reasons)
        return self.raw.iloc[rows].assign(
            **{MONTH: self.month, ROW: rows, REASONS: [self._reasons[row] for row in rows]}
        )

    def _judge(self, table: pd.DataFrame, at: str, numbers: Array) -> Array:
        """Which rows of `table`, whose numbers in the month are given, are kept."""
        rules = [rule for rule in self._rules if rule.at == at]
        judged = judge(table, rules)
        counts = count_rules(judged, table, rules, self.month, numbers.tolist())
        self.counts |= counts
        for rule in rules:
            _stop_at(rule, counts[rule.name], self.month)
        aside = [rule.name for rule in rules if rule.action == "quarantine"]
        bad = judged.any(aside)
        self._note(judged, aside, bad, numbers)
        if len(bad) and bad.all():
            raise self._nothing_left()
        return ~bad

    def _note(self, judged: Judged, names: Sequence[str], bad: Array, numbers: Array) -> None:
        for place in np.flatnonzero(bad):
            self._reasons[int(numbers[place])] = judged.reasons(int(place), names)

    def _nothing_left(self) -> DataError:
        by_rule = Counter(name for reasons in self._reasons.values() for name in reasons)
        which = ", ".join(f"'{name}' {count:,}" for name, count in by_rule.most_common())
        return DataError(
            f"Each of the {len(self.raw):,} rows of {self.month} breaks a quality rule ({which}), so there "
            f"is nothing to train on. {_FIX.format(month=self.month)}"
        )

    def _refuse_own_names(self) -> None:
        if taken := [name for name in (MONTH, ROW, REASONS) if name in self.raw.columns]:
            raise DataError(
                f"Raw column '{taken[0]}' has the name of a column of the quarantine. Rename it in load()."
            )


def _judge_month(rule: MonthRule, month: Month) -> RuleCount:
    reason = rule.broken(month)
    if reason and rule.action == "stop":
        raise DataError(
            f"{month.name} breaks the quality rule '{rule.name}': {reason}. {_FIX.format(month=month.name)}"
        )
    return RuleCount(1, int(bool(reason)), (Example(month.name, "", reason),) if reason else ())


def _stop_at(rule: RowRule, found: RuleCount, month: str) -> None:
    if rule.action != "stop" or found.bad <= rule.max_bad * found.rows:
        return
    shown = "; ".join(f"row {example.row}: {example.value}" for example in found.examples)
    raise DataError(
        f"{month} breaks the quality rule '{rule.name}': {found.bad:,} of {found.rows:,} rows are bad, and "
        f"max_bad = {rule.max_bad:g} ({shown}). {_FIX.format(month=month)}"
    )


def _sentence(rule: Rule, found: RuleCount) -> str:
    if isinstance(rule, MonthRule):
        months = ", ".join(f"{example.where} ({example.value})" for example in found.examples)
        return f"Quality: '{rule.name}' is broken by {found.bad:,} of {found.rows:,} months: {months}."
    what = "set aside" if rule.action == "quarantine" else "kept"
    return f"Quality: '{rule.name}' is broken by {found.bad:,} of {found.rows:,} rows; they are {what}."
