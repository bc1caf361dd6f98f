"""The local engine: uvicorn in this process, without Ray. For laptops, tests, and small services."""

from __future__ import annotations

from collections.abc import Callable

from runtime_lib.errors import require
from runtime_lib.server import serve
from runtime_lib.serving.address import listen
from runtime_lib.serving.service import Service

__all__ = ["run"]


def run(service: Service, *, host: str, port: int, on_ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are finished first.

    Raises:
        ModelError: the model cannot be read.
        ServiceError: the port was taken in the meantime.
    """
    require("uvicorn", extra="serve")
    require("orjson", extra="serve")
    from runtime_lib.serving.http import build_app

    service.start()
    with listen(host, port) as listener:
        serve(build_app(service), listener, on_ready=on_ready, lifespan="on", timeout_graceful_shutdown=30)
