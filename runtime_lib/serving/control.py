"""How the supervisor, its workers and the commands talk: requests and replies as lines of JSON on a socket.

Both ends may ask. The socket is a unix socket in a folder that only its user may enter, so whoever reaches it
may give orders. Workers of other machines come by TCP and say a token first; nothing there is encrypted.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from runtime_lib import errors
from runtime_lib.errors import MlopsError, ServiceError

__all__ = ["Channel", "Remote", "ask", "connect", "listen", "listen_remote", "raised"]

Handle = Callable[["Channel", str, dict[str, Any]], Awaitable[Any]]

_log = logging.getLogger(__name__)
# Far above any message; a line that is longer ends the connection.
_LONGEST = 1 << 24
_SECONDS_TO_SAY_TOKEN = 5


@dataclass(frozen=True)
class Remote:
    """A socket on another machine, and the token that it wants to hear."""

    host: str
    port: int
    token: str = field(repr=False)


class Channel:
    """One connection. `run` must be awaited for anything to arrive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handle) -> None:
        self._reader, self._writer, self._handle = reader, writer, handle
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, do: str, *, seconds: float = 30, **arguments: Any) -> Any:
        """Ask the other end and return its answer.

        Raises:
            ServiceError: it is gone, or did not answer in time.
            MlopsError: it refused; of the class and with the words that it gave.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.tell(do, id=number, **arguments)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise ServiceError(f"No answer to '{do}' within {seconds:g} s.") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, do: str, **arguments: Any) -> None:
        """Send without waiting for an answer. What cannot be sent any more is dropped."""
        self._send({"do": do, **arguments})

    async def run(self) -> None:
        """Take what arrives until the other end is gone."""
        try:
            with suppress(ConnectionError, ValueError):  # ValueError: a line that is too long, or no JSON
                while line := await self._reader.readline():
                    self._take(json.loads(line))
        finally:
            self.close()

    def close(self) -> None:
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ServiceError("The other end of the control connection is gone."))

    def _take(self, message: dict[str, Any]) -> None:
        if "do" in message:
            task = asyncio.get_running_loop().create_task(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (answer := self._waiting.get(message["re"])) and not answer.done():
            if "error" in message:
                answer.set_exception(raised(message["kind"], message["error"]))
            else:
                answer.set_result(message["ok"])

    async def _reply(self, message: dict[str, Any]) -> None:
        do, number = message.pop("do"), message.pop("id", None)
        try:
            result = {"ok": await self._handle(self, do, message)}
        except MlopsError as error:
            result = {"error": str(error), "kind": type(error).__name__}
        except Exception as error:
            _log.error("Unexpected error on the order '%s'", do, exc_info=error)
            result = {"error": f"The server failed on '{do}'; its log says why.", "kind": "ServiceError"}
        if number is not None:
            self._send({"re": number, **result})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")


async def connect(where: Path | Remote, handle: Handle) -> Channel:
    """Connect to a socket.

    Raises:
        ServiceError: nobody listens there.
    """
    if isinstance(where, Remote):
        return await _connect_remote(where, handle)
    try:
        return Channel(*await asyncio.open_unix_connection(where, limit=_LONGEST), handle)
    except OSError as error:
        raise ServiceError(f"Nobody answers at {where} ({error.strerror}).") from error


async def _connect_remote(where: Remote, handle: Handle) -> Channel:
    try:
        reader, writer = await asyncio.open_connection(where.host, where.port, limit=_LONGEST)
    except OSError as error:
        raise ServiceError(f"Nobody answers at {where.host}:{where.port} ({error}).") from error
    _end_with_machine(writer)
    writer.write(where.token.encode() + b"\n")
    return Channel(reader, writer, handle)


async def listen(path: Path, handle: Handle, gone: Callable[[Channel], None]) -> asyncio.Server:
    """Listen on a socket that only this user may open; `gone` is called when a connection ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer, handle)
        await channel.run()
        gone(channel)

    server = await asyncio.start_unix_server(connected, path, limit=_LONGEST)
    path.chmod(0o600)
    return server


async def listen_remote(
    host: str, token: str, handle: Handle, gone: Callable[[Channel], None]
) -> asyncio.Server:
    """Listen on a free port for whoever says `token` first; nobody else is answered."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = b""
        with suppress(TimeoutError, OSError, EOFError):
            async with asyncio.timeout(_SECONDS_TO_SAY_TOKEN):
                said = await reader.readexactly(len(token) + 1)
        if not hmac.compare_digest(said, token.encode() + b"\n"):
            writer.close()
            return
        _end_with_machine(writer)
        channel = Channel(reader, writer, handle)
        await channel.run()
        gone(channel)

    return await asyncio.start_server(connected, host, 0, limit=_LONGEST)


def _end_with_machine(writer: asyncio.StreamWriter) -> None:
    """Notice within a minute that the other machine is gone: it may not have said so."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS has another name for the first of them.
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 3)):
        if option := getattr(socket, name, None):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def ask(path: Path, do: str, *, seconds: float = 30, **arguments: Any) -> Any:
    """Connect, ask once, and return the answer; for commands.

    Raises:
        ServiceError, MlopsError: as `Channel.call`.
    """

    async def once() -> Any:
        channel = await connect(path, _nothing)
        running = asyncio.create_task(channel.run())
        try:
            return await channel.call(do, seconds=seconds, **arguments)
        finally:
            channel.close()
            await running

    return asyncio.run(once())


async def _nothing(channel: Channel, do: str, arguments: dict[str, Any]) -> None:
    raise ServiceError(f"'{do}' is not known here.")


def raised(kind: str, message: str) -> MlopsError:
    """An error that another process told by its class and message."""
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, MlopsError)):
        return ServiceError(message)
    # One that takes more than a message cannot be made of it.
    own = [each for each in found.__mro__ if issubclass(each, MlopsError) and "__init__" in vars(each)]
    return ServiceError(message) if own else found(message)
