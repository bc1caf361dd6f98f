"""One HTTP message in, one out: a request's body and a reply, as ASGI events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from runtime_lib.errors import RequestError, ServiceError

if TYPE_CHECKING:
    from runtime_lib.serving.predictor import Prediction

__all__ = [
    "BYTES",
    "Busy",
    "Gone",
    "Header",
    "Intake",
    "Receive",
    "Reply",
    "Request",
    "Scope",
    "Send",
    "SendWhole",
    "failure",
    "send_reply",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
SendWhole = Callable[[Send, Sequence[Header], bytes], bool]

_JSON = "application/json"
_JSON_TOLD = _JSON.encode()
BYTES = "application/octet-stream"
_LONGEST_MESSAGE = 1_000


class Busy(ServiceError):
    """Too much is under way; the same request may be sent again in a moment."""


class Gone(Exception):
    """The client hung up before its request was complete."""


@dataclass(slots=True)
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


def failure(message: str, status: int, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the reply to a request that is refused."""
    message = message.encode(errors="replace").decode()  # half of a surrogate pair cannot be sent
    if len(message) > _LONGEST_MESSAGE:  # it quotes a value of the request, which may be as long as the body
        message = message[:_LONGEST_MESSAGE] + "…"
    return Reply({"error": message}, status, headers=headers or {})


@dataclass
class Intake:
    """What bodies may take together: a client that sends slowly holds what it has sent so far.

    Attributes:
        most: bytes of one body.
        most_together: bytes of all that are being received or worked on.
        seconds: that a body may take to arrive.
    """

    most: int
    most_together: int
    seconds: float
    held: int = 0


class Request:
    """One request: its head, and its body once it was read."""

    __slots__ = (
        "_held",
        "_intake",
        "_receive",
        "body",
        "headers",
        "method",
        "path",
        "prediction",
        "query",
        "rows",
        "version",
    )

    def __init__(self, scope: Scope, receive: Receive, intake: Intake) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body = b""
        # What it was answered by, how many rows, and what: for whoever counts and compares.
        self.version, self.rows = "", 0
        self.prediction: Prediction | None = None
        self._receive, self._intake, self._held = receive, intake, 0

    @property
    def is_pinned(self) -> bool:
        """Whether it names the version that is to answer."""
        return b"x-mlops-version" in self.headers or "/versions/" in self.path

    async def read(self, *, tensors: bool = False) -> bytes:
        """Return the body of a request.

        Args:
            tensors: whether it may hold raw tensors. The clients that send them name no type, or that of
                plain bytes.

        Raises:
            RequestError: another content type (415, before anything is read), a body that is too large
                (413) or takes too long (408), or too much is under way already (503).
            Gone: the client hung up.
        """
        _check_type(self.headers, tensors)
        event = await self._receive()
        if event["type"] == "http.request" and not event.get("more_body", False):
            self.body = event.get("body", b"")
            self._hold(len(self.body))
            return self.body
        try:
            async with asyncio.timeout(self._intake.seconds):
                self.body = await self._rest(event)
        except TimeoutError:
            raise RequestError(
                f"The body did not arrive within {self._intake.seconds:g} s. Send it in smaller batches.",
                status=408,
            ) from None
        return self.body

    def done(self) -> None:
        """Let go of what the body held."""
        self._intake.held -= self._held
        self._held = 0

    async def _rest(self, event: MutableMapping[str, Any]) -> bytes:
        chunks, more = [], True
        while more:
            if event["type"] == "http.disconnect":
                raise Gone
            chunks.append(event.get("body", b""))
            self._hold(len(chunks[-1]))
            if more := event.get("more_body", False):
                event = await self._receive()
        return b"".join(chunks)

    def _hold(self, size: int) -> None:
        intake = self._intake
        self._held += size
        intake.held += size
        if self._held > intake.most:
            raise RequestError(
                f"The body is larger than {intake.most >> 20} MiB. Send it in batches.", status=413
            )
        if intake.held > intake.most_together:
            raise Busy("Too much is being sent at once. Try again in a moment.")


def _check_type(headers: Mapping[bytes, bytes], tensors: bool) -> None:
    """Refuse what is not named JSON in UTF-8: a page in a browser can send anything but that."""
    told = headers.get(b"content-type", b"")
    if told != _JSON_TOLD:
        given = told.decode("latin-1")
        kind, _, options = given.partition(";")
        charset = options.lower().partition("charset=")[2].partition(";")[0].strip(' "')
        kind = kind.strip().lower()
        if not (tensors and kind in ("", BYTES)) and (kind != _JSON or charset not in ("", "utf-8", "utf8")):
            raise RequestError(
                f"Content type '{given}' is not taken. "
                f"Send JSON in UTF-8 with the header 'Content-Type: {_JSON}'.",
                status=415,
            )
    if b"content-encoding" in headers and headers[b"content-encoding"] != b"identity":
        raise RequestError("A compressed body is not taken. Send it plain, in smaller batches.", status=415)


async def send_reply(
    reply: Reply, send: Send, more: Sequence[Header] = (), *, whole: SendWhole | None = None
) -> None:
    """Send a reply to the client, with `more` headers next to its own.

    Args:
        whole: sends a success in one piece where it can, and says whether it did.
    """
    body = reply.encoded()
    headers = [(b"content-type", reply.content_type.encode()), (b"content-length", b"%d" % len(body)), *more]
    if reply.headers:
        headers += [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    if whole and reply.status == 200 and whole(send, headers, body):
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
