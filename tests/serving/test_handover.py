"""A listening socket between processes: whoever was given it answers on the same port."""

from __future__ import annotations

import asyncio
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.engines.ray.handover import Offer, fetch

_ANSWER_ONE = """
import sys
from pathlib import Path
from runtime_lib.serving.engines.ray.handover import fetch
with fetch(Path(sys.argv[1])) as listener:
    connection, _ = listener.accept()
    connection.sendall(b"from another process")
    connection.close()
"""


def test_another_process_answers_on_the_socket_that_it_was_given(tmp_path: Path) -> None:
    async def run() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            offer = Offer(tmp_path / "listener", listener)
            assert stat.S_IMODE((tmp_path / "listener").stat().st_mode) == 0o600
            script = [sys.executable, "-c", _ANSWER_ONE, str(tmp_path / "listener")]
            with subprocess.Popen(script) as process:
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                said = await asyncio.wait_for(reader.read(), 20)
                writer.close()
            assert process.returncode == 0
            offer.close()
            return said

    assert asyncio.run(run()) == b"from another process"


def test_one_who_asks_and_leaves_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            offer = Offer(tmp_path / "listener", listener)
            with socket.socket(socket.AF_UNIX) as leaving:
                leaving.connect(str(tmp_path / "listener"))
            with await asyncio.to_thread(fetch, tmp_path / "listener") as given:
                assert given.getsockname() == listener.getsockname()
            offer.close()

    asyncio.run(run())


def test_where_nobody_offers_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="Nobody offers a socket at"):
        fetch(tmp_path / "nothing")
