"""What the rules found, in one value: read by the command, monitoring and alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runtime_lib.data.quality.count import QualityCount, RuleCount
from runtime_lib.data.quality.rates import Rate, rate
from runtime_lib.data.quality.rule import RowRule, Rule

__all__ = ["Judgement", "QualityReport", "assess", "evidence", "percent"]

Of = Literal["months", "served"]
_FORMAT = 1


@dataclass(frozen=True)
class Judgement:
    """One rule and what it found.

    Attributes:
        rule: what was asked.
        count: rows judged and bad; of a rule of months, months.
        rate: against the target; None for a rule of months, which has none.
        reason: how it is broken, in a sentence; empty: it is not. A rule of rows is broken when the rate is
            surely above the target, a rule of months when the newest month breaks it.
    """

    rule: Rule
    count: RuleCount
    rate: Rate | None
    reason: str = ""

    @property
    def broken(self) -> bool:
        return bool(self.reason)

    @property
    def word(self) -> str:
        """ "proven", "not yet" or "broken"; a rule of months is "kept" or "broken"."""
        return self.rate.word if self.rate else "broken" if self.broken else "kept"

    @property
    def interval(self) -> str:
        """The rate and its 90 % interval in words; empty for a rule of months."""
        if self.rate is None:
            return ""
        if self.rate.share is None:
            return "no rows"
        return f"{percent(self.rate.share)} ({percent(self.rate.lower)} to {percent(self.rate.upper)})"

    @property
    def target(self) -> str:
        """The largest rate that is accepted, in words; empty for a rule of months."""
        return percent(self.rate.target) if self.rate else ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule.to_dict(),
            "columns": list(self.rule.columns),
            "rows": self.count.rows,
            "bad": self.count.bad,
            "rate": self.rate and asdict(self.rate),
            "word": self.word,
            "examples": [asdict(example) for example in self.count.examples],
        }


@dataclass(frozen=True)
class QualityReport:
    """What the rules found in raw and featurized months, or in served rows.

    Attributes:
        of: which of both.
        parts: the months, or the UTC days, that were judged, in order.
        rows, quarantined: of all of them; served rows are never set aside.
    """

    of: Of
    parts: tuple[str, ...]
    rows: int
    quarantined: int
    judgements: tuple[Judgement, ...]

    @property
    def broken(self) -> tuple[Judgement, ...]:
        return tuple(each for each in self.judgements if each.broken)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for each broken rule."""
        return tuple(each.reason for each in self.broken)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: the content of `reports/quality.json`, format 1."""
        return {
            "format": _FORMAT,
            "of": self.of,
            "parts": list(self.parts),
            "rows": self.rows,
            "quarantined": self.quarantined,
            "broken": [each.rule.name for each in self.broken],
            "judgements": [each.to_dict() for each in self.judgements],
        }


def assess(rules: Sequence[Rule], parts: Mapping[str, QualityCount], of: Of) -> QualityReport:
    """Judge what was counted.

    Args:
        parts: what was counted of each month or day, in the order of time.
    """
    total = QualityCount()
    for count in parts.values():
        total = total.merge(count)
    judgements = tuple(_judge(rule, [*parts.values()], total) for rule in rules)
    return QualityReport(of, tuple(parts), total.rows, total.quarantined, judgements)


def evidence(report: QualityReport) -> dict[str, Any]:
    """The broken rules as JSON-able values, without values of rows, which may be personal."""
    return {
        "of": report.of,
        "parts": list(report.parts[-1:]),
        "rules": [
            {
                "name": each.rule.name,
                "columns": list(each.rule.columns),
                "rows": each.count.rows,
                "bad": each.count.bad,
                "rate": each.rate and asdict(each.rate),
            }
            for each in report.broken
        ],
    }


def _judge(rule: Rule, parts: Sequence[QualityCount], total: QualityCount) -> Judgement:
    none = RuleCount()
    count = total.rules.get(rule.name, none)
    if not isinstance(rule, RowRule):
        newest = parts[-1].rules.get(rule.name, none) if parts else none
        return Judgement(
            rule, count, None, "".join(f"{rule.name}: {e.where}: {e.value}" for e in newest.examples)
        )
    of_parts = [part.rules.get(rule.name, none) for part in parts]
    found = rate([(part.rows, part.bad) for part in of_parts], rule.max_bad)
    return Judgement(rule, count, found, _reason(rule, found) if found.word == "broken" else "")


def _reason(rule: RowRule, found: Rate) -> str:
    return (
        f"{rule.name}: {found.bad:,} of {found.rows:,} rows are bad, {percent(found.share or 0.0)}, surely "
        f"more than the accepted {percent(found.target)}"
    )


def percent(share: float) -> str:
    """A share as a percentage with three significant digits."""
    return f"{100 * share:.3g} %"
