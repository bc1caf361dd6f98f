"""Served rows judged by the project's rules of inputs: in constant memory, and never refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from runtime_lib.data.functions import find_rules
from runtime_lib.data.quality.batch import column_names
from runtime_lib.data.quality.count import QualityCount, count_rules
from runtime_lib.data.quality.judge import judge
from runtime_lib.data.quality.report import QualityReport, assess
from runtime_lib.data.quality.rule import RowRule
from runtime_lib.errors import DataError
from runtime_lib.serving.log import OnDamage, scan
from runtime_lib.settings import Settings

__all__ = ["judge_served"]


def judge_served(
    settings: Settings, version: str | None, *, since: datetime | None = None, on_damage: OnDamage
) -> QualityReport | None:
    """Judge every answered row of the log by the rules of inputs; None: the project has none.

    A rule whose columns a version does not take is not judged on its rows.

    Args:
        version: only what this version answered; None: every one.
        on_damage: see `scan`.

    Raises:
        SettingsError: a rule is wrong.
        DataError: a column is of another type than its rule takes.
    """
    try:
        declared = find_rules(settings.project.package)
    except DataError as error:  # what monitoring does besides needs none of the project's code
        logging.getLogger(__name__).warning("Served rows are not judged by quality rules: %s", error)
        return None
    rules = [rule for rule in declared if isinstance(rule, RowRule) and rule.at == "inputs"]
    if not rules:
        return None
    days: dict[str, QualityCount] = {}
    columns = {"id", "time", *(name for rule in rules for name in rule.columns)}
    for batch in scan(
        settings.predictions, since=since, version=version, columns=columns, on_damage=on_damage
    ):
        for day, rows in _by_day(batch):
            days[day] = days.get(day, QualityCount()).merge(_count(rows, rules, day))
    return assess(rules, dict(sorted(days.items())), "served")


def _by_day(batch: Any) -> Iterator[tuple[str, Any]]:
    import pyarrow.compute as pc

    days = batch.column(batch.schema.get_field_index("time")).cast("date32")
    for day in pc.unique(days):
        yield day.as_py().isoformat(), batch.filter(pc.equal(days, day))


def _count(batch: Any, rules: Sequence[RowRule], day: str) -> QualityCount:
    there = set(column_names(batch))
    fitting = [rule for rule in rules if there.issuperset(rule.columns)]
    ids = batch.column(batch.schema.get_field_index("id")).to_pylist()
    counts = count_rules(judge(batch, fitting), batch, fitting, day, ids)
    return QualityCount(len(batch), 0, counts)
