"""One HTTP message in, one out: a request's JSON body and a reply, as ASGI events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runtime_lib.errors import RequestError

__all__ = ["Gone", "Receive", "Reply", "Scope", "Send", "failure", "parse_json", "read_body", "send_reply"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = "application/json"
_LONGEST_MESSAGE = 1_000


class Gone(Exception):
    """The client hung up before its request was complete."""


@dataclass(frozen=True)
class Reply:
    """`body` is sent as it is when it is text, else as JSON."""

    body: Any
    status: int = 200
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)


def failure(message: str, status: int) -> Reply:
    """Return the reply to a request that is refused."""
    if len(message) > _LONGEST_MESSAGE:  # it quotes a value of the request, which may be as long as the body
        message = message[:_LONGEST_MESSAGE] + "…"
    return Reply({"error": message}, status)


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the body of a JSON request.

    Args:
        most: bytes that are taken.

    Raises:
        RequestError: another content type (415, before anything is read), or a body larger than `most` (413).
        Gone: the client hung up.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    kind, _, options = headers.get("content-type", "").partition(";")
    charset = options.partition("charset=")[2].strip(' "').lower()
    if kind.strip().lower() != _JSON or charset not in ("", "utf-8", "utf8"):
        raise RequestError(
            f"Content type '{headers.get('content-type', '')}' is not taken. "
            f"Send JSON in UTF-8 with the header 'Content-Type: {_JSON}'.",
            status=415,
        )
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError("A compressed body is not taken. Send it plain, in smaller batches.", status=415)
    chunks, size, more = [], 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Gone
        chunks.append(event.get("body", b""))
        size += len(chunks[-1])
        more = event.get("more_body", False)
        if size > most:
            raise RequestError(f"The body is larger than {most >> 20} MiB. Send it in batches.", status=413)
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """Return the value that a JSON body holds.

    Raises:
        RequestError: the body is empty or not JSON.
    """
    if not body.strip():
        raise RequestError("The body is empty. Send a JSON object.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            f"The body is not JSON: {error}. NaN and Infinity are not JSON: send null for a missing value."
        ) from None


async def send_reply(reply: Reply, send: Send) -> None:
    """Send a reply to the client."""
    body = reply.encoded()
    headers = {"content-type": reply.content_type, "content-length": str(len(body)), **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
