"""Send an alert as JSON to a webhook: a chat, a pager, or anything that takes a POST."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from runtime_lib.errors import ServiceError, SettingsError

__all__ = ["host_of", "send_webhook"]

TRIES = 3


def send_webhook(url: str, payload: Mapping[str, Any], *, timeout: float = 10.0, pause: float = 0.5) -> None:
    """POST `payload` as JSON; three tries, the pause between them doubling.

    A 4xx answer other than 408 and 429 is final: the same request would be refused again. Redirects are
    not followed, as one could carry the evidence to another host.

    Args:
        url: an `http` or `https` address. Chats put a secret into its path: messages name the host alone.
        timeout: seconds per try.
        pause: seconds before the second try.

    Raises:
        ServiceError: not delivered; names the host and the last cause.
        SettingsError: `url` is not an http(s) address.
    """
    host = host_of(url)
    body = json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()
    opener = urllib.request.build_opener(_NoRedirect)
    for attempt in range(1, TRIES + 1):
        cause = _post(opener, url, body, timeout)
        if cause is None:
            return
        final = cause.startswith(("HTTP 3", "HTTP 4")) and cause not in ("HTTP 408", "HTTP 429")
        if final or attempt == TRIES:
            raise ServiceError(
                f"The alert was not delivered to {host} ({cause}, try {attempt}). Check monitoring.webhook."
            )
        time.sleep(pause * 2 ** (attempt - 1))


def host_of(url: str) -> str:
    """Return what may be shown of a webhook address: its host and port.

    Raises:
        SettingsError: not an http(s) address, or one with a user name; the address is not repeated.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host and parts.username is not None:
        raise SettingsError(
            "monitoring.webhook holds a user name, which is not sent. Use an address without one."
        )
    if not host or parts.scheme not in ("http", "https"):
        raise SettingsError(
            "monitoring.webhook is not an http or https address. Write it as https://host/path."
        )
    return f"{host}:{port}" if port else host


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _post(opener: urllib.request.OpenerDirector, url: str, body: bytes, timeout: float) -> str | None:
    """Return None when delivered, else the cause in words that hold nothing of the address."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - `host_of` took http(s) only
    try:
        with opener.open(request, timeout=timeout):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return type(error.reason).__name__ if isinstance(error.reason, Exception) else "not reachable"
    except (OSError, HTTPException) as error:
        return type(error).__name__
