"""Which channel is due to be told what: no files, no network, no clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from runtime_lib.monitoring.alerts.alert import Alert, rank
from runtime_lib.monitoring.alerts.message import Message
from runtime_lib.monitoring.alerts.state import Told
from runtime_lib.settings.channel import Channel

__all__ = ["due"]

# A run that comes a little early, as every run of a schedule may, repeats all the same.
_EARLY = 0.98


def due(
    alert: Alert, channel: Channel, told: Told | None, now: datetime, *, quiet: Collection[str] = ()
) -> Message | None:
    """The message that a channel is due to get of an alert that is not silenced, or None.

    Of one that fires: when it is new to the channel, graver than it was told, about a member that was not
    named yet, or after `repeat` hours. That it is gone, whoever was told of it.

    Args:
        quiet: members that are silenced: none of them is a reason.
    """
    if alert.status == "resolved":
        return Message(alert, told.sends, told.severity) if told else None
    if rank(alert.severity) < rank(channel.severity):
        return None
    if told is None:
        return Message(alert)
    if alert.status == "firing" and _again(alert, channel, told, now, quiet):
        return Message(alert, told.sends, told.severity)
    return None


def _again(alert: Alert, channel: Channel, told: Told, now: datetime, quiet: Collection[str]) -> bool:
    if told.time is None:  # before a silence
        return True
    if rank(alert.severity) > rank(told.severity):
        return True
    if set(alert.members) - told.members - set(quiet):
        return True
    if channel.kind == "alertmanager":  # it forgets what is not sent again, and repeats on its own
        return now > told.time
    return bool(channel.repeat) and now - told.time >= timedelta(hours=channel.repeat * _EARLY)
