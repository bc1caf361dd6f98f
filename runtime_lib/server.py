"""Serve an ASGI application from this process: a socket that listens, and a word once it answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runtime_lib.errors import ServiceError, require

__all__ = ["listen", "serve"]


def listen(host: str, port: int, *, fix: str) -> socket.socket:
    """Return a socket that listens there; port 0 is one that is free.

    Args:
        fix: what to do if it cannot, for the message.

    Raises:
        ServiceError: the port is in use, or the address is not this machine's.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        # create_server adds the address to the reason, which the message has already
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ServiceError(f"Cannot listen on {host}:{port} ({why}). {fix}") from error


def serve(app: Any, listener: socket.socket, *, on_ready: Callable[[], None], **options: Any) -> None:
    """Run uvicorn until Ctrl-C or SIGTERM, and call `on_ready` once it answers.

    Args:
        app: an ASGI application.
        options: of `uvicorn.Config`.
    """
    uvicorn = require("uvicorn", extra="serve")

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        Server(uvicorn.Config(app, log_level="warning", access_log=False, **options)).run(sockets=[listener])
