"""What the doctor reports: one thing looked at, how it stands, and what mends it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Level", "without_secrets"]

Level = Literal["ok", "note", "mend"]

# A password or token in front of a host. `git@` of an ssh address is a user name that everybody knows.
_LOGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/@\s:]*)(?P<password>:[^/@\s]*)?@", re.IGNORECASE
)
_PARAMETER = re.compile(r"([?&](?:sig|secret|key|token|password)[^=\s&]*=)[^&#\s'\"]+", re.IGNORECASE)


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


def without_secrets(text: str) -> str:
    """Take passwords and tokens out of the addresses in `text`."""
    return _PARAMETER.sub(r"\1…", _LOGIN.sub(_login, text))


def _login(found: re.Match[str]) -> str:
    keep = found["user"] if "ssh" in found["scheme"].lower() else ""
    return f"{found['scheme']}://{keep}{'@' if keep else ''}"
