"""What each endpoint answers. A handler takes a request and returns a `Reply`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from runtime_lib.errors import RequestError
from runtime_lib.exposition import CONTENT_TYPE
from runtime_lib.serving.messages import BYTES, Reply, Request
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.pages import Pages
from runtime_lib.serving.predictor import Prediction
from runtime_lib.serving.protocols import infer, invocations
from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.serving.raw import RawRows
from runtime_lib.serving.service import Service
from runtime_lib.serving.version import Version
from runtime_lib.serving.webhook import Webhook

__all__ = ["AskServer", "Endpoints", "Protocol", "Route", "protocol_of"]

_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(/versions/(?P<version>[^/]+))?(?P<action>/ready|/infer)?")
# A larger body would keep the event loop, and so everybody else, waiting: it goes to the version's thread.
_SMALL = 1 << 15
_VERSION = "x-mlops-version"

Handler = Callable[[Request], Awaitable[Reply]]
AskServer = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """A handler, the one method it takes, and the pattern under which its requests are counted."""

    method: str
    pattern: str
    handle: Handler


class Endpoints:
    """The endpoints of one service."""

    def __init__(self, service: Service, metrics: Metrics, server: AskServer | None) -> None:
        self._service, self._metrics, self._ask = service, metrics, server
        pages = Pages(service, server)
        fixed: dict[str, tuple[str, Handler]] = {
            "/": ("GET", pages.overview),
            "/docs": ("GET", pages.docs),
            "/openapi.json": ("GET", pages.document),
            "/status": ("GET", pages.status),
            "/health": ("GET", self._health),
            "/ping": ("GET", self._health),
            "/version": ("GET", self._version),
            "/ready": ("GET", self._ready),
            "/metrics": ("GET", self._count),
            "/invocations": ("POST", self._invocations),
            "/raw": ("GET", self._raw_columns),
            "/raw/invocations": ("POST", self._raw_invocations),
            "/v2": ("GET", self._server),
            "/v2/health/live": ("GET", self._live),
            "/v2/health/ready": ("GET", self._ready),
            "/webhooks/mlflow": ("POST", Webhook(service.name, server).receive),
        }
        self._fixed = {path: Route(method, path, handle) for path, (method, handle) in fixed.items()}

    def find(self, path: str) -> Route:
        """Return the route of a path.

        Raises:
            RequestError: there is no such path or model (404).
        """
        if route := self._fixed.get(path) or self._fixed.get(path.rstrip("/") or "/"):
            return route
        if found := _MODEL.fullmatch(path.rstrip("/")):
            return self._of_model(found["name"], found["version"], found["action"])
        known = ", ".join(self._fixed)
        raise RequestError(f"No such path. Known: {known}, /v2/models/{self._service.name}.", status=404)

    def _of_model(self, name: str, version: str | None, action: str | None) -> Route:
        if name != self._service.name:
            raise RequestError(
                f"Unknown model '{name}'. This server holds '{self._service.name}'.", status=404
            )

        def choose(request: Request) -> Version:
            return self._service.named(version) if version else self._service.choose(request.headers)

        async def metadata(request: Request) -> Reply:
            held = choose(request)
            every = [held.name] if version else list(self._service.versions)
            return Reply(infer.model_metadata(held.predictor, every))

        async def ready(request: Request) -> Reply:
            held = bool(choose(request)) if version else not self._service.not_ready
            return Reply({"name": name, "ready": held}, 200 if held else 503)

        async def answer(request: Request) -> Reply:
            return await self._predict(request, choose(request), _V2)

        return {
            None: Route("GET", "/v2/models/{name}", metadata),
            "/ready": Route("GET", "/v2/models/{name}/ready", ready),
            "/infer": Route("POST", "/v2/models/{name}/infer", answer),
        }[action]

    async def _health(self, request: Request) -> Reply:
        return Reply({"status": "ok"})

    async def _version(self, request: Request) -> Reply:
        return Reply(invocations.mlflow_version())

    async def _live(self, request: Request) -> Reply:
        return Reply({"live": True})

    async def _ready(self, request: Request) -> Reply:
        if why := self._service.not_ready:
            return Reply({"ready": False, "error": why}, 503)
        return Reply({"ready": True})

    async def _count(self, request: Request) -> Reply:
        ready = {name: version.predictor.ready for name, version in self._service.versions.items()}
        metrics = await self._together()
        return Reply(metrics.text(self._service.name, ready), content_type=CONTENT_TYPE)

    async def _together(self) -> Metrics:
        """What all workers have counted.

        Raises:
            ServiceError: the others cannot be asked. This worker's part alone would be less than the last
                answer, which Prometheus takes for a restart: it would count every request once more.
        """
        if self._ask is None:
            return self._metrics
        return Metrics.from_dict(await self._ask("counted", counted=self._metrics.to_dict()))

    async def _server(self, request: Request) -> Reply:
        return Reply(infer.server_metadata())

    async def _raw_columns(self, request: Request) -> Reply:
        raw = await _raw_of(self._service.choose(request.headers))
        return Reply({"columns": raw.types.columns})

    def _invocations(self, request: Request) -> Awaitable[Reply]:
        return self._predict(request, self._service.choose(request.headers), _MLFLOW)

    async def _raw_invocations(self, request: Request) -> Reply:
        version = self._service.choose(request.headers)
        await _raw_of(version)  # refuses before the body is read
        return await self._predict(request, version, _RAW)

    async def _predict(self, request: Request, version: Version, protocol: Protocol) -> Reply:
        await request.read(tensors=protocol is _V2)
        # Who asks for a version by its name is no part of its traffic: it must not weigh in a release.
        request.version = "" if request.is_pinned else version.name
        prediction, batch = await self.predict(request, version, protocol)
        request.rows, request.prediction = len(prediction.ids), prediction
        return protocol.reply(prediction, batch)

    async def predict(
        self, request: Request, version: Version, protocol: Protocol, ids: Sequence[str] | None = None
    ) -> tuple[Prediction, Batch]:
        """What a version answers to a request that was read.

        Args:
            ids: of the rows, in place of those in the request.

        Raises:
            RequestError, DataError: the request is refused.
            ServiceError: it cannot be answered now.
        """
        if protocol is _RAW or len(request.body) > _SMALL:
            return await self._apart(version, partial(self._whole, request, version, protocol, ids))
        batch = protocol.parse(request, version)
        self._service.check_count(batch.size)
        rows = version.check(batch)
        return await self._service.predict(version, rows, ids or batch.ids), batch

    def _whole(
        self, request: Request, version: Version, protocol: Protocol, ids: Sequence[str] | None
    ) -> tuple[Prediction, Batch]:
        """All of a large request, or of one with raw rows, in the version's thread."""
        batch = protocol.parse(request, version)
        self._service.check_count(batch.size)
        if protocol is _RAW:
            rows, named = version.inputs(batch)
            return self._service.compute(version, rows, ids or named), batch
        return self._service.compute(version, version.check(batch), ids or batch.ids), batch

    async def _apart(
        self, version: Version, work: Callable[[], tuple[Prediction, Batch]]
    ) -> tuple[Prediction, Batch]:
        version.predictor.model  # noqa: B018  refuses before the thread does, which may have ended
        return await asyncio.get_running_loop().run_in_executor(version.predictor.thread, work)


