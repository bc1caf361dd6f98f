"""What `mlops monitor` found, as alerts: one for each kind, whatever the number of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_lib.data.quality.report import evidence
from runtime_lib.errors import MlopsError
from runtime_lib.monitoring.alerts.alert import Finding, Outcome
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.monitoring.alerts.payload import payload
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.settings import Settings

__all__ = ["SOURCE", "findings", "tell", "unjudged"]

SOURCE = "monitor"


def tell(settings: Settings, verdict: Verdict) -> tuple[Outcome, ...]:
    """Notify the channels of a verdict. A failure is an outcome too: the verdict must not be lost with it."""
    try:
        return notify(
            settings,
            findings(verdict),
            source=SOURCE,
            model=verdict.model,
            version=verdict.version or "",
            unjudged=unjudged(verdict),
            plain=payload(verdict) if verdict.found else None,
            now=verdict.time,
        )
    except (MlopsError, OSError) as error:
        return (Outcome("", "", 0, f"No alert was sent: {error}"),)


def findings(verdict: Verdict) -> list[Finding]:
    """The findings of a verdict: drift, skew, broken quality rules and a drop in performance."""
    full = payload(verdict)
    about = {name: full[name] for name in ("version", "rows", "rules")}
    return [
        *_performance(verdict, full, about),
        *_skew(verdict, full, about),
        *_quality(verdict, about),
        *_drift(verdict, full["columns"], about),
    ]


def unjudged(verdict: Verdict) -> set[str]:
    """The kinds that a verdict says nothing of, for want of rows: not found is not gone."""
    least = verdict.rules.min_rows
    judged = {
        "drift": verdict.rows >= least,
        "skew": verdict.skew.rows > 0,
        "quality": verdict.quality is not None,
        "performance": verdict.performance.labelled >= least,
    }
    return {kind for kind, enough in judged.items() if not enough}


def _performance(verdict: Verdict, full: Mapping[str, Any], about: Mapping[str, Any]) -> list[Finding]:
    if not verdict.retrain:
        return []
    return [
        Finding(
            "performance",
            f"{_model(verdict)}: performance has dropped, retraining is due",
            "\n".join([verdict.performance.reason, *(f"perhaps: {cause}" for cause in verdict.causes)]),
            evidence={**about, "performance": full["performance"], "causes": list(verdict.causes)},
            report=str(verdict.report_html),
        )
    ]


def _skew(verdict: Verdict, full: Mapping[str, Any], about: Mapping[str, Any]) -> list[Finding]:
    if not verdict.skewed:
        return []
    members = tuple(column.name for column in verdict.skew.columns)
    lines = [
        f"{column}, of {verdict.skew.rows:,} rows that are in training too" for column in verdict.skew.columns
    ]
    return [
        Finding(
            "skew",
            f"{_model(verdict)}: rows were served with other features than in training ({_listed(members)})",
            "\n".join(lines),
            members=members,
            evidence={**about, "skew": full["skew"]},
            report=str(verdict.report_html),
        )
    ]


def _quality(verdict: Verdict, about: Mapping[str, Any]) -> list[Finding]:
    if not verdict.quality or not (broken := verdict.quality.broken):
        return []
    names = tuple(each.rule.name for each in broken)
    return [
        Finding(
            "quality",
            f"{_model(verdict)}: served rows break quality rules ({_listed(names)})",
            "\n".join(verdict.quality.reasons),
            members=names,
            evidence={**about, "quality": evidence(verdict.quality)},
            report=str(verdict.report_html),
        )
    ]


def _drift(verdict: Verdict, columns: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> list[Finding]:
    if not verdict.drifted:
        return []
    return [
        Finding(
            "drift",
            f"{_model(verdict)}: drift in {_listed(verdict.drifted_columns)}",
            "\n".join(f"{column['name']}: {reason}" for column in columns for reason in column["reasons"]),
            members=verdict.drifted_columns,
            evidence={**about, "columns": list(columns)},
            report=str(verdict.report_html),
        )
    ]


def _model(verdict: Verdict) -> str:
    return f"{verdict.model} version {verdict.version}" if verdict.version else verdict.model


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
