"""A listening socket, handed from process to process of one machine by its file descriptor.

Whoever has it takes requests from the same queue, so nobody is refused while one of them is replaced.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from runtime_lib.errors import ServiceError

__all__ = ["Offer", "fetch"]

_SECONDS = 10


class Offer:
    """Gives a socket to whoever connects to a path, until `close`. Made and closed on an event loop."""

    def __init__(self, path: Path, listener: socket.socket) -> None:
        """
        Args:
            path: in a folder that only this user may enter: whoever connects may take the port's requests.
        """
        self._listener = listener
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o600)
        self._server.listen(64)
        self._server.setblocking(False)
        asyncio.get_running_loop().add_reader(self._server, self._give)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._server)
        self._server.close()

    def _give(self) -> None:
        with suppress(OSError):  # it is gone already
            connection, _ = self._server.accept()
            with connection:
                socket.send_fds(connection, [b"."], [self._listener.fileno()])


def fetch(path: Path) -> socket.socket:
    """Take the socket that is offered at a path.

    Raises:
        ServiceError: nobody offers one there.
    """
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_SECONDS)
        try:
            asking.connect(str(path))
            _, files, _, _ = socket.recv_fds(asking, 1, 1)
        except OSError as error:
            raise ServiceError(f"Nobody offers a socket at {path} ({error}).") from error
    if not files:
        raise ServiceError(f"No socket was given at {path}.")
    return socket.socket(fileno=files[0])