async def _raw_of(version: Version) -> RawRows:
    """What makes features of raw rows; the first time that takes a second, and nobody else waits for it."""
    return await asyncio.to_thread(lambda: version.raw)


class Protocol(NamedTuple):
    """How a request is read, and its answer written."""

    parse: Callable[[Request, Version], Batch]
    reply: Callable[[Prediction, Batch], Reply]


def _parse_mlflow(request: Request, version: Version) -> Batch:
    return invocations.parse(request.body, version.names)


def _parse_raw(request: Request, version: Version) -> Batch:
    return invocations.parse(request.body, list(version.raw.types.columns))


def _reply_mlflow(prediction: Prediction, batch: Batch) -> Reply:
    return Reply(invocations.answer(prediction), headers={_VERSION: prediction.version})


def _parse_v2(request: Request, version: Version) -> Batch:
    length = request.headers.get(infer.LENGTH_HEADER.encode())
    text = length.decode("latin-1") if length is not None else None
    return infer.parse(request.body, version.predictor.model.task, json_length=text)


def _reply_v2(prediction: Prediction, batch: Batch) -> Reply:
    content, head = infer.encoded(prediction, batch)
    headers = {_VERSION: prediction.version}
    if head is None:
        return Reply(content, headers=headers)
    return Reply(content, content_type=BYTES, headers={**headers, infer.LENGTH_HEADER: str(head)})


_MLFLOW = Protocol(_parse_mlflow, _reply_mlflow)
_RAW = Protocol(_parse_raw, _reply_mlflow)
_V2 = Protocol(_parse_v2, _reply_v2)


def protocol_of(path: str) -> Protocol:
    """That of a path which predicts."""
    if path.startswith("/v2"):
        return _V2
    return _RAW if path.startswith("/raw") else _MLFLOW
