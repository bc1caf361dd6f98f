"""Keep passwords and tokens out of everything that leaves a process: messages, tracebacks, logs, stored text.

`without_secrets` cleans a text. It knows what an address with a login looks like, and by heart the passwords
that settings and environment hold, however they are spelt. `guard` cleans what a process prints on its own.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

__all__ = ["guard", "hide", "hide_values", "is_encoded", "password_of", "without_secrets"]

# What the tools behind this library read their passwords from.
_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLOPS_AIRFLOW_PASSWORD",
    "MLOPS_WEBHOOK_SECRET",
    "PGPASSWORD",
)
# A shorter password is removed from addresses only: elsewhere it may be a part of any word.
_LEAST = 4
# A path as long as this is not typed by hand: chats put a secret into it.
_LONG_PATH = 16

# `user:password@` in front of a host. The second form is of passwords that should have been encoded: they
# hold a slash, which ends a host. `host:8080/path@v1` has no login.
_LOGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[^/\s'\":@]*)(?::[^/\s'\"]*)?[^/\s'\"]*@|[^/\s'\":@]*:(?!\d+/)[^\s'\"]*@)",
    re.IGNORECASE,
)
# The same, mistyped: without the colon behind its scheme. Drivers print such an address as it is.
_MISTYPED = re.compile(r"(?<!:)//[^/\s'\":@]*:[^/\s'\"@]+@")
# A `?` behind a `#` is read by the page alone: MLflow's pages name their view there.
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?#'\")]*)\?([^\s'\")]+)", re.IGNORECASE)
# Here the part in front of the host is no secret: a login without a password, or a container.
_KEEP_USER = ("ssh", "sftp", "wasb", "wasbs", "abfs", "abfss")

_known: set[str] = set()


def without_secrets(text: str) -> str:
    """Return `text` without the passwords and tokens in its addresses, and without those that are known."""
    for spelt in sorted(_spellings(), key=len, reverse=True):
        text = text.replace(spelt, "…")
    return _QUERY.sub(_query, _MISTYPED.sub("//", _LOGIN.sub(_login, text)))


def hide(*addresses: str) -> None:
    """Remember the secrets of these addresses: `without_secrets` removes them wherever they stand."""
    for address in addresses:
        if password := password_of(address):
            _known.add(password)
        try:
            path = urlsplit(address).path
        except ValueError:
            continue
        if address.startswith("http") and len(path) >= _LONG_PATH:
            _known.add(path)


def hide_values(*values: str) -> None:
    """Remember these secrets whole, and of one that is an address its path and query too."""
    for value in values:
        if not value.startswith(("http://", "https://")):
            _known.add(value)
            continue
        _, _, rest = value.partition("://")
        path = rest[len(re.split(r"[/?#]", rest, maxsplit=1)[0]) :]
        _known.update((value, path) if len(path) >= _LONG_PATH else (value,))


def password_of(address: str) -> str:
    """Return the password in front of an address's host as it is written there, encoded or not; or ""."""
    _, separator, rest = address.partition("://")
    login, at, _ = rest.rpartition("@")
    return login.partition(":")[2] if separator and at and not login.startswith("/") else ""


def is_encoded(address: str) -> bool:
    """Whether an address can be taken apart: `/ @ : # ? %` and spaces in its login are percent-encoded."""
    _, separator, rest = address.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not separator or not host:
        return True
    login, at, place = host.rpartition("@")
    if not at:
        # A login that was cut off at its slash looks like a port that is no number.
        return re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?", host) is not None
    good = re.fullmatch(r"(?:[^@:%\s]|%[0-9a-f]{2})*(?::(?:[^@:%\s]|%[0-9a-f]{2})*)?", login, re.IGNORECASE)
    return good is not None and re.fullmatch(r"(\[[^\]]*\]|[^:\s]*)(:\d*)?", place) is not None


def guard() -> None:
    """Clean what this process prints without being asked: tracebacks, logs, warnings. For commands only."""
    sys.excepthook = _print_traceback
    threading.excepthook = lambda thread: _print_traceback(
        thread.exc_type, thread.exc_value or thread.exc_type(), thread.exc_traceback
    )
    made, shown = logging.getLogRecordFactory(), warnings.formatwarning
    logging.setLogRecordFactory(lambda *args, **kwargs: _cleaned(made(*args, **kwargs)))
    warnings.formatwarning = lambda *args, **kwargs: without_secrets(shown(*args, **kwargs))


def _print_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    print(without_secrets("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _cleaned(record: logging.LogRecord) -> logging.LogRecord:
    record.msg, record.args = without_secrets(record.getMessage()), ()
    if record.exc_info and not record.exc_text:  # a formatter takes this text as it is
        record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
    return record


def _spellings() -> Iterator[str]:
    """The known secrets, each as it may turn up: encoded, decoded, or as a string of Python or JSON."""
    for written in (*_known, *(os.environ.get(name, "") for name in _VARIABLES)):
        for secret in {written, unquote(written), unquote_plus(written)}:
            if len(secret) >= _LEAST:
                yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))
                yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1])


def _login(found: re.Match[str]) -> str:
    user = found["user"] if found["scheme"].lower().removeprefix("git+") in _KEEP_USER else ""
    return f"{found['scheme']}://{user}{'@' if user else ''}"


def _query(found: re.Match[str]) -> str:
    return f"{found[1]}?{re.sub(r'=[^&#]*', '=…', found[2])}"
