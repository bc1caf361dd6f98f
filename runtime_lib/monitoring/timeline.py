"""How far each column was from the reference, day by day: a month of verdicts on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime_lib.monitoring.daily import Day
from runtime_lib.monitoring.drift import Reference
from runtime_lib.monitoring.drift.compare import Compared, compare
from runtime_lib.monitoring.drift.decide import threshold_of
from runtime_lib.settings import Monitoring

__all__ = ["Row", "Timeline", "timeline"]


@dataclass(frozen=True)
class Row:
    """A column: of each day its largest effect as a multiple of where it matters; None with too few rows."""

    name: str
    effects: tuple[float | None, ...]


@dataclass(frozen=True)
class Timeline:
    """Columns by days, `YYYY-MM-DD`, with the predictions of each; the column that is furthest off first."""

    days: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    columns: tuple[Row, ...] = ()


def timeline(reference: Reference, days: Sequence[Day], rules: Monitoring) -> Timeline:
    """Compare each day by itself."""
    found = []
    for name, column in reference.profile.columns.items():
        effects = [_largest(compare(column, day.profile.columns[name]), rules) for day in days]
        found.append(Row(name, tuple(effects)))
    found.sort(key=lambda row: -max((each for each in row.effects if each is not None), default=0.0))
    return Timeline(tuple(day.name for day in days), tuple(day.rows for day in days), tuple(found))


def _largest(compared: Compared, rules: Monitoring) -> float | None:
    if compared.present < rules.min_rows:
        return None
    ratios = [effect.value / threshold_of(name, rules) for name, effect in compared.effects.items()]
    ratios.append(abs(compared.nulls.effect) / rules.rate_threshold)
    ratios.append(compared.unseen.effect / rules.rate_threshold if compared.unseen else 0.0)
    return round(max(ratios), 3)
