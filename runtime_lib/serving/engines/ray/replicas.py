"""Replicas of a Ray Serve deployment as the workers of a supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.serving.engines.local import Processes
from runtime_lib.serving.engines.ray.handover import Offer
from runtime_lib.serving.engines.ray.instance import cause, opened, quiet, reserve
from runtime_lib.serving.engines.ray.replica import Place, Replica
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Replicas"]

_DEPLOYMENT = "worker"
_SECONDS_TO_LEAVE = 15


class Replicas:
    """Has Ray Serve keep replicas running that connect to the supervisor."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """
        Args:
            listener: stays open here, so that nobody is refused while a replica is replaced.
        """
        self._settings, self._listener = settings, listener
        self._probes = Processes([])
        self._leaving = threading.Event()
        self._application = "mlops"
        self._thread: threading.Thread | None = None

    def start(self, control: Path, supervisor: Supervisor) -> Awaitable[Any]:
        self._supervisor = supervisor
        self._probes.start(control, supervisor)
        self._offer = Offer(control.with_name("listener"), self._listener)
        serving = self._settings.serving
        self._place = Place(control, control.with_name("listener"), self._settings.hardware, serving.framework)
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        # Ray's calls wait; and its processes end with the thread that has started them.
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._thread.start()
        return self._done

    def kill(self, name: str) -> None:
        if worker := self._supervisor.workers.get(name):
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    async def probe(self, name: str) -> None:
        await self._probes.probe(name)

    async def stop(self, seconds: float) -> None:
        if self._thread is None:
            return
        await self._probes.stop(0)
        for worker in self._supervisor.workers.values():
            worker.channel.tell("stop")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._supervisor.workers:
                    await asyncio.sleep(0.05)
        self._leaving.set()
        await asyncio.wait([self._done], timeout=_SECONDS_TO_LEAVE)
        self._offer.close()

    def _live(self) -> None:
        """Ray's whole life, in its thread."""
        try:
            with opened(self._settings) as given:
                self._deploy(reserve(self._settings, given))
                self._watch()
        except MlopsError as error:
            self._loop.call_soon_threadsafe(self._done.set_exception, error)
        else:
            self._loop.call_soon_threadsafe(self._done.set_result, None)

    def _deploy(self, wanted: dict[str, float]) -> None:
        from ray import serve

        serving = self._settings.serving
        deployment = serve.deployment(
            Replica,
            name=_DEPLOYMENT,
            num_replicas=serving.workers or 1,
            max_constructor_retry_count=1,  # a model that cannot be read will not become readable
            health_check_period_s=1,
            health_check_timeout_s=10,
            graceful_shutdown_timeout_s=40,
            graceful_shutdown_wait_loop_s=0.1,
            logging_config=quiet(),
            ray_actor_options={"num_cpus": 0, "resources": wanted},
        )
        target = serve.RunTarget(
            deployment.bind(self._place), name=self._application, route_prefix=None
        )
        serve.run_many([target], wait_for_applications_running=False)

    def _watch(self) -> None:
        from ray import serve

        while not self._leaving.wait(0.5):
            found = serve.status().applications[self._application]
            if found.status in ("DEPLOY_FAILED", "UNHEALTHY"):
                said = found.deployments[_DEPLOYMENT].message if found.deployments else found.message
                raise ServiceError(f"The model did not start in Ray Serve: {cause(said)}")
