"""Dead letters: what a channel did not take is kept, shown by `mlops alerts list`, and tried at the next run.

    var/monitoring/alerts/dead.jsonl    one JSON object a line, format 1; for its owner's eyes alone

A letter holds the alert and why it was not delivered, nothing of the channel but its name. A line that a kill
cut short is left out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runtime_lib.files import append_line, atomic_file, read_lines
from runtime_lib.monitoring.alerts.alert import Alert
from runtime_lib.monitoring.alerts.message import Message

__all__ = ["DeadLetter", "DeadLetters"]

_FORMAT = 1
# After that nobody waits for it any more; and no channel that is gone fills the disk.
_KEPT = timedelta(days=30)
_MOST = 1_000


@dataclass(frozen=True)
class DeadLetter:
    """A message that `channel` did not take.

    Attributes:
        cause: of its last try, in words.
        runs: in how many runs it was tried.
        first, last: when it was first and last given up.
    """

    channel: str
    message: Message
    cause: str
    runs: int
    first: datetime
    last: datetime

    def to_dict(self) -> dict[str, Any]:
        times = {"first": self.first.isoformat(), "last": self.last.isoformat()}
        message = self.message.to_dict()
        return {"channel": self.channel, "cause": self.cause, "runs": self.runs, **times, "message": message}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> DeadLetter:
        message = {**stored["message"], "alert": Alert.from_dict(stored["message"]["alert"])}
        times = {name: datetime.fromisoformat(stored[name]) for name in ("first", "last")}
        return cls(**{**stored, **times, "message": Message(**message)})

    @property
    def id(self) -> tuple[str, str]:
        return self.channel, self.message.id


class DeadLetters:
    """The file, held in memory: for the process that holds the state's lock, or to read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._letters = {letter.id: letter for letter in _read(path)}

    def all(self) -> list[DeadLetter]:
        """Oldest first."""
        return list(self._letters.values())

    def add(self, channel: str, message: Message, cause: str, now: datetime) -> None:
        """Keep a message, or say of one that is kept why it was not delivered again."""
        known = self._letters.get((channel, message.id))
        if known:
            again = replace(known, message=message, cause=cause, runs=known.runs + 1, last=now)
            self._letters[known.id] = again
            return self._write()
        letter = DeadLetter(channel, message, cause, 1, now, now)
        self._letters[letter.id] = letter
        append_line(self._path, _line(letter))

    def drop(self, gone: Callable[[DeadLetter], bool]) -> None:
        kept = {letter.id: letter for letter in self.all() if not gone(letter)}
        if len(kept) < len(self._letters):
            self._letters = kept
            self._write()

    def drop_old(self, now: datetime) -> None:
        """Leave out what is older than a month, and more than a thousand: the oldest."""
        newest = {letter.id for letter in self.all()[-_MOST:]}
        old = [letter for letter in self.all() if now - letter.first > _KEPT or letter.id not in newest]
        if old:
            logging.getLogger(__name__).warning("%d alerts that were never delivered are given up.", len(old))
            self.drop(lambda letter: letter in old)

    def _write(self) -> None:
        if not self._letters:
            self._path.unlink(missing_ok=True)
            return
        with atomic_file(self._path) as temporary:
            append_line(temporary, b"\n".join(map(_line, self.all())))


def _line(letter: DeadLetter) -> bytes:
    return json.dumps({"format": _FORMAT, **letter.to_dict()}, ensure_ascii=False, allow_nan=False).encode()


def _read(path: Path) -> list[DeadLetter]:
    found = []
    for where, stored in read_lines(path, newest=_FORMAT):
        try:
            found.append(DeadLetter.from_dict(stored or {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            logging.getLogger(__name__).warning("%s is no dead letter and is left out.", where)
    return found
