"""What the doctor reports: what it checked, what it found, and how to fix it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Level"]

Level = Literal["ok", "note", "fix"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: what was checked: a file, a package, a setting.
        level: ok; note (worth knowing, nothing has to be done); fix (something is wrong).
        found: what was found.
        fix: a command or short advice; empty if there is nothing to do.
    """

    what: str
    level: Level
    found: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        return self.level != "fix"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}
