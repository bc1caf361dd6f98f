"""What replicas on several machines need: a control socket that they reach, and HAProxy in front of them."""

from __future__ import annotations

import asyncio
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.errors import ServiceError
from runtime_lib.serving.control import Remote
from runtime_lib.serving.front.haproxy import HAProxy, Limits, Program, find
from runtime_lib.settings.tables import Serving

if TYPE_CHECKING:
    from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Nodes", "front_for"]


class Nodes:
    """Made, opened and closed on the supervisor's event loop."""

    def __init__(
        self, supervisor: Supervisor, listener: socket.socket, folder: Path, program: Program
    ) -> None:
        self._supervisor = supervisor
        limits = Limits(check="/health")
        self._proxy = HAProxy(listener, folder / "front", program=program, limits=limits)

    async def open(self, host: str) -> Remote:
        """Listen to workers at this machine's address in the cluster, and answer clients through HAProxy."""
        token = secrets.token_hex(32)
        self._control = await self._supervisor.listen_remote(host, token)
        self._proxy.start()
        return Remote(host, self._control.sockets[0].getsockname()[1], token)

    def balance(self) -> None:
        """Divide requests among the workers that are there now."""
        self._proxy.heal()
        workers = self._supervisor.workers.values()
        self._proxy.set_workers([each.address for each in workers if each.ready and each.address])

    async def drain(self, seconds: float) -> None:
        """Take no more connections, and have those under way answered."""
        await asyncio.to_thread(self._proxy.stop, within=seconds)

    def close(self) -> None:
        self._control.close()


def front_for(serving: Serving, nodes: int) -> Program | None:
    """The HAProxy to put in front; None where all replicas share this machine's socket.

    Args:
        nodes: how many machines Ray has now; of a cluster, more may join.

    Raises:
        ServiceError: there are several, or it is asked for, and there is no HAProxy.
    """
    wanted = serving.front == "haproxy" or (serving.front == "auto" and bool(serving.ray_address))
    missing = "serving.front is 'none'."
    if wanted:
        try:
            return find()
        except ServiceError as error:
            missing = str(error)
    if nodes > 1:
        raise ServiceError(
            f"The Ray cluster at {serving.ray_address} has {nodes} nodes, and only HAProxy can divide "
            f"requests among them. {missing}"
        )
    if serving.front == "haproxy":
        raise ServiceError(missing)
    return None
