"""The local engine: each worker is a process of this machine, and is replaced when it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import ServiceError

if TYPE_CHECKING:
    from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Processes"]

# A worker that ends sooner has not worked: the next one waits a little longer.
_SECONDS_TO_COUNT = 10
_LONGEST_PAUSE = 10.0
# So many in a row, and no worker will come up by itself.
_MOST_FAILURES = 5


class Processes:
    """Keeps a worker running for each socket."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        """
        Args:
            listeners: one for each worker. It stays open here, so that nobody is refused while the worker is
                replaced.
        """
        self._listeners = listeners
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False
        self._started = 0

    def start(self, control: Path, supervisor: Supervisor) -> Awaitable[Any]:
        self._control, self._supervisor = control, supervisor
        self._tasks = [asyncio.create_task(self._keep(listener)) for listener in self._listeners]
        return asyncio.gather(*self._tasks)

    def kill(self, name: str) -> None:
        with suppress(ProcessLookupError, KeyError):
            self._running[name].kill()

    async def probe(self, name: str) -> None:
        with socket.socket() as nothing:
            await self._run(name, nothing)

    async def shadow(self, name: str) -> None:
        path = self._supervisor.folder / "shadow"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            await self._run(name, listener, module="runtime_lib.serving.shadow")

    async def stop(self, seconds: float) -> None:
        self._leaving = True
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for name in list(self._running):
            self.kill(name)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, listener: socket.socket) -> None:
        failures, pause = 0, 0.0
        while not self._leaving:
            name, started = self._name(), time.monotonic()
            code = await self._run(name, listener)
            if self._leaving:
                return
            self._supervisor.ended(name, _how(code))
            if time.monotonic() - started > _SECONDS_TO_COUNT:
                failures, pause = 0, 0.0
            else:
                failures, pause = failures + 1, min(_LONGEST_PAUSE, pause * 2 or 0.1)
            if failures >= _MOST_FAILURES:
                raise ServiceError(
                    f"{failures} workers in a row ended at once, the last by {_how(code)}. What they said is "
                    f"above."
                )
            await asyncio.sleep(pause if failures > 1 else 0)

    async def _run(
        self, name: str, listener: socket.socket, *, module: str = "runtime_lib.serving.worker"
    ) -> int:
        command = [sys.executable, "-m", module, name, str(self._control)]
        file = listener.fileno()
        process = await asyncio.create_subprocess_exec(*command, str(file), pass_fds=[file])
        self._running[name] = process
        try:
            return await process.wait()
        finally:
            del self._running[name]

    def _name(self) -> str:
        self._started += 1
        return f"w{self._started}"


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
