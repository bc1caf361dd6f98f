"""The HTTP face as a bare ASGI application; uvicorn and Ray Serve run the same one.

Bare, because that answered three times as many requests as the same behind a framework.
The event loop only moves bytes: parsing, checking and predicting happen in the service's thread,
so `/health` answers while a large request is worked on.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runtime_lib.errors import DataError, RequestError, ServiceError
from runtime_lib.serving import metrics, protocols
from runtime_lib.serving.predictor import Service

__all__ = ["App", "build_app"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)

_JSON = "application/json"
_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?(?P<action>/ready|/infer)?")
_LONGEST_MESSAGE = 1_000


@dataclass(frozen=True)
class _Reply:
    body: Any
    status: int = 200
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)


@dataclass(frozen=True)
class _Route:
    """A handler, the one method it answers, and the pattern under which it is counted."""

    method: str
    pattern: str
    handle: Callable[[Scope, Receive], Awaitable[_Reply]]


class _Gone(Exception):
    """The client hung up before its request was complete."""


def build_app(service: Service) -> App:
    """Return the ASGI application of a service; when the server stops, it stops the service."""
    return App(service)


class App:
    """Routes, errors and counters around a `Service`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._metrics = metrics.Metrics()
        # Generous for a row of text columns, and the setting that bounds rows bounds memory with it.
        self._max_bytes = max(1 << 24, service.max_rows * 4096)
        self._routes = {
            "/health": _Route("GET", "/health", self._health),
            "/ping": _Route("GET", "/ping", self._health),
            "/ready": _Route("GET", "/ready", self._ready),
            "/metrics": _Route("GET", "/metrics", self._count),
            "/invocations": _Route("POST", "/invocations", self._invocations),
            "/v2": _Route("GET", "/v2", self._server),
            "/v2/health/live": _Route("GET", "/v2/health/live", self._live),
            "/v2/health/ready": _Route("GET", "/v2/health/ready", self._ready),
        }
        self._model_routes = {
            None: _Route("GET", "/v2/models/{name}", self._metadata),
            "/ready": _Route("GET", "/v2/models/{name}/ready", self._model_ready),
            "/infer": _Route("POST", "/v2/models/{name}/infer", self._infer),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live_and_die(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _live_and_die(self, receive: Receive, send: Send) -> None:
        while True:
            event = (await receive())["type"]
            if event == "lifespan.shutdown":
                self._service.stop()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        pattern = "other"
        try:
            route = self._find(scope["path"])
            pattern = route.pattern
            reply = await self._dispatch(route, scope, receive)
        except _Gone:
            return
        except RequestError as error:
            reply = _failure(str(error), error.status)
        except DataError as error:
            reply = _failure(str(error), 400)
        except ServiceError as error:
            reply = _failure(str(error), 503)
        except Exception:
            _log.exception("Unexpected error on %s %s", scope["method"], pattern)
            reply = _failure("The server failed on this request; the reason is in its log.", 500)
        await _send(reply, send)
        self._metrics.count(pattern, reply.status, time.perf_counter() - start)

    def _find(self, path: str) -> _Route:
        if route := self._routes.get(path.rstrip("/")):
            return route
        if found := _MODEL.fullmatch(path.rstrip("/")):
            self._check_name(found["name"], found["version"])
            return self._model_routes[found["action"]]
        raise RequestError(
            f"No such path. Known: {', '.join(self._routes)}, /v2/models/{self._service.name}.", status=404
        )

    def _check_name(self, name: str, version: str | None) -> None:
        if name != self._service.name:
            raise RequestError(
                f"Unknown model '{name}'. This server holds '{self._service.name}'.", status=404
            )
        if version not in (None, self._service.version):
            raise RequestError(
                f"Unknown version '{version}' of '{name}'. This server holds {self._service.version}.",
                status=404,
            )

    async def _dispatch(self, route: _Route, scope: Scope, receive: Receive) -> _Reply:
        allowed = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        if scope["method"] not in allowed:
            message = f"{route.pattern} takes {route.method}, not {scope['method']}."
            return _Reply({"error": message}, 405, headers={"allow": ", ".join(allowed)})
        return await route.handle(scope, receive)

    async def _health(self, scope: Scope, receive: Receive) -> _Reply:
        return _Reply({"status": "ok"})

    async def _live(self, scope: Scope, receive: Receive) -> _Reply:
        return _Reply({"live": True})

    async def _ready(self, scope: Scope, receive: Receive) -> _Reply:
        return _Reply({"ready": self._service.ready}, 200 if self._service.ready else 503)

    async def _count(self, scope: Scope, receive: Receive) -> _Reply:
        held = self._service
        text = self._metrics.text(model=held.name, version=held.version, ready=held.ready)
        return _Reply(text, content_type=metrics.CONTENT_TYPE)

    async def _server(self, scope: Scope, receive: Receive) -> _Reply:
        return _Reply(protocols.server_metadata())

    async def _metadata(self, scope: Scope, receive: Receive) -> _Reply:
        return _Reply(protocols.model_metadata(self._service))

    async def _model_ready(self, scope: Scope, receive: Receive) -> _Reply:
        ready = self._service.ready
        return _Reply({"name": self._service.name, "ready": ready}, 200 if ready else 503)

    async def _invocations(self, scope: Scope, receive: Receive) -> _Reply:
        def work(body: bytes) -> tuple[int, dict[str, Any]]:
            batch = protocols.parse_invocations(_parse(body), self._service.columns)
            answer = self._service.predict(batch.rows, batch.ids)
            return len(answer.ids), protocols.invocations_answer(answer, self._service)

        return await self._predict(work, scope, receive)

    async def _infer(self, scope: Scope, receive: Receive) -> _Reply:
        def work(body: bytes) -> tuple[int, dict[str, Any]]:
            batch = protocols.parse_infer(_parse(body))
            answer = self._service.predict(batch.rows, batch.ids)
            return len(answer.ids), protocols.infer_answer(answer, self._service, batch)

        return await self._predict(work, scope, receive)

    async def _predict(
        self, work: Callable[[bytes], tuple[int, dict[str, Any]]], scope: Scope, receive: Receive
    ) -> _Reply:
        body = await _read(scope, receive, self._max_bytes)
        if not self._service.ready:
            raise ServiceError(
                "The model is not loaded: the server is starting or stopping. Try again in a moment."
            )
        rows, answer = await asyncio.get_running_loop().run_in_executor(self._service.thread, work, body)
        self._metrics.count_rows(rows)
        return _Reply(answer)


async def _read(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the body of a JSON request, refusing other types before reading and floods while reading."""
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
            raise _Gone
        chunks.append(event.get("body", b""))
        size += len(chunks[-1])
        more = event.get("more_body", False)
        if size > most:
            raise RequestError(f"The body is larger than {most >> 20} MiB. Send it in batches.", status=413)
    return b"".join(chunks)


def _parse(body: bytes) -> Any:
    if not body.strip():
        raise RequestError("The body is empty. Send a JSON object.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            f"The body is not JSON: {error}. NaN and Infinity are not JSON: send null for a missing value."
        ) from None


def _failure(message: str, status: int) -> _Reply:
    if len(message) > _LONGEST_MESSAGE:  # it quotes a value of the request, which may be as long as the body
        message = message[:_LONGEST_MESSAGE] + "…"
    return _Reply({"error": message}, status)


async def _send(reply: _Reply, send: Send) -> None:
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
