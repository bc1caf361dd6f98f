"""A worker: one process that answers requests, as its supervisor orders.

    python -m runtime_lib.serving.worker NAME CONTROL-SOCKET LISTENING-FILE-DESCRIPTOR

It connects to the supervisor, loads the versions that it is told to, and takes requests once it has a policy.
If the supervisor is gone it finishes what is under way and ends: nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from runtime_lib import __version__
from runtime_lib.errors import MlopsError, ModelError
from runtime_lib.secrets import guard
from runtime_lib.serving.connections import Server
from runtime_lib.serving.control import Channel, Remote, connect
from runtime_lib.serving.endpoints import AskServer
from runtime_lib.serving.http import build_app
from runtime_lib.serving.log import PredictionLog
from runtime_lib.serving.releases.journal import Held
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings.wire import from_dict

__all__ = ["Worker", "main"]

# How often a worker says what it has counted.
_SECONDS_TO_REPORT = 1.0
# Python's own 700 are reached by 32 requests under way.
_ALLOCATIONS_TO_COLLECT = 50_000
# What the supervisor is asked for the sake of a request.
_SECONDS_TO_ASK = 2.0


class Worker:
    """The orders of a supervisor, carried out on a service."""

    def __init__(self, name: str, listener: socket.socket, address: str = "") -> None:
        """
        Args:
            address: where the listener is reached from other machines, `host:port`; empty: it is shared.
        """
        self._name, self._listener, self._address = name, listener, address
        # Set once the first policy holds and requests are taken.
        self.answering = asyncio.Event()
        # Whether it ended because its supervisor was gone.
        self.orphaned = False
        # Whether another one is to take its place; it answers until it is told to stop.
        self.outdated = False
        self._ended = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @property
    def load(self) -> float:
        """Requests under way, on the mean since this was last asked."""
        return self._app.load.mean()

    async def run(self, control: Path | Remote) -> None:
        """Work until ordered to stop, or until the supervisor is gone.

        Raises:
            ServiceError: the supervisor does not answer.
        """
        channel = await connect(control, self._order)
        listening = asyncio.create_task(channel.run())
        listening.add_done_callback(self._lost)
        told: dict[str, Any] = {"name": self._name, "pid": os.getpid(), "address": self._address}
        given = await channel.call("hello", version=__version__, **told)
        self._open(given, partial(channel.call, seconds=_SECONDS_TO_ASK))
        channel.tell("open")
        reporting = asyncio.create_task(self._report(channel))
        await self._ended.wait()
        reporting.cancel()
        channel.tell("leave")
        await self._stop()
        channel.close()

    def _open(self, given: Mapping[str, Any], ask: AskServer) -> None:
        settings = from_dict(given["settings"])
        self._log = PredictionLog(settings.predictions)
        self._service = Service(settings, name=given["model"], log=self._log)
        self._app = build_app(self._service, ask)
        self._shadow = Path(given["shadow"]) if given["shadow"] else None
        self._server = Server(self._app, self._listener)

    def _lost(self, listening: asyncio.Task[None]) -> None:
        self.orphaned = not self._ended.is_set()
        self._ended.set()

    def end(self) -> None:
        """Stop taking requests, and end after those under way."""
        self._ended.set()

    async def _order(self, channel: Channel, do: str, given: dict[str, Any]) -> Any:
        match do:
            case "prepare":
                return await self._prepare(given["models"])
            case "commit":
                return await self._commit(Policy.from_dict(given["policy"]))
            case "renew":
                self.outdated = True
                return None
            case "stop":
                return self.end()
        raise ModelError(f"This worker of runtime-lib {__version__} does not know the order '{do}'.")

    async def _prepare(self, models: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        await self._service.prepare({version: Held(**held) for version, held in models.items()})
        return {name: _signature(version) for name, version in self._service.versions.items()}

    async def _commit(self, policy: Policy) -> None:
        self._service.commit(policy)
        self._app.copy_to(self._shadow if policy.shadows else None)
        if self._serving is None:
            self._serving = asyncio.create_task(self._server.run())
            while not self._server.started and not self._serving.done():
                await asyncio.sleep(0.005)
            self.answering.set()
            # What was loaded stays, and requests leave no cycles behind: the collector need look at neither
            # again and again, which took a twentieth of the time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_ALLOCATIONS_TO_COLLECT)

    async def _report(self, channel: Channel) -> None:
        while True:
            await asyncio.sleep(_SECONDS_TO_REPORT)
            channel.tell("report", memory=_resident(), **self._counted())

    def _counted(self) -> dict[str, Any]:
        return {
            "counted": self._app.metrics.to_dict(),
            "shed": self._app.copies.shed if self._app.copies else 0,
            "failing": self._log.failing,
        }

    async def _stop(self) -> None:
        if self._serving:
            await self._server.stop()
            await self._serving
        self._listener.close()  # if it never served; its process may last longer than it
        self._service.stop()
        self._log.close()


def _resident() -> int | None:
    """Bytes of memory that this process takes; None where the system does not say it in a file."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()


def _signature(version: Any) -> dict[str, Any]:
    """What callers of a version must know: to compare it with others."""
    model = version.predictor.model
    return {
        "task": model.task.kind,
        "outputs": list(model.task.outputs),
        "columns": {column.name: column.kind for column in model.columns},
        "framework": model.framework,
    }


async def _run(kind: type[Worker], name: str, control: str, file: str) -> None:
    worker = kind(name, socket.socket(fileno=int(file)))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.end)
    # Ctrl-C reaches the whole group of a terminal: the supervisor's order comes then.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await worker.run(Path(control))


def main(kind: type[Worker] = Worker) -> str | int:
    """Run a worker of some kind; what is returned is for `sys.exit`."""
    guard()
    try:
        with suppress(ModuleNotFoundError):
            import uvloop

            uvloop.run(_run(kind, *sys.argv[1:]))
            return 0
        asyncio.run(_run(kind, *sys.argv[1:]))
    except MlopsError as error:
        return f"Error: {error}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
