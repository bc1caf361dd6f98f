"""Send a test alert, so that a channel is known to work before it is needed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.alert import Alert, Finding, Scope
from runtime_lib.monitoring.alerts.deliver import Result, deliver
from runtime_lib.monitoring.alerts.message import Message
from runtime_lib.monitoring.alerts.send import channels_of, is_old
from runtime_lib.monitoring.alerts.webhook import PLAIN
from runtime_lib.settings import Settings
from runtime_lib.settings.channel import Channel

__all__ = ["Tried", "try_channels"]

# Where the end of an alert is more than another message to read.
_RESOLVES = ("webhook", "pagerduty", "alertmanager")
_TEXT = "A test, made by `mlops alerts test`: nothing was found, and nothing is to be done."


@dataclass(frozen=True)
class Tried:
    """Whether a channel took the test: `error` says why not."""

    channel: str
    kind: str
    host: str
    sent: int
    error: str | None = None


def try_channels(settings: Settings, name: str | None = None) -> list[Tried]:
    """Send a marked test alert through each channel, or the one of that name, and its end where it has one.

    Nothing is recorded, and nothing is kept to be sent again.

    Raises:
        SettingsError: there is no channel, or none of that name.
    """
    channels = _chosen(channels_of(settings), name)
    results: list[Result] = []
    messages = {each: _messages(settings, each, channel) for each, channel in channels.items()}
    deliver(channels, messages, results.append)
    return [
        _tried(each, channel, [result for result in results if result.channel == each])
        for each, channel in channels.items()
    ]


def _chosen(channels: Mapping[str, Channel], name: str | None) -> dict[str, Channel]:
    if not channels:
        raise SettingsError(
            "There is no channel yet: write a table [monitoring.alerts.NAME] into mlops.toml."
        )
    if name is None:
        return dict(channels)
    if name not in channels:
        near = get_close_matches(name, channels, 1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(channels)}."
        raise SettingsError(f"There is no channel '{name}'. {hint}")
    return {name: channels[name]}


def _messages(settings: Settings, name: str, channel: Channel) -> list[Message]:
    scope = Scope(settings.project.name, settings.environment, settings.model_name)
    if is_old(settings, name):
        text = f"[TEST] {scope.model}: {_TEXT}"
        body = {"format": 1, "event": "test", "text": text, **scope._asdict()}
        finding = Finding(PLAIN, "", "", evidence=body)
        return [Message(Alert.of(finding, scope, "test", "event", datetime.now(UTC)), test=True)]
    finding = Finding(
        "test",
        f"{settings.model_name}: test of the channel '{name}'",
        _TEXT,
        severity=channel.severity,
        group=secrets.token_hex(4),  # two tests at once are two incidents
    )
    alert = Alert.of(finding, scope, "test", "firing", datetime.now(UTC))
    messages = [Message(alert, test=True)]
    if channel.kind in _RESOLVES:
        gone = replace(alert, status="resolved", time=datetime.now(UTC))
        messages.append(Message(gone, 1, alert.severity, test=True))
    return messages


def _tried(name: str, channel: Channel, results: list[Result]) -> Tried:
    causes = [result.cause for result in results if result.cause is not None]
    return Tried(name, channel.kind, channel.place, len(results) - len(causes), causes[0] if causes else None)
