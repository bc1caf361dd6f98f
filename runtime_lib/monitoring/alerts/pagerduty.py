"""Send alerts to PagerDuty: Events API v2 (https://developer.pagerduty.com/docs/events-api-v2-overview)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from runtime_lib.monitoring.alerts.message import Message, cut
from runtime_lib.monitoring.alerts.post import post
from runtime_lib.settings.channel import Channel

__all__ = ["body", "send"]

# Its limits: characters of summary and dedup_key, bytes of an event (512 kB).
_SUMMARY, _KEY, _LARGEST = 1_024, 255, 500_000


def send(channel: Channel, message: Message, timeout: float) -> None:
    """POST the message, once.

    Raises:
        Undelivered: it was not taken.
    """
    event = {"routing_key": channel.routing_key, **body(message)}
    content = json.dumps(event).encode()
    if len(content) > _LARGEST:
        event["payload"]["custom_details"].pop("evidence", None)
        content = json.dumps(event).encode()
    post(channel.address, content, {}, timeout=timeout)


def body(message: Message) -> dict[str, Any]:
    """The event but for its routing key. An incident keeps its `dedup_key` until it is resolved."""
    alert = message.alert
    key = alert.key if alert.status != "event" else message.id
    event = {
        "event_action": "resolve" if alert.status == "resolved" else "trigger",
        "dedup_key": key if len(key) <= _KEY else hashlib.sha256(key.encode()).hexdigest(),
    }
    if alert.status == "resolved":
        return event
    return {
        **event,
        "client": "mlops monitor",
        "payload": {
            "summary": cut(("[TEST] " if message.test else "") + alert.title, _SUMMARY),
            "source": f"{alert.project}/{alert.environment}",
            "severity": alert.severity,
            "timestamp": alert.since.isoformat(),
            "component": alert.model,
            "group": alert.project,
            "class": alert.kind,
            "custom_details": {
                "text": cut(alert.text, 10_000),
                "affected": list(alert.members[:1_000]),
                "report": alert.report,
                "evidence": dict(alert.evidence),
            },
        },
    }
