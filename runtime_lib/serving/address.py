"""Where the project's server listens, and the URL under which this machine reaches it."""

from __future__ import annotations

import socket

from runtime_lib import server
from runtime_lib.settings import Settings

__all__ = ["listen", "url_of"]


def url_of(settings: Settings) -> str:
    """Return the URL under which this machine reaches the project's server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.serving.host, settings.serving.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.serving.port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        ServiceError: the port is in use, or the address is not this machine's.
    """
    return server.listen(
        host,
        port,
        fix="Is another server running? Stop it, or choose another port: serving.port in mlops.toml, or "
        f"MLOPS_SERVING__PORT={port + 1}.",
    )
