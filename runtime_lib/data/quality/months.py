"""The report of a project's months: from what featurize counted, without judging a row again."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_lib.data.functions import find_rules
from runtime_lib.data.quality.count import QualityCount
from runtime_lib.data.quality.report import QualityReport, assess
from runtime_lib.data.quality.rule import Rule
from runtime_lib.data.quality.stored import FILE, Found, read_found
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.files import write_json
from runtime_lib.settings import Settings

__all__ = ["report_months"]


def report_months(settings: Settings, *, months: Sequence[str] = ()) -> tuple[QualityReport, str]:
    """Assess what the rules found when features were made; write `reports/quality.json` if of all months.

    Args:
        months: only these (default: all).

    Returns:
        The report, and a warning that the rules have changed since; empty: they have not.

    Raises:
        DataError: there are rules, and no features were made since; or a file is damaged.
        SettingsError: a month is unknown, or a rule is wrong.
    """
    declared = find_rules(settings.project.package)
    found = read_found(settings.features)
    if found is None:
        if declared:
            raise DataError(
                f"There is no {settings.features / FILE}: features were made before there were quality "
                f"rules. `mlops run` makes them again."
            )
        found = Found([], {})
    report = assess(found.rules, _chosen(found, months), "months")
    if found.rules and not months:
        write_json(settings.report("quality"), report.to_dict())
    return report, _stale(found.rules, declared)


def _chosen(found: Found, months: Sequence[str]) -> dict[str, QualityCount]:
    if unknown := [month for month in months if month not in found.months]:
        known = ", ".join(found.months) or "none"
        raise SettingsError(f"--month {unknown[0]}: no quality was counted of it. Known: {known}.")
    return {month: count for month, count in found.months.items() if not months or month in months}


def _stale(judged: Sequence[Rule], declared: Sequence[Rule]) -> str:
    if [rule.to_dict() for rule in judged] == [rule.to_dict() for rule in declared]:
        return ""
    return "the rules in quality_rules() have changed since features were made; `mlops run` judges by them."
