"""A replica: a worker inside an actor of Ray Serve, which heals and scales it. Ray 2.60.

Serve runs a replica's own code on an event loop in a thread of its own. The worker answers there, on a
socket that Serve knows nothing of: its proxy, router and `max_ongoing_requests` see no request. What they
would do is done elsewhere:

    bound on requests       the worker's own: its queue, its bodies, its connections
    load, for scaling       `record_autoscaling_stats`, under the name that Serve gives its own count
    health                  `check_health`; it fails too if another one is to take the place
    drain                   `__del__`, which Serve awaits before it ends the actor
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.hardware.device.device import Answers
from runtime_lib.secrets import guard
from runtime_lib.serving.control import Remote
from runtime_lib.serving.engines.ray.demand import demand, device
from runtime_lib.serving.engines.ray.handover import fetch
from runtime_lib.serving.engines.ray.instance import is_leased
from runtime_lib.serving.worker import Worker
from runtime_lib.settings import Hardware

__all__ = ["Place", "Replica"]

_RUNNING = "running_requests"  # RUNNING_REQUESTS_KEY in serve/_private/common.py
_SECONDS_TO_NOTICE = 10


@dataclass(frozen=True)
class Place:
    """Where a replica finds its supervisor, and what it takes. Ray stores it: it holds no secret but a token.

    Attributes:
        application: the name in Serve; whoever cannot find its supervisor deletes it, if that is gone.
        control: the supervisor's socket; a `Remote` where replicas may be on other machines.
        listener: where the socket to listen on is handed over; unused with a `Remote`.
    """

    application: str
    control: Path | Remote
    listener: Path
    hardware: Hardware
    framework: Answers


class Replica:
    """Runs a worker for as long as Serve wants it."""

    # Until a successor answers, and then to drain.
    SECONDS_TO_LEAVE = 600
    _running: asyncio.Task[None] | None = None

    async def __init__(self, place: Place) -> None:  # type: ignore[misc]  # Serve awaits it
        from ray import serve

        guard()
        _close_port()
        await asyncio.to_thread(_admit, place)
        self._place = place
        self._worker = Worker(serve.get_replica_context().replica_id.unique_id, *_listen(place))
        self._running = running = asyncio.create_task(self._worker.run(place.control))
        running.add_done_callback(self._ended)
        answering = asyncio.create_task(self._worker.answering.wait())
        await asyncio.wait((running, answering), return_when=asyncio.FIRST_COMPLETED)
        answering.cancel()
        if running.done():
            running.result()
            raise ServiceError("The supervisor ended this worker before it answered.")

    async def check_health(self) -> None:
        """Fail, so that another replica takes this one's place, if it no longer answers.

        A log that cannot be written is no reason: another replica could not write it either, and `/ready`
        says so.
        """
        if self._worker.outdated:
            raise ServiceError("Another replica is to take this one's place.")
        if self._worker.orphaned:
            raise ServiceError("The supervisor is gone.")
        if self._running and self._running.done():
            self._running.result()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Say how busy it is, in requests under way."""
        return {_RUNNING: self._worker.load}

    async def __del__(self) -> None:  # Serve awaits it
        if self._running:
            if not self._worker.outdated:  # else its supervisor ends it, once the next one answers
                self._worker.end()
            await asyncio.wait([self._running])

    def _ended(self, running: asyncio.Task[None]) -> None:
        """A cluster outlives the supervisor, and would start replicas for ever."""
        if isinstance(self._place.control, Remote) and (self._worker.orphaned or running.exception()):
            self._deleting = asyncio.create_task(asyncio.to_thread(_delete_if_left, self._place.application))


def _admit(place: Place) -> None:
    """Wait until this machine is fit for the model."""
    from runtime_lib.hardware.admit.here import admit

    hardware, framework = place.hardware, place.framework
    admit(hardware, demand(hardware, framework), device=device(hardware, framework))


def _listen(place: Place) -> tuple[socket.socket, str]:
    """The socket to listen on, and its address if it is this replica's own."""
    if not isinstance(place.control, Remote):
        return fetch(place.listener), ""
    import ray

    host = ray.util.get_node_ip_address()
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    return listener, f"{host}:{listener.getsockname()[1]}"


def _close_port() -> None:
    """Keep the server by which deployments call each other on this machine alone: nobody calls this one.

    Ray 2.60 binds it to every interface, after this constructor, and has no setting for it: see
    `add_port_to_grpc_server(…, "[::]:0")` in serve/_private/replica.py.
    """
    from ray.serve._private import replica

    with suppress(AttributeError):  # another version: the test of open ports says if it is open there
        bind = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, address: bind(server, "127.0.0.1:0")


def _delete_if_left(application: str) -> None:
    """Delete the application if its supervisor is gone, and not only out of reach."""
    from ray import serve

    if not is_leased(application, seconds=_SECONDS_TO_NOTICE):
        with suppress(MlopsError, Exception):  # another replica may have been first
            serve.delete(application, _blocking=False)
