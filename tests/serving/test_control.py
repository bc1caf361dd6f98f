"""The control channel across machines: only who knows the token is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.control import Channel, Remote, connect, listen_remote

TOKEN = "0123456789abcdef" * 4


async def answer(channel: Channel, do: str, given: dict[str, Any]) -> Any:
    return {"did": do, **given}


def with_server(work: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        server = await listen_remote("127.0.0.1", TOKEN, answer, lambda channel: None)
        async with server:
            await work(server.sockets[0].getsockname()[1])

    asyncio.run(run())


def test_who_says_the_token_is_answered() -> None:
    async def work(port: int) -> None:
        channel = await connect(Remote("127.0.0.1", port, TOKEN), answer)
        running = asyncio.create_task(channel.run())
        assert await channel.call("hello", name="a") == {"did": "hello", "name": "a"}
        channel.close()
        await running

    with_server(work)


@pytest.mark.parametrize(
    "said",
    [
        b'{"do": "hello", "id": 1}\n' * 9,
        TOKEN[:-1].encode() + b"x\n" + b'{"do": "hello", "id": 1}\n',
        TOKEN.encode() + b" " + b'{"do": "hello", "id": 1}\n',
        b"",
    ],
    ids=["none", "another", "longer", "nothing"],
)
def test_who_does_not_is_told_nothing(said: bytes) -> None:
    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        if not said:
            writer.write_eof()
        async with asyncio.timeout(8):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()

    with_server(work)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Remote("127.0.0.1", 1, TOKEN))


def test_a_machine_where_nobody_listens_is_named() -> None:
    with pytest.raises(ServiceError, match=r"Nobody answers at 127\.0\.0\.1:1 "):
        asyncio.run(connect(Remote("127.0.0.1", 1, TOKEN), answer))
