"""The HTTP server as a bare ASGI application; uvicorn and Ray Serve run the same one.

Bare, because that answered three times as many requests as the same behind a framework.
The event loop only moves bytes: parsing, checking and predicting happen in the predictor's thread,
so `/health` answers while a large request is worked on.
"""

from __future__ import annotations

import logging
import time

from runtime_lib.errors import DataError, RequestError, ServiceError
from runtime_lib.serving.endpoints import Endpoints, Route
from runtime_lib.serving.messages import Gone, Receive, Reply, Scope, Send, failure, send_reply
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.service import Service

__all__ = ["App", "build_app"]

_log = logging.getLogger(__name__)


def build_app(service: Service) -> App:
    """Return the ASGI application of a service; when the server stops, it stops the service."""
    return App(service)


class App:
    """Dispatches requests to the endpoints of a `Service`, answers errors, and counts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._metrics = Metrics()
        self._endpoints = Endpoints(service, self._metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
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
            route = self._endpoints.find(scope["path"])
            pattern = route.pattern
            reply = await _handle(route, scope, receive)
        except Gone:
            return
        except RequestError as error:
            reply = failure(str(error), error.status)
        except DataError as error:
            reply = failure(str(error), 400)
        except ServiceError as error:
            reply = failure(str(error), 503)
        except Exception:
            _log.exception("Unexpected error on %s %s", scope["method"], pattern)
            reply = failure("The server failed on this request; the reason is in its log.", 500)
        await send_reply(reply, send)
        self._metrics.count(pattern, reply.status, time.perf_counter() - start)


async def _handle(route: Route, scope: Scope, receive: Receive) -> Reply:
    allowed = ("GET", "HEAD") if route.method == "GET" else (route.method,)
    if scope["method"] not in allowed:
        message = f"{route.pattern} takes {route.method}, not {scope['method']}."
        return Reply({"error": message}, 405, headers={"allow": ", ".join(allowed)})
    return await route.handle(scope, receive)
