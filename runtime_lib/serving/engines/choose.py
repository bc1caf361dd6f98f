"""Which engine runs how many workers where, and whether HAProxy stands in front of them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.hardware import facts
from runtime_lib.serving.engines.engine import Engine
from runtime_lib.serving.engines.local import Place, Processes
from runtime_lib.serving.front.haproxy import HAProxy, Limits, find
from runtime_lib.serving.supervisor import Supervisor
from runtime_lib.settings import Settings

__all__ = ["Front", "engine_for", "workers_of"]

# More serve few: a second process costs memory, and a client's core.
_MOST_BY_ITSELF = 4
_SECONDS_TO_LOOK = 0.1
# HAProxy waits a little longer for an answer than a worker takes to give up.
_SECONDS_MORE = 10.0


def engine_for(settings: Settings, listener: socket.socket, folder: Path) -> tuple[Engine, Front | None]:
    """The engine that the settings name, to answer on a socket, and what stands in front of it.

    Args:
        folder: for sockets.

    Raises:
        ServiceError: HAProxy is asked for, and there is none.
    """
    if settings.serving.engine == "ray":
        from runtime_lib.serving.engines.ray import Replicas

        return Replicas(settings, listener), None
    count = workers_of(settings)
    if _wants_front(settings, count):
        places = [Place(_unix(folder / f"w{number}"), _variables(number)) for number in range(count)]
        addresses = [f"unix@{folder}/w{number}" for number in range(count)]
        return Processes(places), Front(listener, folder, addresses, settings.serving.timeout)
    sockets = _shared(listener, count)
    return Processes([Place(each, _variables(number)) for number, each in enumerate(sockets)]), None


def workers_of(settings: Settings) -> int:
    """How many workers: as the settings say, else one for each GPU, else one for every two cores."""
    if settings.serving.workers:
        return settings.serving.workers
    machine = facts()
    if machine.cuda_devices:
        return len(machine.cuda_devices)
    if sys.platform == "darwin":  # Metal is one device, and the worker that has it computes alone
        return 1
    return max(1, min(_MOST_BY_ITSELF, (machine.cpu_count or 1) // 2))


class Front:
    """HAProxy in front of workers that listen on sockets of this machine."""

    def __init__(self, listener: socket.socket, folder: Path, addresses: list[str], timeout: float) -> None:
        """
        Args:
            timeout: seconds after which a worker answers whatever happens.

        Raises:
            ServiceError: there is no HAProxy.
        """
        limits = Limits(answer=max(Limits().answer, timeout + _SECONDS_MORE), check="/health")
        self._listener = listener
        self._proxy, self._addresses = HAProxy(listener, folder / "front", limits=limits), addresses

    @property
    def pid(self) -> int | None:
        return self._proxy.pid

    async def run(self, supervisor: Supervisor) -> None:
        """Keep it running until cancelled, once the first worker is ready.

        Raises:
            ServiceError: it does not start.
        """
        await supervisor.ready.wait()
        self._proxy.set_workers(self._addresses)
        self._proxy.start()
        supervisor.front = "haproxy"
        while True:
            await asyncio.sleep(_SECONDS_TO_LOOK)
            if self._proxy.heal():
                supervisor.workers.tell("HAProxy ended unasked, and was started again.")

    async def stop(self) -> None:
        """Take no more connections, and end it after what is under way."""
        self._listener.close()
        await asyncio.to_thread(self._proxy.stop, within=10)


def _wants_front(settings: Settings, workers: int) -> bool:
    front = settings.serving.front
    if front == "auto" and workers > 1:
        try:
            find()
        except ServiceError:
            return False
        return True
    return front == "haproxy"


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1024)
    return listener


def _shared(listener: socket.socket, count: int) -> Iterator[socket.socket]:
    """A socket for each worker, at one port; Linux divides connections among them, macOS by who is free."""
    if count == 1 or sys.platform != "linux":
        yield from [listener] * count
        return
    host, port, *_ = listener.getsockname()
    family = listener.family
    listener.close()
    for _ in range(count):
        yield socket.create_server((host, port), family=family, backlog=1024, reuse_port=True)


def _variables(number: int) -> dict[str, str]:
    """A GPU for each worker, where there are several; and no threads of numpy: it has few rows.

    OpenMP's threads, which torch has, wait asleep. By default they spin, and keep each other from a core
    where a machine does more than serve: a network of 5 million parameters then answered 50 requests a second
    instead of 400. GNU's may spin from one layer to the next, some 0.1 ms: that is a tenth more requests.
    """
    found = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
    if len(devices := facts().cuda_devices) > 1:
        found["CUDA_VISIBLE_DEVICES"] = str(number % len(devices))
    return {name: value for name, value in found.items() if name not in os.environ}
