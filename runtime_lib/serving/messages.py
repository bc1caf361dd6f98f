"""One HTTP message in, one out: a request's body and a reply, as ASGI events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runtime_lib.errors import RequestError

__all__ = [
    "BYTES",
    "Gone",
    "Receive",
    "Reply",
    "Scope",
    "Send",
    "check_content_type",
    "failure",
    "headers_of",
    "read_body",
    "send_reply",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = "application/json"
BYTES = "application/octet-stream"
_LONGEST_MESSAGE = 1_000


class Gone(Exception):
    """The client hung up before its request was complete."""


@dataclass(frozen=True)
class Reply:
    """`body` is sent as it is when it is text or bytes, else as JSON."""

    body: Any
    status: int = 200
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)


def failure(message: str, status: int) -> Reply:
    """Return the reply to a request that is refused."""
    message = message.encode(errors="replace").decode()  # half of a surrogate pair cannot be sent
    if len(message) > _LONGEST_MESSAGE:  # it quotes a value of the request, which may be as long as the body
        message = message[:_LONGEST_MESSAGE] + "…"
    return Reply({"error": message}, status)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return a request's headers, their names in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def check_content_type(headers: Mapping[str, str], *, tensors: bool = False) -> None:
    """Refuse what is not JSON in UTF-8.

    JSON must be named: a page in a browser can send anything to this machine but that.

    Args:
        tensors: whether the body may hold raw tensors too. The clients that send them name no type, or that
            of plain bytes.

    Raises:
        RequestError: another type (415).
    """
    kind, _, options = headers.get("content-type", "").partition(";")
    charset = options.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    kind = kind.strip().lower()
    if tensors and kind in ("", BYTES):
        return
    if kind != _JSON or charset not in ("", "utf-8", "utf8"):
        raise RequestError(
            f"Content type '{headers.get('content-type', '')}' is not taken. "
            f"Send JSON in UTF-8 with the header 'Content-Type: {_JSON}'.",
            status=415,
        )


async def read_body(scope: Scope, receive: Receive, most: int, *, tensors: bool = False) -> bytes:
    """Return the body of a request.

    Args:
        most: bytes that are taken.
        tensors: see `check_content_type`.

    Raises:
        RequestError: another content type (415, before anything is read), or a body larger than `most` (413).
        Gone: the client hung up.
    """
    headers = headers_of(scope)
    check_content_type(headers, tensors=tensors)
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
