"""The journal of releases: every change of traffic with who, when, why and on which figures.

    var/serving/releases.jsonl      one JSON object a line, appended and forced to disk, never changed

A line holds the state after its change, so the last whole line is what holds: writing it down and deciding
it are one act, and a line that a kill cut short was never decided. Format 1.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import append_line, read_lines
from runtime_lib.secrets import without_secrets
from runtime_lib.serving.traffic import Policy

__all__ = ["Change", "Held", "Journal", "State"]

_FORMAT = 1


@dataclass(frozen=True)
class Held:
    """The files of a version on this machine."""

    folder: str
    digest: str


@dataclass(frozen=True)
class State:
    """What a server does.

    Attributes:
        model: the registered model's name.
        policy: who gets which requests.
        models: the files of each version that the policy names.
        settled: versions that had all of the traffic, the last one now: where a rollback goes to.
        plan: the release under way, as its controller stores it; None: none is.
        followed: the champion that traffic was last moved to; another one is news.
    """

    model: str
    policy: Policy
    models: Mapping[str, Held]
    settled: tuple[str, ...] = ()
    plan: Mapping[str, Any] | None = None
    followed: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "policy": self.policy.to_dict(),
            "models": {version: asdict(held) for version, held in self.models.items()},
            "settled": list(self.settled),
            "plan": dict(self.plan) if self.plan else None,
            "followed": self.followed,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> State:
        return cls(
            stored["model"],
            Policy.from_dict(stored["policy"]),
            {version: Held(**held) for version, held in stored["models"].items()},
            tuple(stored["settled"]),
            stored["plan"],
            stored["followed"],
        )


@dataclass(frozen=True)
class Change:
    """One line of the journal.

    Attributes:
        action: what was done: deployed, moved on, rolled back, …
        by: a person ("hand"), or what decided in its place: "canary", "champion", "bandit".
        before: the weights before it; empty: there was no service.
        figures: on which it was decided.
        key: names it for good, here and in the registry.
    """

    action: str
    by: str
    who: str
    reason: str
    before: Mapping[str, int]
    state: State
    figures: Mapping[str, Any] = field(default_factory=dict)
    time: str = ""
    key: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As `mlops releases --json` shows it."""
        return {
            "time": self.time,
            "who": self.who,
            "by": self.by,
            "action": self.action,
            "before": dict(self.before),
            "after": dict(self.state.policy.weights),
            "shadows": list(self.state.policy.shadows),
            "reason": self.reason,
            "figures": dict(self.figures),
            "key": self.key,
        }


class Journal:
    """The file, for one supervisor to write and any number of commands to read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # What holds although it could not be written.
        self._later: list[Change] = []

    def append(self, change: Change) -> Change:
        """Write a change down for good, and return it with its time and key.

        Raises:
            ServiceError: the disk is full, or the folder cannot be written.
        """
        change = _stamped(change, datetime.now(UTC))
        try:
            self._write_later()
            self._write(change)
        except OSError as error:
            raise ServiceError(
                f"The journal of releases cannot be written ({error}), so nothing was changed."
            ) from error
        return change

    def append_later(self, change: Change) -> Change:
        """As `append`, but a change that cannot be written now is kept for `catch_up`: it has to hold."""
        change = _stamped(change, datetime.now(UTC))
        self._later.append(change)
        self.catch_up()
        return change

    def catch_up(self) -> bool:
        """Write what was kept; return whether nothing is left to write."""
        try:
            self._write_later()
        except OSError:
            return False
        return True

    def _write_later(self) -> None:
        while self._later:
            self._write(self._later[0])
            del self._later[0]

    def _write(self, change: Change) -> None:
        line = json.dumps({"format": _FORMAT, **asdict(change), "state": change.state.to_dict()})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self._path, line.encode())

    def changes(self) -> tuple[Change, ...]:
        """Every change, oldest first.

        Raises:
            DataError: a line is of a later format.
        """
        try:
            lines = read_lines(self._path, newest=_FORMAT)
        except OSError as error:
            raise DataError(f"The journal of releases cannot be read ({error}): mend its place.") from error
        # What a kill or a full disk cut short was never decided.
        return tuple(_change(stored, where) for where, stored in lines if stored is not None)

    def last(self) -> Change | None:
        """What holds; None: nothing was ever released here."""
        found = self.changes()
        return found[-1] if found else None


def _change(stored: dict[str, Any], where: str) -> Change:
    try:
        return Change(**{**stored, "state": State.from_dict(stored["state"])})
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{where} is damaged ({error}). Remove the line.") from error


def _stamped(change: Change, now: datetime) -> Change:
    key = f"{now:%Y%m%dT%H%M%S.%fZ}.{secrets.token_hex(3)}"
    fields = {**change.__dict__, "time": now.isoformat(timespec="microseconds"), "key": key}
    return Change(**{**fields, "reason": without_secrets(change.reason)})
