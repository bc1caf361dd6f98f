"""Send alerts as JSON to a webhook: signed, if there is a secret (https://www.standardwebhooks.com)."""

from __future__ import annotations

import json
import time
from typing import Any

from runtime_lib.monitoring.alerts.message import Message
from runtime_lib.monitoring.alerts.post import post
from runtime_lib.settings.channel import Channel
from runtime_lib.signature import key_of, sign

__all__ = ["PLAIN", "body", "send"]

# The kind of what goes to `monitoring.webhook` alone: a body that is sent as it is, see payload.py.
PLAIN = "verdict"


def send(channel: Channel, message: Message, timeout: float) -> None:
    """POST the message, once.

    Raises:
        Undelivered: it was not taken.
    """
    content = json.dumps(body(message), ensure_ascii=False, allow_nan=False).encode()
    post(channel.url, content, _headers(channel, message, content), timeout=timeout)


def body(message: Message) -> dict[str, Any]:
    """The body, format 2; of what goes to the old webhook format 1, as it is."""
    alert = message.alert
    if alert.kind == PLAIN:
        return dict(alert.evidence)
    return {
        "format": 2,
        "type": f"alert.{alert.status}",
        "timestamp": alert.time.isoformat(),
        "id": message.id,
        "test": message.test,
        "text": f"{message.heading}\n{alert.text}",
        "data": alert.to_dict(),
    }


def _headers(channel: Channel, message: Message, content: bytes) -> dict[str, str]:
    if message.alert.kind == PLAIN:
        return {}
    at = str(int(time.time()))
    headers = {"webhook-id": message.id, "webhook-timestamp": at}
    if channel.secret:
        signature = sign(key_of(channel.secret), message.id.encode(), at.encode(), content)
        headers["webhook-signature"] = signature.decode()
    return headers
