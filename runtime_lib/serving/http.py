"""The HTTP server as a bare ASGI application; every engine runs the same one.

Bare, because that answered three times as many requests as the same behind a framework. The event loop reads
and checks what is small; what is large, or slow to predict, is worked on in a version's thread, so `/health`
answers meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from itertools import count
from pathlib import Path
from secrets import token_hex

from runtime_lib.errors import DataError, MlopsError, RequestError
from runtime_lib.serving.copies import Copies
from runtime_lib.serving.endpoints import AskServer, Endpoints, Route
from runtime_lib.serving.load import Load
from runtime_lib.serving.messages import (
    Gone,
    Intake,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    SendWhole,
    failure,
    send_reply,
)
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.predictor import TooLate
from runtime_lib.serving.service import Service

__all__ = ["App", "build_app"]

_log = logging.getLogger(__name__)
_ID = b"x-request-id"
_LEAVE = (b"connection", b"close")
_LONGEST_ID = 128
# Bodies that may be held at once, in the size of the largest one.
_BODIES_TOGETHER = 4
_RETRY = {"retry-after": "1"}


def build_app(service: Service, server: AskServer | None = None) -> App:
    """Return the ASGI application of a service.

    Args:
        server: asks the supervisor for what one worker cannot know; None: this worker is all.
    """
    return App(service, server)


class App:
    """Dispatches requests to the endpoints of a `Service`, answers errors, and counts."""

    def __init__(self, service: Service, server: AskServer | None) -> None:
        # Whether each client is to leave with its next answer.
        self.draining = False
        self.crowded = False
        self.copies: Copies | None = None
        # Of the server that runs this, if it can send an answer in one piece.
        self.send_whole: SendWhole | None = None
        self.load = Load()
        self.metrics = Metrics()
        self._endpoints = Endpoints(service, self.metrics, server)
        # Generous for a row of text columns, and the setting that bounds rows bounds memory with it.
        most = max(1 << 24, service.max_rows * 4096)
        self._intake = Intake(most, most * _BODIES_TOGETHER, service.seconds)
        self._ids, self._id = token_hex(6).encode(), count(1)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._answer(Request(scope, receive, self._intake), send)
        if scope["type"] == "lifespan":
            return _lifespan(receive, send)
        return send({"type": "websocket.close", "code": 1003})

    def copy_to(self, shadow: Path | None) -> None:
        """Send a copy of each answered request to a shadow's socket; None: to none."""
        if shadow is None:
            if self.copies:
                self.copies.close()
            self.copies = None
        elif self.copies is None:
            self.copies = Copies(shadow)

    async def _answer(self, request: Request, send: Send) -> None:
        start, pattern = time.perf_counter(), "other"
        self.load.begin(start)
        try:
            try:
                route = self._endpoints.find(request.path)
                pattern = route.pattern
                if request.method == route.method or (request.method == "HEAD" and route.method == "GET"):
                    reply = await route.handle(request)
                else:
                    reply = _not_allowed(route, request)
            except Gone:
                return
            except Exception as error:
                reply = _refusal(error, request, pattern)
            finally:
                request.done()
            named = (_ID, self._name(request))
            leaves = self.draining or self.crowded
            more, whole = ((named, _LEAVE), None) if leaves else ((named,), self.send_whole)
            await send_reply(reply, send, more, whole=whole)
        finally:
            end = time.perf_counter()
            self.load.end(end)
        self.metrics.count(pattern, reply.status, end - start, version=request.version, rows=request.rows)
        if self.copies and request.prediction:
            self.copies.send(request, request.prediction)

    def _name(self, request: Request) -> bytes:
        """The id of a request in our answer and in whatever logs it: the caller's own, if it has one."""
        given = request.headers.get(_ID)
        return given if given and len(given) <= _LONGEST_ID else b"%b-%x" % (self._ids, next(self._id))


def _refusal(error: Exception, request: Request, pattern: str) -> Reply:
    if not isinstance(error, MlopsError):
        _log.error("Unexpected error on %s %s", request.method, pattern, exc_info=error)
        return failure("The server failed on this request; the reason is in its log.", 500)
    if not isinstance(error, TooLate):  # a request that is refused is no failure of the version
        request.version = ""
    if isinstance(error, RequestError):
        return failure(str(error), error.status)
    if isinstance(error, DataError):
        return failure(str(error), 400)
    return failure(str(error), 503, headers=_RETRY)


async def _lifespan(receive: Receive, send: Send) -> None:
    while (event := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{event}.complete"})
    await send({"type": f"{event}.complete"})


def _not_allowed(route: Route, request: Request) -> Reply:
    allowed = "GET, HEAD" if route.method == "GET" else route.method
    message = f"{route.pattern} takes {route.method}, not {request.method}."
    return Reply({"error": message}, 405, headers={"allow": allowed})
