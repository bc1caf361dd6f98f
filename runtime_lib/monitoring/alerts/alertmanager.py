"""Send alerts to Prometheus' Alertmanager, API v2 (its api/v2/openapi.yaml)."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runtime_lib.monitoring.alerts.message import Message, cut
from runtime_lib.monitoring.alerts.post import post
from runtime_lib.settings.channel import Channel

__all__ = ["body", "send"]

# An alert that is not repeated must not end by itself before it is resolved.
_FOR_GOOD = timedelta(days=365)
# One that is repeated may be late by a run.
_LATE = timedelta(days=1)
_OF_EVENT = timedelta(minutes=5)


def send(channel: Channel, message: Message, timeout: float) -> None:
    """POST the message, once.

    Raises:
        Undelivered: it was not taken.
    """
    content = json.dumps(body(message, hours=channel.repeat)).encode()
    login = base64.b64encode(f"{channel.user}:{channel.password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"} if channel.password else {}
    post(f"{channel.url.rstrip('/')}/api/v2/alerts", content, headers, timeout=timeout)


def body(message: Message, *, hours: float) -> list[dict[str, Any]]:
    """The alert; one whose severity has changed also ends under the one it had, as labels are its identity.

    Args:
        hours: after which it is sent again while it fires; 0: never.
    """
    alert = message.alert
    found = [
        _alert(
            message,
            message.told if alert.status == "resolved" and message.told else alert.severity,
            _end(message, hours),
        )
    ]
    if alert.status == "firing" and message.told not in ("", alert.severity):
        found.append(_alert(message, message.told, alert.time))
    return found


def _end(message: Message, hours: float) -> datetime:
    alert = message.alert
    if alert.status == "resolved":
        return alert.time
    if alert.status == "event":
        return alert.time + _OF_EVENT
    return alert.time + (timedelta(hours=hours) + _LATE if hours else _FOR_GOOD)


def _alert(message: Message, severity: str, end: datetime) -> dict[str, Any]:
    alert = message.alert
    labels = {
        "alertname": f"mlops_{alert.kind}",
        "project": alert.project,
        "environment": alert.environment,
        "model": alert.model,
        "kind": alert.kind,
        "key": alert.key,
        "severity": severity,
        "test": "true" if message.test else "",  # an empty one is none
    }
    annotations = {
        "summary": alert.title,
        "description": cut(alert.text, 10_000),
        "affected": cut(", ".join(alert.members), 10_000),
    }
    return {
        "labels": labels,
        "annotations": annotations,
        "startsAt": alert.since.isoformat(),
        "endsAt": end.isoformat(),
        "generatorURL": _address(alert.report),
    }


def _address(report: str) -> str:
    return Path(report).as_uri() if report.startswith("/") else report
