"""How far each column was from the reference, day by day: a month of verdicts on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime_lib.monitoring.daily import Day
from runtime_lib.monitoring.drift import Reference
from runtime_lib.monitoring.drift.compare import Compared, compare
from runtime_lib.monitoring.drift.decide import threshold_of
from runtime_lib.profiles.typical import Typical
from runtime_lib.settings import Monitoring

__all__ = ["Row", "Timeline", "timeline"]


@dataclass(frozen=True)
class Row:
    """A column: of each day its largest effect as a multiple of where it matters; None with too few rows.

    Where more than that is typical of so many rows, as a multiple of what is typical.
    """

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
        typical = reference.typical.get(name, Typical())
        effects = [_largest(compare(column, day.profile.columns[name]), typical, rules) for day in days]
        found.append(Row(name, tuple(effects)))
    found.sort(key=lambda row: -max((each for each in row.effects if each is not None), default=0.0))
    return Timeline(tuple(day.name for day in days), tuple(day.rows for day in days), tuple(found))


def _largest(compared: Compared, typical: Typical, rules: Monitoring) -> float | None:
    if compared.rows < rules.min_rows:
        return None
    usual = max(rules.rate_threshold, typical.of("nulls", compared.rows, "once"))
    ratios = [abs(compared.nulls.effect) / usual]
    if compared.present >= rules.min_rows:
        ratios += [
            effect.value / max(threshold_of(name, rules), typical.of(name, compared.present, "once"))
            for name, effect in compared.effects.items()
        ]
        ratios.append(compared.unseen.effect / rules.rate_threshold if compared.unseen else 0.0)
    return round(max(ratios), 3)
