"""What an alert says: the evidence, so that its reader need not open the report to believe it."""

from __future__ import annotations

from typing import Any

from runtime_lib.monitoring.verdict import Verdict

__all__ = ["payload"]

_OF_VERDICT = (
    "project",
    "environment",
    "model",
    "version",
    "time",
    "rows",
    "retrain",
    "drifted",
    "reasons",
    "rules",
    "performance",
    "skew",
    "report",
)
_OF_COLUMN = ("name", "effect", "second", "second_name", "q", "rows", "change", "nulls", "unseen", "reasons")


def payload(verdict: Verdict) -> dict[str, Any]:
    """Return an alert's JSON body, format 1: what was found, on how many rows, against which limit.

    `text` says it in a few lines: chats show it. `columns` are those that have drifted.
    """
    full = verdict.to_dict()
    columns = [column for column in (*full["columns"], *full["predictions"]) if column["drifted"]]
    return {
        "format": 1,
        "event": verdict.state,
        "text": _text(verdict),
        **{name: full[name] for name in _OF_VERDICT},
        "columns": [{name: column[name] for name in _OF_COLUMN} for column in columns],
    }


def _text(verdict: Verdict) -> str:
    what = {
        "retrain": "retraining is due",
        "quality": "served rows break quality rules",
        "skew": f"skew in {', '.join(column.name for column in verdict.skew.columns)}",
    }.get(verdict.state, f"drift in {', '.join(verdict.drifted_columns)}")
    version = f" version {verdict.version}" if verdict.version else ""
    return "\n".join([f"{verdict.model}{version}: {what}", *(f"- {reason}" for reason in verdict.reasons)])
