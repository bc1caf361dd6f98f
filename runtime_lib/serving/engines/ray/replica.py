"""A replica: a worker inside an actor of Ray Serve, which heals and scales it. Ray 2.60.

Serve runs a replica's own code on an event loop in a thread of its own: the worker answers there, on a socket
that Serve knows nothing of. So Serve's proxy, router and `max_ongoing_requests` see no request, and what they
would do is done here or by the worker:

    bound on requests       the worker's own (its queue, its bodies, its connections)
    load, for scaling       `record_autoscaling_stats`
    health                  `check_health`
    drain                   `__del__`, which Serve awaits before it ends the actor
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.secrets import guard
from runtime_lib.serving.engines.ray.demand import demand, device
from runtime_lib.serving.engines.ray.handover import fetch
from runtime_lib.serving.worker import Worker
from runtime_lib.settings import Hardware

__all__ = ["Place", "Replica"]


@dataclass(frozen=True)
class Place:
    """Where a replica finds its supervisor, and what it may take. No secrets but the token: Ray stores it.

    Attributes:
        control: the supervisor's socket.
        listener: where it hands over the socket to listen on.
    """

    control: Path
    listener: Path
    hardware: Hardware
    framework: str


class Replica:
    """Runs a worker for as long as Serve wants it."""

    async def __init__(self, place: Place) -> None:
        from ray import serve

        guard()
        _close_port()
        await asyncio.to_thread(_admit, place)
        self._worker = Worker(serve.get_replica_context().replica_id.unique_id, fetch(place.listener))
        self._running = asyncio.create_task(self._worker.run(place.control))
        answering = asyncio.create_task(self._worker.answering.wait())
        await asyncio.wait((self._running, answering), return_when=asyncio.FIRST_COMPLETED)
        answering.cancel()
        if self._running.done():
            self._running.result()
            raise ServiceError("The supervisor ended the worker before it answered.")

    async def __del__(self) -> None:  # noqa: PLE0302  Serve awaits it
        self._worker.end()
        await asyncio.wait([self._running])


def _admit(place: Place) -> None:
    """Wait until this machine is fit for the model."""
    from runtime_lib.hardware.admit.here import admit

    hardware, framework = place.hardware, place.framework
    admit(hardware, demand(hardware, framework), device=device(hardware, framework))


def _close_port() -> None:
    """Keep the server by which deployments call each other on this machine alone: nobody calls this one.

    Ray 2.60 binds it to every interface, by `add_port_to_grpc_server(…, "[::]:0")` in serve/_private/replica.py,
    after this constructor, and has no setting for it.
    """
    from ray.serve._private import replica

    with suppress(AttributeError):  # another version: the test of open ports says if it is open there
        bind = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, address: bind(server, "127.0.0.1:0")
