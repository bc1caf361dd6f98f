"""The local engine: uvicorn in this process, without Ray. For laptops, tests, and small services."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runtime_lib.errors import require
from runtime_lib.serving.address import listen
from runtime_lib.serving.service import Service

__all__ = ["run"]


def run(service: Service, *, host: str, port: int, on_ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are finished first.

    Raises:
        ModelError: the model cannot be read.
        ServiceError: the port was taken in the meantime.
    """
    uvicorn = require("uvicorn", extra="serve")
    require("orjson", extra="serve")
    from runtime_lib.serving.http import build_app

    service.start()
    config = uvicorn.Config(
        build_app(service), lifespan="on", log_level="warning", access_log=False, timeout_graceful_shutdown=30
    )
    with listen(host, port) as listener, suppress(KeyboardInterrupt):
        _server(uvicorn, config, on_ready).run(sockets=[listener])


def _server(uvicorn: Any, config: Any, on_ready: Callable[[], None]) -> Any:
    class Server(uvicorn.Server):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    return Server(config)
