"""What the loop did, when and why.

    var/monitoring/loop.jsonl    one JSON object a line, appended and forced to disk, never changed; format 1

A line that a kill cut short is left out when it is read, and so is one that is no step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import append_line, read_lines
from runtime_lib.monitoring.alerts.alert import plain

__all__ = ["WORDS", "Note", "OnStep", "Step", "What", "append", "newest", "read"]

_FORMAT = 1
_SHOWN = 10  # on the page

# What a step is: retraining began here, or was asked of Airflow; and how it ended.
What = Literal["started", "asked", "released", "waiting", "refused", "nothing", "failed", "cooling"]

WORDS: Mapping[What, str] = {
    "started": "retraining began",
    "asked": "Airflow was asked to retrain",
    "released": "released",
    "waiting": "waits for a person",
    "refused": "refused by the gate",
    "nothing": "nothing new",
    "failed": "failed",
    "cooling": "cools down",
}


@dataclass(frozen=True)
class Step:
    """A step of the loop.

    Attributes:
        version: whose performance dropped.
        reason: why, in a sentence.
        to: of a step that ended with a new version: which.
        figures: what it was decided on.
    """

    what: What
    version: str
    reason: str
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    to: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, without any secret."""
        return {**plain(asdict(self)), "time": self.time.isoformat()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Step:
        """The step of `to_dict`.

        Raises:
            TypeError, KeyError, ValueError: it is none.
        """
        step = cls(**{**stored, "time": datetime.fromisoformat(stored["time"])})
        if step.what not in WORDS or step.time.tzinfo is None:
            raise ValueError(f"{step.what} at {step.time} is no step")
        return step


OnStep = Callable[[Step], None]
Note = Callable[..., Step]


def append(path: Path, step: Step) -> None:
    """Add a step, and have it on the disk.

    Raises:
        ServiceError: it cannot be written.
    """
    line = json.dumps({"format": _FORMAT, **step.to_dict()}, ensure_ascii=False, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append_line(path, line.encode())
    except OSError as error:
        raise ServiceError(f"A step of the loop cannot be written to {path} ({error.strerror}).") from error


def read(path: Path) -> list[Step]:
    """All steps, the oldest first; lines that are none are left out.

    Raises:
        DataError: the file cannot be read, or is of a later format.
    """
    try:
        lines = read_lines(path, newest=_FORMAT)
    except OSError as error:
        raise DataError(f"What the loop did cannot be read from {path} ({error.strerror}).") from error
    found = []
    for _, stored in lines:
        try:
            found.append(Step.from_dict(stored or {}))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def newest(path: Path) -> tuple[Step, ...]:
    """The last steps, for a report. For errors see `read`."""
    return tuple(read(path)[-_SHOWN:])
