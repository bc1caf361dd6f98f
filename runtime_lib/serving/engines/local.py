"""The local engine: each worker is a process of this machine, and is replaced when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import ServiceError

if TYPE_CHECKING:
    from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Place", "Processes"]

# A worker that ends sooner has not worked: the next one waits a little longer.
_SECONDS_TO_COUNT = 10
_LONGEST_PAUSE = 10.0
# So many in a row, and no worker will come up by itself.
_MOST_FAILURES = 5


@dataclass(frozen=True)
class Place:
    """Where a worker runs: the socket that it answers on, and variables of its own.

    The socket stays open in the supervisor, so that nobody is refused while the worker is replaced.
    """

    listener: socket.socket
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Line:
    """The workers of a place, one after another; `left`: its worker is to be the last."""

    name: str = ""
    left: bool = False


class Processes:
    """Keeps a worker running in each place."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._lines: dict[asyncio.Task[None], _Line] = {}
        self._leaving = False
        self._started = 0

    async def start(self, control: Path, supervisor: Supervisor) -> Any:
        self.know(control, supervisor)
        for place in self._places:
            self._begin(place)
        # Those that replaced others come later: until none is left.
        while self._lines:
            done, _ = await asyncio.wait(self._lines, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del self._lines[task]
                task.result()

    def know(self, control: Path, supervisor: Supervisor) -> None:
        """What `start` begins with: enough for `probe` and `shadow`."""
        self._control, self._supervisor = control, supervisor

    def kill(self, name: str) -> None:
        with suppress(ProcessLookupError, KeyError):
            self._running[name].kill()

    async def probe(self, name: str) -> None:
        with socket.socket() as nothing:
            await self._run(name, Place(nothing))

    async def shadow(self, name: str) -> None:
        path = self._supervisor.folder / "shadow"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            await self._run(name, Place(listener), module="runtime_lib.serving.shadow")

    async def renew(self) -> None:
        old = [line for line in self._lines.values() if not line.left]
        for line, place in zip(old, self._places, strict=True):
            successor = self._begin(place)
            await self._until_ready(successor)
            line.left = True
            if worker := self._supervisor.workers.get(line.name):
                worker.channel.tell("stop")

    async def stop(self, seconds: float) -> None:
        self._leaving = True
        # Whoever comes now is refused at once, by the worker's own closing, and does not wait for nobody.
        for place in self._places:
            place.listener.close()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        if self._lines:
            await asyncio.wait(self._lines, timeout=seconds)
        for name in list(self._running):
            self.kill(name)
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _begin(self, place: Place) -> _Line:
        line = _Line()
        self._lines[asyncio.create_task(self._keep(place, line))] = line
        return line

    async def _until_ready(self, line: _Line) -> None:
        """
        Raises:
            ServiceError: it ended first.
        """
        workers = self._supervisor.workers
        first = line.name
        while not (line.name in workers and workers[line.name].ready):
            if first and line.name != first:
                line.left = True
                raise ServiceError("The new worker ended before it could answer. The others go on.")
            first = line.name
            await asyncio.sleep(0.02)

    async def _keep(self, place: Place, line: _Line) -> None:
        failures, pause = 0, 0.0
        while not self._leaving:
            line.name, started = self._name(), time.monotonic()
            code = await self._run(line.name, place)
            if self._leaving or line.left:
                return
            self._supervisor.workers.ended(line.name, _how(code))
            answered = line.name in self._supervisor.workers.answered
            if answered or time.monotonic() - started > _SECONDS_TO_COUNT:
                failures, pause = 0, 0.0
            else:
                failures, pause = failures + 1, min(_LONGEST_PAUSE, pause * 2 or 0.1)
            if failures >= _MOST_FAILURES:
                raise ServiceError(
                    f"{failures} workers in a row ended at once, the last by {_how(code)}. What they said is "
                    f"above."
                )
            await asyncio.sleep(pause if failures > 1 else 0)

    async def _run(self, name: str, place: Place, *, module: str = "runtime_lib.serving.worker") -> int:
        command = [sys.executable, "-m", module, name, str(self._control)]
        file, env = place.listener.fileno(), {**os.environ, **place.variables}
        process = await asyncio.create_subprocess_exec(*command, str(file), pass_fds=[file], env=env)
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
