"""What fires, what is silenced, what could not be delivered, and where alerts go: nothing in it is secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runtime_lib.monitoring.alerts.alert import Alert
from runtime_lib.monitoring.alerts.dead import DeadLetter
from runtime_lib.monitoring.alerts.send import channels_of, dead_letters
from runtime_lib.monitoring.alerts.silence import Silence, silenced
from runtime_lib.monitoring.alerts.state import opened
from runtime_lib.settings import Settings
from runtime_lib.settings.channel import Channel
from runtime_lib.settings.channels import variable

__all__ = ["Overview", "overview"]


@dataclass(frozen=True)
class Overview:
    """The alerts of a project at one time."""

    firing: tuple[Alert, ...]
    silenced: tuple[Alert, ...]
    silences: tuple[Silence, ...]
    dead: tuple[DeadLetter, ...]
    channels: dict[str, Channel]

    def to_dict(self) -> dict[str, Any]:
        """As `mlops alerts list --json` shows it, format 1."""
        return {
            "format": 1,
            "firing": [alert.to_dict() for alert in self.firing],
            "silenced": [alert.to_dict() for alert in self.silenced],
            "silences": [silence.to_dict() for silence in self.silences],
            "dead": [letter.to_dict() for letter in self.dead],
            "channels": [_shown(name, channel) for name, channel in self.channels.items()],
        }


def overview(settings: Settings, *, now: datetime | None = None) -> Overview:
    """Look at the alerts, also while a run sends them.

    Raises:
        DataError: the state or the dead letters cannot be read.
    """
    now = now or datetime.now(UTC)
    channels, dead = channels_of(settings), tuple(dead_letters(settings).all())
    if not settings.alerts.exists():
        return Overview((), (), (), dead, channels)
    with opened(settings.alerts) as state:
        silences = [silence for silence in state.silences() if silence.end > now]
        alerts = [alert for alert, _ in state.alerts() if alert.status == "firing"]
    hushed = {alert.key for alert in alerts if silenced(alert, silences, now)[0]}
    return Overview(
        tuple(alert for alert in alerts if alert.key not in hushed),
        tuple(alert for alert in alerts if alert.key in hushed),
        tuple(silences),
        dead,
        channels,
    )


def _shown(name: str, channel: Channel) -> dict[str, Any]:
    return {
        "name": name,
        "kind": channel.kind,
        "host": channel.place,
        "severity": channel.severity,
        "repeat": channel.repeat,
        "missing": [variable(name, key) for key in channel.missing],
    }
