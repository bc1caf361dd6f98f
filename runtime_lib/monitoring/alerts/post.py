"""POST JSON to an address of which nobody may see more than the host."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from runtime_lib.monitoring.alerts.message import Undelivered, retry_after, unreached

__all__ = ["post"]

# What Slack answers: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks. No other word
# is shown: an answer may repeat what it was sent.
_WORDS = {
    *(b"action_prohibited", b"channel_is_archived", b"channel_not_found", b"invalid_blocks"),
    *(b"invalid_payload", b"invalid_token", b"no_active_hooks", b"no_service", b"no_service_id", b"no_team"),
    *(b"no_text", b"posting_to_general_channel_denied", b"team_disabled", b"user_not_found"),
}


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> None:
    """Send `body`, once. Redirects are not followed, as one could carry the evidence to another host.

    Raises:
        Undelivered: final for an answer of 3xx or 4xx other than 408 and 429.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "runtime-lib", **headers}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - the settings took http(s) only
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout):
            return
    except urllib.error.HTTPError as error:
        refused = _refused(error)
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        refused = unreached(reason, timeout)
    # Out of the handlers: their errors hold the address.
    raise refused


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _refused(error: urllib.error.HTTPError) -> Undelivered:
    with error:
        try:
            said = error.read(100)
        except (OSError, HTTPException):
            said = b""
    word = f" {said.decode()}" if said in _WORDS else ""
    final = 300 <= error.code < 500 and error.code not in (408, 429)
    after = retry_after(error.headers.get("Retry-After"), datetime.now(UTC))
    return Undelivered(f"HTTP {error.code}{word}", final=final, after=after, down=not final)
