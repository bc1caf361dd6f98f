"""Silences: for a while, alerts that are known are recorded and not sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.alert import Alert

__all__ = ["Silence", "duration", "silenced"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Silence:
    """Alerts that are not sent until `end`; an empty `model`, `kind` or `column` means any.

    Attributes:
        column: one of an alert's members. An alert about others too is sent, with all of them.
        who: the user who asked for it.
    """

    id: str
    model: str
    kind: str
    column: str
    start: datetime
    end: datetime
    who: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Silence:
        times = {name: datetime.fromisoformat(stored[name]) for name in ("start", "end")}
        return cls(**{**stored, **times})

    @classmethod
    def new(
        cls, *, model: str, kind: str, column: str, length: timedelta, who: str, reason: str, now: datetime
    ) -> Silence:
        return cls(secrets.token_hex(4), model, kind, column, now, now + length, who, reason)

    def covers(self, alert: Alert, now: datetime) -> bool:
        """Whether it is about the alert, whichever its columns."""
        about = self.model in ("", alert.model) and self.kind in ("", alert.kind)
        return about and self.start <= now < self.end


def silenced(alert: Alert, silences: Iterable[Silence], now: datetime) -> tuple[bool, frozenset[str]]:
    """Whether nothing of the alert is to be sent; and those of its members that are silenced on their own."""
    found = [silence for silence in silences if silence.covers(alert, now)]
    members = frozenset(silence.column for silence in found if silence.column)
    whole = any(not silence.column for silence in found)
    return whole or bool(alert.members and members >= set(alert.members)), members


def duration(text: str) -> timedelta:
    """`90m`, `2h`, `1.5d`, `1w` as a time.

    Raises:
        SettingsError: it is none, or longer than a year.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhdw])", text.strip(), re.ASCII)
    length = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta()
    if not timedelta() < length <= _LONGEST:
        raise SettingsError(
            f"--for {text!r} is no time: a number and m, h, d or w, as in 90m, 2h or 3d; at most a year."
        )
    return length
