"""What each endpoint answers. A handler takes an ASGI request and returns a `Reply`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime_lib.errors import RequestError, ServiceError
from runtime_lib.serving.messages import Receive, Reply, Scope, parse_json, read_body
from runtime_lib.serving.metrics import CONTENT_TYPE, Metrics
from runtime_lib.serving.page.docs import docs_page
from runtime_lib.serving.page.overview import render
from runtime_lib.serving.pages import Pages, address_of
from runtime_lib.serving.protocols import infer, invocations
from runtime_lib.serving.service import Service

__all__ = ["Endpoints", "Route"]

_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?(?P<action>/ready|/infer)?")

Handler = Callable[[Scope, Receive], Awaitable[Reply]]
Work = Callable[[bytes], tuple[int, dict[str, Any]]]  # a body → the number of rows, and the answer


@dataclass(frozen=True)
class Route:
    """A handler, the one method it takes, and the pattern under which its requests are counted."""

    method: str
    pattern: str
    handle: Handler


# A page loads nothing and runs nothing, whatever a name in it holds.
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


class Endpoints:
    """The endpoints of one service."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service, self._predictor, self._metrics = service, service.predictor, metrics
        self._pages = Pages(service, metrics)
        # Generous for a row of text columns, and the setting that bounds rows bounds memory with it.
        self._max_bytes = max(1 << 24, service.max_rows * 4096)
        fixed: dict[str, tuple[str, Handler]] = {
            "/": ("GET", self._overview),
            "/docs": ("GET", self._docs),
            "/openapi.json": ("GET", self._openapi),
            "/status": ("GET", self._status),
            "/health": ("GET", self._health),
            "/ping": ("GET", self._health),
            "/ready": ("GET", self._ready),
            "/metrics": ("GET", self._count),
            "/invocations": ("POST", self._invocations),
            "/raw": ("GET", self._raw_columns),
            "/raw/invocations": ("POST", self._raw_invocations),
            "/v2": ("GET", self._server),
            "/v2/health/live": ("GET", self._live),
            "/v2/health/ready": ("GET", self._ready),
        }
        self._fixed = {path: Route(method, path, handle) for path, (method, handle) in fixed.items()}
        self._of_model = {
            None: Route("GET", "/v2/models/{name}", self._metadata),
            "/ready": Route("GET", "/v2/models/{name}/ready", self._model_ready),
            "/infer": Route("POST", "/v2/models/{name}/infer", self._infer),
        }

    def find(self, path: str) -> Route:
        """Return the route of a path.

        Raises:
            RequestError: there is no such path, model or version (404).
        """
        if route := self._fixed.get(path.rstrip("/") or "/"):
            return route
        if found := _MODEL.fullmatch(path.rstrip("/")):
            self._check_name(found["name"], found["version"])
            return self._of_model[found["action"]]
        raise RequestError(
            f"No such path. Known: {', '.join(self._fixed)}, /v2/models/{self._predictor.name}.", status=404
        )

    def _check_name(self, name: str, version: str | None) -> None:
        held = self._predictor
        if name != held.name:
            raise RequestError(f"Unknown model '{name}'. This server holds '{held.name}'.", status=404)
        if version not in (None, held.version):
            raise RequestError(
                f"Unknown version '{version}' of '{name}'. This server holds {held.version}.", status=404
            )

    async def _overview(self, scope: Scope, receive: Receive) -> Reply:
        reload = {} if b"reload=0" not in scope["query_string"] else {"reload": 0}
        return _html(await asyncio.to_thread(render, self._pages.status(), **reload))

    async def _docs(self, scope: Scope, receive: Receive) -> Reply:
        return _html(await asyncio.to_thread(docs_page, self._pages.document, address_of(scope)))

    async def _openapi(self, scope: Scope, receive: Receive) -> Reply:
        return Reply(self._pages.document)

    async def _status(self, scope: Scope, receive: Receive) -> Reply:
        return Reply(msgspec.to_builtins(self._pages.status()))

    async def _health(self, scope: Scope, receive: Receive) -> Reply:
        return Reply({"status": "ok"})

    async def _live(self, scope: Scope, receive: Receive) -> Reply:
        return Reply({"live": True})

    async def _ready(self, scope: Scope, receive: Receive) -> Reply:
        return Reply({"ready": self._predictor.ready}, 200 if self._predictor.ready else 503)

    async def _count(self, scope: Scope, receive: Receive) -> Reply:
        held = self._predictor
        text = self._metrics.text(model=held.name, version=held.version, ready=held.ready)
        return Reply(text, content_type=CONTENT_TYPE)

    async def _server(self, scope: Scope, receive: Receive) -> Reply:
        return Reply(infer.server_metadata())

    async def _metadata(self, scope: Scope, receive: Receive) -> Reply:
        return Reply(infer.model_metadata(self._predictor))

    async def _model_ready(self, scope: Scope, receive: Receive) -> Reply:
        held = self._predictor
        return Reply({"name": held.name, "ready": held.ready}, 200 if held.ready else 503)

    async def _invocations(self, scope: Scope, receive: Receive) -> Reply:
        def work(body: bytes) -> tuple[int, dict[str, Any]]:
            names = [column.name for column in self._predictor.model.columns]
            batch = invocations.parse(parse_json(body), names)
            prediction = self._service.predict(batch.rows, batch.ids)
            return len(prediction.ids), invocations.answer(prediction)

        return await self._predict(work, scope, receive)

    async def _raw_columns(self, scope: Scope, receive: Receive) -> Reply:
        return Reply({"columns": self._service.raw.types.columns})

    async def _raw_invocations(self, scope: Scope, receive: Receive) -> Reply:
        def work(body: bytes) -> tuple[int, dict[str, Any]]:
            names = list(self._service.raw.types.columns)
            batch = invocations.parse(parse_json(body), names)
            prediction = self._service.predict_raw(batch.rows, batch.ids)
            return len(prediction.ids), invocations.answer(prediction)

        return await self._predict(work, scope, receive)

    async def _infer(self, scope: Scope, receive: Receive) -> Reply:
        def work(body: bytes) -> tuple[int, dict[str, Any]]:
            batch = infer.parse(parse_json(body), self._predictor.model.task)
            prediction = self._service.predict(batch.rows, batch.ids)
            return len(prediction.ids), infer.answer(prediction, batch)

        return await self._predict(work, scope, receive)

    async def _predict(self, work: Work, scope: Scope, receive: Receive) -> Reply:
        body = await read_body(scope, receive, self._max_bytes)
        if not self._predictor.ready:
            raise ServiceError(
                "The model is not loaded: the server is starting or stopping. Try again in a moment."
            )
        rows, answer = await asyncio.get_running_loop().run_in_executor(self._predictor.thread, work, body)
        self._metrics.count_rows(rows)
        return Reply(answer)


def _html(text: str) -> Reply:
    return Reply(text, content_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)
