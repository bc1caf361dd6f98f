"""uvicorn, with what it leaves out: an end for silent connections, a drain that loses no request, and an
answer that leaves in one piece.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import require
from runtime_lib.serving.messages import Header, Send

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Server", "more_files"]

# Seconds from the connection, or from the last answer, to a complete head of a request.
_SECONDS_TO_ASK = 10
_SECONDS_IDLE = 60
# Of a drain: after this, whoever has not used the connection since loses it.
_SECONDS_TO_LEAVE = 5
# Of it, before clients are told to leave: until then the other workers have closed their listeners too.
_SECONDS_TO_CLOSE = 0.1
# Files that are not connections: the log, sockets to others, what a library opens.
_OTHER_FILES = 64


class Server:
    """Serves an application on a socket until `stop`."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        uvicorn = require("uvicorn", extra="serve")
        self._app, self._listener = app, listener
        self._server = _server(uvicorn, app)
        app.send_whole = _send_whole
        self._most = more_files() - _OTHER_FILES

    async def run(self) -> None:
        """Answer until `stop`, and then what is under way."""
        looking = asyncio.create_task(self._look())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            looking.cancel()

    @property
    def started(self) -> bool:
        return bool(self._server.started)

    async def stop(self) -> None:
        """Take no more connections, and have each client leave with its next answer.

        A connection that were closed at once would lose a request that is on its way to us.
        """
        for server in getattr(self._server, "servers", []):
            server.close()
        # A client that leaves may come back at once. It is to be refused, and not to wait in the queue of a
        # worker that is about to drop it.
        await asyncio.sleep(_SECONDS_TO_CLOSE)
        self._app.draining = True
        for _ in range(_SECONDS_TO_LEAVE * 10):
            if not self._server.server_state.connections:
                break
            await asyncio.sleep(0.1)
        self._server.should_exit = True

    async def _look(self) -> None:
        """End connections that never asked anything, and the idlest when files run out."""
        seen: dict[Any, float] = {}
        while True:
            await asyncio.sleep(1)
            now, connections = asyncio.get_running_loop().time(), self._server.server_state.connections
            seen = {each: seen.get(each, now) for each in connections if _is_silent(each)}
            for each in [each for each, since in seen.items() if now - since > _SECONDS_TO_ASK]:
                each.transport.abort()
            many = len(connections) - self._most * 3 // 4
            # From here on each answer ends its connection: clients that idle cannot hold all of them.
            self._app.crowded = many > 0
            if many > 0:
                for each in sorted(seen, key=seen.__getitem__)[:many]:
                    each.transport.abort()


def more_files() -> int:
    """Allow this process as many open files as it may have, and return the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says "unlimited" and means fewer.
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else max(soft, 10_240)
    if wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
    return max(wanted, soft)


def _send_whole(send: Send, headers: Sequence[Header], body: bytes) -> bool:
    """Send an answer in one piece if nothing is in the way, and say whether.

    uvicorn writes the head of an answer and its body apart. Each takes a call of the system, a packet, and
    a client that wakes up: a third of what a small answer costs.
    """
    cycle: Any = getattr(send, "__self__", None)
    try:  # private parts of uvicorn 0.35 to 0.54; in another one answers go its own way
        busy = cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive
        defaults, write, answered = cycle.default_headers, cycle.transport.write, cycle.on_response
        wake, method = cycle.message_event.set, cycle.scope["method"]
    except AttributeError:
        return False
    if busy or method == "HEAD":
        return False
    head = b"\r\n".join(map(b": ".join, (*defaults, *headers)))
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, body))
    wake()
    answered()
    return True


def _is_silent(connection: Any) -> bool:
    """Whether no request on it was ever complete in its head (a private part of uvicorn 0.35 to 0.54)."""
    return getattr(connection, "cycle", None) is None


def _server(uvicorn: Any, app: Any) -> uvicorn.Server:
    class Quiet(uvicorn.Server):  # type: ignore[misc]
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are the worker's."""
            yield

    options = {"log_level": "warning", "access_log": False, "lifespan": "off", "ws": "none"}
    # Its own configuration of logging closes the handlers of others: Ray Serve loses a replica over that.
    options["log_config"] = None
    config = uvicorn.Config(
        app,
        **options,
        http="httptools",
        interface="asgi3",
        loop="none",
        timeout_keep_alive=_SECONDS_IDLE,
        timeout_graceful_shutdown=30,
        server_header=False,
        proxy_headers=False,
    )
    return Quiet(config)
