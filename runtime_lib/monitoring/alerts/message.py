"""One alert on its way to one channel, and what a channel says when it does not take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from runtime_lib.monitoring.alerts.alert import Alert

__all__ = ["Message", "Undelivered", "cut", "retry_after", "unreached"]


@dataclass(frozen=True)
class Message:
    """What a channel sends.

    Attributes:
        number: how often this channel was told of the incident before.
        told: the severity with which it was told last; empty: never.
        test: made by `mlops alerts test`.
    """

    alert: Alert
    number: int = 0
    told: str = ""
    test: bool = False

    @property
    def id(self) -> str:
        """The same when the same is sent again: a receiver that knows it has had it."""
        return f"{self.alert.incident}-{self.alert.status}-{self.number}"

    @property
    def heading(self) -> str:
        """One line: the title behind what it is."""
        what = {"firing": self.alert.severity, "resolved": "resolved", "event": self.alert.severity}
        test = "[TEST] " if self.test else ""
        return " ".join(f"{test}[{what[self.alert.status]}] {self.alert.title}".split())

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "alert": self.alert.to_dict()}


class Undelivered(Exception):
    """A channel did not take a message.

    Attributes:
        cause: in words that hold no secret.
        final: the same message would be refused again.
        after: seconds that the receiver asks to wait; None: it does not say.
        down: the next message would fare no better.
    """

    def __init__(
        self, cause: str, *, final: bool = False, after: float | None = None, down: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause, self.final, self.after, self.down = cause, final, after, down


def unreached(error: object, timeout: float) -> Undelivered:
    """A connection that failed. The error's own words may hold what was sent, so only its kind is told."""
    if isinstance(error, TimeoutError):
        return Undelivered(f"no answer within {timeout:.0f} s", down=True)
    return Undelivered(type(error).__name__ if isinstance(error, Exception) else "not reachable", down=True)


def retry_after(text: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        when = parsedate_to_datetime(text)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


def cut(text: str, most: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
