"""Settings on their way to another process of the same user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runtime_lib.settings.tables import Settings

__all__ = ["from_dict", "to_dict"]


def to_dict(settings: Settings) -> dict[str, Any]:
    """The settings as JSON takes them."""
    found: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    return found


def from_dict(stored: Mapping[str, Any]) -> Settings:
    """The settings of `to_dict`."""
    return msgspec.convert(stored, Settings, dec_hook=lambda kind, value: Path(value))
