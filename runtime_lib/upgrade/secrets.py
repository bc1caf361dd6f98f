"""Remove passwords from the addresses in messages."""

from __future__ import annotations

import re

__all__ = ["without_secrets"]

# A password or token in front of a host. The `git@` of an ssh address is not a secret.
_LOGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/@\s:]*)(?P<password>:[^/@\s]*)?@", re.IGNORECASE
)
_PARAMETER = re.compile(r"([?&](?:sig|secret|key|token|password)[^=\s&]*=)[^&#\s'\"]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Return `text` without the passwords and tokens in its addresses."""
    return _PARAMETER.sub(r"\1…", _LOGIN.sub(_login, text))


def _login(found: re.Match[str]) -> str:
    keep = found["user"] if "ssh" in found["scheme"].lower() else ""
    return f"{found['scheme']}://{keep}{'@' if keep else ''}"
