"""Settings on their way to another process of the same user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec.structs import replace

from runtime_lib.settings.tables import Settings

__all__ = ["from_dict", "to_dict", "without_logins"]


def to_dict(settings: Settings) -> dict[str, Any]:
    """The settings as JSON takes them."""
    found: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    return found


def without_logins(settings: Settings) -> Settings:
    """The settings without what opens a door, for another machine, whose own environment has that."""
    uri = settings.tracking.uri
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        uri = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    alerts = {name: channel.bare() for name, channel in settings.monitoring.alerts.items()}
    return replace(
        settings,
        tracking=replace(settings.tracking, uri=uri),
        monitoring=replace(settings.monitoring, webhook="", alerts=alerts),
    )


def from_dict(stored: Mapping[str, Any]) -> Settings:
    """The settings of `to_dict`."""
    return msgspec.convert(stored, Settings, dec_hook=lambda kind, value: Path(value))
