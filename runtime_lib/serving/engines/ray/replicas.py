"""Replicas of a Ray Serve deployment as the workers of a supervisor."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import ServiceError
from runtime_lib.serving.engines.local import Processes
from runtime_lib.serving.engines.ray import instance
from runtime_lib.serving.engines.ray.handover import Offer
from runtime_lib.serving.engines.ray.nodes import Nodes, front_for
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.serving.engines.ray.replica import Place
    from runtime_lib.serving.supervisor import Supervisor
    from runtime_lib.serving.workers import Worker

__all__ = ["Replicas"]

_DEPLOYMENT = "worker"
# A model of gigabytes takes its time from a slow disk.
_SECONDS_TO_SUCCEED = 540
_SECONDS_TO_LEAVE = 15
# Serve's controller is back within 5 s of its end.
_SECONDS_OF_SILENCE = 20.0
# Ray ends this process, without a drain, once its control store has been gone for 60 s. On a cluster it may
# come back.
_SECONDS_WITHOUT_STORE = {"own": 5.0, "cluster": 45.0}
# Requests under way at which one replica gives more than 9 of 10 answers that it can (docs/serving.md), and
# how soon more of them follow: 1 to 3 within 10 s.
_BUSY = 8
_SCALING = {
    "target_ongoing_requests": _BUSY,
    "metrics_interval_s": 1,
    "look_back_period_s": 3,
    "upscale_delay_s": 1,
    "downscale_delay_s": 30,
}


class Replicas:
    """Has Ray Serve keep replicas running that connect to the supervisor."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """
        Args:
            listener: stays open here, so that nobody is refused while a replica is replaced.
        """
        self._settings, self._listener = settings, listener
        self._application = f"mlops-{settings.project.name}-{secrets.token_hex(3)}"
        self._probes = Processes([])
        self._leaving = threading.Event()
        self._nodes: Nodes | None = None
        self._heard = self._stored = time.monotonic()
        self._store = ""
        self._done: asyncio.Future[None] | None = None

    def start(self, control: Path, supervisor: Supervisor) -> Awaitable[Any]:
        self._supervisor, self._control = supervisor, control
        self._probes.know(control, supervisor)
        self._offer = Offer(control.with_name("listener"), self._listener)
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        # Ray's calls wait; and its processes end with the thread that has started them.
        threading.Thread(target=self._live, name="ray", daemon=True).start()
        self._looking = asyncio.create_task(self._look())
        self._looking.add_done_callback(self._no_look)
        return self._done

    def kill(self, name: str) -> None:
        if self._nodes:
            threading.Thread(target=self._kill_actor, args=(name,), daemon=True).start()
        elif worker := self._supervisor.workers.get(name):
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    async def probe(self, name: str) -> None:
        await self._probes.probe(name)

    async def renew(self) -> None:
        workers = self._supervisor.workers
        for worker in [each for each in workers.ready if not each.is_shadow]:
            before = set(workers)
            worker.channel.tell("renew")
            try:
                async with asyncio.timeout(_SECONDS_TO_SUCCEED):
                    while not any(each.name not in before and not each.is_shadow for each in workers.ready):
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise ServiceError(
                    f"No new replica came up within {_SECONDS_TO_SUCCEED} s. The others go on."
                ) from None
            worker.channel.tell("stop")
            while worker.name in workers:
                await asyncio.sleep(0.1)

    async def shadow(self, name: str) -> None:
        await self._probes.shadow(name)

    async def stop(self, seconds: float) -> None:
        self._looking.cancel()
        # Whoever comes now is refused once the replicas have closed it too, and does not wait for nobody.
        self._offer.close()
        self._listener.close()
        await self._probes.stop(0)
        if self._nodes:
            await self._nodes.drain(seconds / 2)
        for worker in self._supervisor.workers.values():
            worker.channel.tell("stop")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._supervisor.workers:
                    await asyncio.sleep(0.05)
        self._leaving.set()
        if self._done and not self._done.done():
            await asyncio.wait([self._done], timeout=_SECONDS_TO_LEAVE)
        if self._nodes:
            self._nodes.close()

    # ------------------------------------------------- on the event loop: what the workers do

    async def _look(self) -> None:
        """Follow the workers that come and go, and notice if none is left and Ray is silent."""
        known: dict[str, Worker] = {}
        alone = time.monotonic()
        while True:
            present = dict(self._supervisor.workers)
            for name in [name for name in known if name not in present]:
                if not known.pop(name).leaving:
                    self._supervisor.workers.ended(name, "a kill or a crash")
            known |= present
            if self._nodes:
                self._nodes.balance()
            now = time.monotonic()
            if self._supervisor.workers.has_ready or not self._supervisor.ready.is_set():
                alone = now
            self._judge(now - alone, now - self._heard)
            await self._check_store()
            await asyncio.sleep(0.2)

    def _judge(self, alone: float, silent: float) -> None:
        """
        Raises:
            ServiceError: nobody answers, and nobody will.
        """
        problems = self._supervisor.problems
        if silent < _SECONDS_OF_SILENCE:
            problems.pop("ray", None)
            return
        if alone > _SECONDS_OF_SILENCE / 2:
            raise ServiceError(f"Ray has not answered for {silent:.0f} s, and no replica is left.")
        if self._supervisor.ready.is_set():
            problems["ray"] = f"Ray has not answered for {silent:.0f} s: what ends is not replaced."

    async def _check_store(self) -> None:
        """
        Raises:
            ServiceError: nobody listens where Ray's control store was.
        """
        host, _, port = self._store.rpartition(":")
        if not port:
            return
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), 1)
            writer.close()
            self._stored = time.monotonic()
        except (OSError, TimeoutError):
            gone = time.monotonic() - self._stored
            if gone > _SECONDS_WITHOUT_STORE["cluster" if self._settings.serving.ray_address else "own"]:
                raise ServiceError(
                    f"Ray's control store at {self._store} has been gone for {gone:.0f} s."
                ) from None

    def _no_look(self, looking: asyncio.Task[None]) -> None:
        if not looking.cancelled() and (error := looking.exception()):
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error) if error else self._done.set_result(None)

    async def _open_nodes(self, nodes: Nodes, host: str) -> Any:
        remote = await nodes.open(host)
        self._nodes = nodes
        return remote

    # ------------------------------------------------- in the thread: Ray's whole life

    def _live(self) -> None:
        error: Exception | None = None
        try:
            with instance.running(self._settings) as given:
                self._work(given)
        except Exception as caught:  # told to the supervisor, whatever it is
            error = caught
        with suppress(RuntimeError):  # the loop has ended without us
            self._loop.call_soon_threadsafe(self._finish, error)

    def _work(self, given: dict[str, float]) -> None:
        import ray

        self._store, self._stored = ray.get_runtime_context().gcs_address, time.monotonic()
        # Ray has put handlers of its own in their place.
        self._loop.call_soon_threadsafe(self._supervisor.take_signals)
        wanted = instance.reserve(self._settings, given)
        if self._leaving.is_set():  # then the listener is closed too
            return
        place = self._place()
        with instance.opened(self._application):
            self._deploy(place, wanted)
            self._watch()

    def _place(self) -> Place:
        import ray

        from runtime_lib.serving.engines.ray.replica import Place

        serving = self._settings.serving
        control: Any = self._control
        nodes = [node for node in ray.nodes() if node["Alive"]]
        if program := front_for(serving, len(nodes)):
            across = Nodes(self._supervisor, self._listener, self._control.parent, program)
            opening = self._open_nodes(across, ray.util.get_node_ip_address())
            control = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
            instance.lease(self._application)
        listener = self._control.with_name("listener")
        return Place(self._application, control, listener, self._settings.hardware, serving.framework)

    def _deploy(self, place: Place, wanted: dict[str, float]) -> None:
        from ray import serve

        from runtime_lib.serving.engines.ray.replica import Replica

        deployment = serve.deployment(
            Replica,
            name=_DEPLOYMENT,
            **self._number(),
            max_constructor_retry_count=1,  # a model that cannot be read will not become readable
            health_check_period_s=1,  # how soon a replica that was killed is missed
            health_check_timeout_s=10,
            graceful_shutdown_timeout_s=Replica.SECONDS_TO_LEAVE,
            graceful_shutdown_wait_loop_s=0.1,  # Serve's own count of requests is always 0
            logging_config=instance.quiet(),
            # On a machine of one's own `serving.workers` says how many, not the number of its cores.
            ray_actor_options={
                "num_cpus": int(bool(self._settings.serving.ray_address)),
                "resources": wanted,
            },
        )
        target = serve.RunTarget(deployment.bind(place), name=self._application, route_prefix=None)
        serve.run_many([target], wait_for_applications_running=False)

    def _number(self) -> dict[str, Any]:
        least, most = self._settings.serving.workers or 1, self._settings.serving.max_workers
        if most <= least:
            return {"num_replicas": least}
        return {"autoscaling_config": {"min_replicas": least, "max_replicas": most, **_SCALING}}

    def _watch(self) -> None:
        """
        Raises:
            ServiceError: the first replica does not start.
        """
        import ray
        from ray import serve

        while not self._leaving.wait(0.5):
            with suppress(ray.exceptions.RayError, serve.exceptions.RayServeException, KeyError):
                found = serve.status().applications[self._application]
                self._heard = time.monotonic()
                if found.status == "DEPLOY_FAILED" and not self._supervisor.ready.is_set():
                    said = [each.message for each in found.deployments.values()] or [found.message]
                    raise ServiceError(f"The model did not start in Ray Serve: {instance.cause(said[0])}")

    def _kill_actor(self, name: str) -> None:
        import ray

        full = f"SERVE_REPLICA::{self._application}#{_DEPLOYMENT}#{name}"
        with suppress(ValueError, ray.exceptions.RayError):  # it has ended
            ray.kill(ray.get_actor(full, namespace="serve"))
