"""Send alerts to Slack: an incoming webhook that takes blocks (https://docs.slack.dev/reference/block-kit)."""

from __future__ import annotations

import json
from typing import Any

from runtime_lib.monitoring.alerts.message import Message, cut
from runtime_lib.monitoring.alerts.post import post
from runtime_lib.settings.channel import Channel

__all__ = ["body", "send"]

# Slack's limits, in characters, of what it would refuse whole.
_HEADER, _SECTION, _FIELD = 150, 3_000, 2_000


def send(channel: Channel, message: Message, timeout: float) -> None:
    """POST the message, once.

    Raises:
        Undelivered: it was not taken.
    """
    post(channel.url, json.dumps(body(message)).encode(), {}, timeout=timeout)


def body(message: Message) -> dict[str, Any]:
    """The message in blocks, and as one line for notifications."""
    alert = message.alert
    about = [("Model", alert.model), ("Environment", alert.environment), ("Severity", alert.severity)]
    if alert.members:
        about.append(("Affected", ", ".join(alert.members)))
    since = (
        f"since {alert.since:%Y-%m-%d %H:%M} UTC"
        if alert.status != "event"
        else f"{alert.time:%Y-%m-%d %H:%M} UTC"
    )
    where = f" · {alert.report}" if alert.report else ""
    return {
        "text": _escaped(message.heading, _SECTION),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": cut(message.heading, _HEADER)}},
            *([{"type": "section", "text": _text(alert.text, _SECTION)}] if alert.text else []),
            {"type": "section", "fields": [_text(value, _FIELD, name) for name, value in about]},
            {
                "type": "context",
                "elements": [_text(f"{alert.project} · {alert.kind} · {since}{where}", _FIELD)],
            },
        ],
    }


def _text(text: str, most: int, name: str = "") -> dict[str, str]:
    title = f"*{name}*\n" if name else ""
    return {"type": "mrkdwn", "text": title + _escaped(text, most - len(title))}


def _escaped(text: str, most: int) -> str:
    """With its control characters escaped, cut so that no escape is cut apart."""
    for size in (most, most // 5):  # of `&` alone, five times as long
        escaped = cut(text, size).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if len(escaped) <= most:
            break
    return escaped
