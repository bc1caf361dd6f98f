"""What the loop did, one line of JSON for each step, in `var/monitoring/loop.jsonl`.

A line is written whole or not at all: a torn last one is left out when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from runtime_lib.errors import ServiceError

__all__ = ["WORDS", "OnStep", "Step", "append", "read"]

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
        """JSON-able values."""
        return {**asdict(self), "time": self.time.isoformat()}


OnStep = Callable[[Step], None]


def append(path: Path, step: Step) -> None:
    """Add a step, and have it on the disk.

    Raises:
        ServiceError: it cannot be written.
    """
    line = json.dumps(step.to_dict(), ensure_ascii=False, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        with path.open("ab") as file:
            file.write(("\n" if torn else "").encode() + line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ServiceError(f"The step cannot be written to {path}: {error.strerror}.") from error


def read(path: Path) -> list[Step]:
    """All steps, the oldest first; lines that cannot be read are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            fields = json.loads(line)
            found.append(Step(**{**fields, "time": datetime.fromisoformat(fields["time"])}))
        except (ValueError, TypeError, KeyError):
            continue
    return found
