"""What the doctor reports: one thing looked at, how it stands, and what mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Level"]

Level = Literal["ok", "note", "mend"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: the thing: a file, a package, a check.
        level: ok; note (worth knowing, nothing has to be done); mend (something is wrong).
        found: how it stands.
        mend: a command or a short advice, empty where all is well.
    """

    what: str
    level: Level
    found: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        return self.level != "mend"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}
