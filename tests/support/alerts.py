"""Findings, alerts and channels for the tests of alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runtime_lib.monitoring.alerts.alert import Alert, Finding

__all__ = ["NOW", "alert", "drift", "webhook"]

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)


def webhook(name: str, url: str, **keys: Any) -> tuple[str, dict[str, str]]:
    """The table of a channel that tries fast, and the variable of its address."""
    given = {"kind": '"webhook"', "pause": "0.01", **keys}
    lines = "".join(f"{key} = {value}\n" for key, value in given.items())
    return f"[monitoring.alerts.{name}]\n{lines}", {f"MLOPS_MONITORING__ALERTS__{name.upper()}__URL": url}


def drift(*columns: str, **keys: Any) -> Finding:
    given = {"kind": "drift", "title": f"shop: drift in {', '.join(columns)}", "text": "PSI 0.31", **keys}
    return Finding(members=columns, **given)


def alert(**keys: Any) -> Alert:
    """An alert of many characters that receivers treat as their own."""
    given: dict[str, Any] = {
        "key": "shop/prod/shop/monitor/drift",
        "source": "monitor",
        "project": "shop",
        "environment": "prod",
        "model": "shop",
        "kind": "drift",
        "severity": "warning",
        "version": "7",
        "status": "firing",
        "title": "shop version 7: drift in <b>place</b> & 'speed'",
        "text": "<b>place</b>: PSI 0.31 ≥ 0.2 *bold* & <!channel>\nspeed: missing values 0 → 9 %",
        "since": NOW,
        "time": NOW,
        "members": ("<b>place</b>", "speed"),
        "evidence": {"rows": 600, "columns": [{"name": "speed", "effect": 0.31}]},
        "report": "/srv/shop/var/monitoring/report.html",
    }
    return Alert(**{**given, **keys})
