"""The supervisor of a server: it keeps workers running, and every change of traffic goes through it.

A change has three steps. The workers load what it needs, and say if something does not fit: then nothing has
changed. The journal takes it: then it holds, whatever happens. The workers carry it out, all of them before
the change is called done; one that does not is replaced by one that starts with it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.serving import control
from runtime_lib.serving.control import Channel
from runtime_lib.serving.engines.engine import Engine
from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.workers import PROBE, SHADOW, Worker, Workers
from runtime_lib.settings import Settings
from runtime_lib.settings.wire import to_dict, without_logins

__all__ = ["Supervisor"]

# A model of gigabytes takes its time from a slow disk.
_SECONDS_TO_LOAD = 600
_SECONDS_TO_COMMIT = 3
# Until somebody answers there is no old traffic to end, and a machine that starts much is slow.
_SECONDS_TO_COMMIT_FIRST = 60
# Of a worker, which reports every second.
_SECONDS_OF_SILENCE = 15
_SECONDS_TO_STOP = 35
# Between two shadows: one that ends at once must not take the machine.
_SECONDS_TO_SHADOW = 1.0


class Supervisor:
    """Runs until `stop` or a signal."""

    def __init__(self, settings: Settings, state: State, engine: Engine, folder: Path) -> None:
        """
        Args:
            folder: for sockets, of this user alone; its path is short.
        """
        self.settings, self.state, self.folder = settings, state, folder
        self.journal = Journal(settings.releases)
        self.workers = Workers()
        # What is wrong now, by what it is about.
        self.problems: dict[str, str] = {}
        self.front: Literal["haproxy", "none"] = "none"
        # What each loaded version takes and answers, as its worker says.
        self.signatures: Mapping[str, Any] = {}
        self.ready = asyncio.Event()
        self.commands: Callable[[str, dict[str, Any]], Awaitable[Any]] | None = None
        # What stands in front ends before the workers: it would wait for them.
        self.closing: Callable[[], Awaitable[None]] | None = None
        self._engine = engine
        # Models that another process has loaded without harm.
        self._tried: set[Held] = set()
        self._changing = asyncio.Lock()
        self._shadows_changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._failed: MlopsError | None = None

    def stop(self) -> None:
        """End the service, after what is under way."""
        self._ended.set()

    def fail(self, error: MlopsError) -> None:
        """End the service because of an error."""
        self._failed = self._failed or error
        self._ended.set()

    async def run(self, on_listening: Callable[[Path], None]) -> None:
        """Work until `stop`.

        Args:
            on_listening: is told the socket for commands.

        Raises:
            MlopsError: the first worker cannot serve, or workers cannot be kept running.
        """
        self.take_signals()
        path = self.folder / "control"
        server = await control.listen(path, self._order, self.workers.gone)
        on_listening(path)
        working = asyncio.ensure_future(self._engine.start(path, self))
        working.add_done_callback(self._no_engine)
        beside = [asyncio.create_task(work) for work in (self._keep_shadow(), self._watch())]
        try:
            await self._ended.wait()
        finally:
            if self.closing:
                await self.closing()
            await self._engine.stop(_SECONDS_TO_STOP)
            for task in beside:
                task.cancel()
            server.close()
        if self._failed:
            raise self._failed

    async def guarded(self, work: Awaitable[None]) -> None:
        """Do what the service cannot do without: its error ends it."""
        try:
            await work
        except MlopsError as error:
            self.fail(error)

    async def renew(self) -> None:
        """Replace all workers, see `Engine.renew`."""
        await self._engine.renew()

    def take_signals(self) -> None:
        """Have Ctrl-C and SIGTERM end the service; again, if a library has put its own handlers in place."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def listen_remote(self, host: str, token: str) -> asyncio.Server:
        """Let workers of other machines in, by TCP on a free port."""
        return await control.listen_remote(host, token, self._order, self.workers.gone)

    # ---------------------------------------------------------------- changes

    async def change(
        self,
        decide: Callable[[State], State],
        *,
        action: str,
        by: str,
        who: str,
        reason: str,
        figures: Mapping[str, Any] | None = None,
        must: bool = False,
    ) -> Change:
        """Carry out a change: when this returns, every worker answers by it, and it is written down.

        Args:
            decide: from the state to the one after it; called again if another change comes in between.
            action, by, who, reason, figures: see `Change`.
            must: carry it out even if it cannot be written down, and write it down later.

        Raises:
            MlopsError: a version cannot be served, `decide` refuses, or the journal cannot be written. Then
                nothing has changed.
        """
        while True:
            before = self.state
            after = decide(before)
            await self._prepare(before, after)
            async with self._changing:
                if self.state is not before:
                    continue
                weights = before.policy.weights
                change = Change(action, by, who, reason, weights, after, figures or {})
                change = self.journal.append_later(change) if must else self.journal.append(change)
                self.state = after
                self._shadows_changed.set()
                await asyncio.gather(*(self._commit(worker) for worker in self.workers.ready))
                return change

    async def try_out(self, state: State) -> Mapping[str, Any]:
        """Have a process of its own load what a state needs, as a model may crash who loads it.

        Returns:
            What each version takes and answers.

        Raises:
            MlopsError: one cannot be loaded, or the process ended over it.
        """
        name = f"{PROBE}{time.monotonic_ns()}"
        running = asyncio.create_task(self._engine.probe(name))
        try:
            while name not in self.workers:
                if running.done():
                    raise ServiceError("The process that should try the version ended before it could.")
                await asyncio.sleep(0.01)
            found = await self._load(self.workers[name], state)
            self._tried |= {state.models[version] for version in state.policy.loaded}
            return found
        finally:
            if worker := self.workers.get(name):
                worker.channel.tell("stop")
            await running

    async def _prepare(self, before: State, after: State) -> None:
        new = [version for version in after.policy.loaded if version not in before.policy.loaded]
        if not new:  # then nobody need be asked, and a worker that hangs stops no way back
            return
        if not {after.models[version] for version in new} <= self._tried:
            await self.try_out(after)
        for worker in self.workers.ready:
            found = await self._load(worker, after)
            self.signatures = {**self.signatures, **found}

    async def _keep_shadow(self) -> None:
        """Have a shadow run while there are versions that shadow."""
        await self.ready.wait()
        started = 0
        while True:
            if self.state.policy.shadows:
                started += 1
                await self._engine.shadow(f"{SHADOW}{started}")
                await asyncio.sleep(_SECONDS_TO_SHADOW)
            else:
                self._shadows_changed.clear()
                await self._shadows_changed.wait()

    async def _load(self, worker: Worker, state: State) -> Mapping[str, Any]:
        models = {version: asdict(state.models[version]) for version in worker.needs(state.policy)}
        try:
            found: Mapping[str, Any] = await worker.channel.call(
                "prepare", seconds=_SECONDS_TO_LOAD, models=models
            )
        except ServiceError as error:
            names = ", ".join(models)
            raise ServiceError(f"{worker.name} did not load {names}: {error}") from error
        return found

    async def _commit(self, worker: Worker) -> None:
        policy = self.state.policy.to_dict()
        seconds = _SECONDS_TO_COMMIT if self.ready.is_set() else _SECONDS_TO_COMMIT_FIRST
        try:
            await worker.channel.call("commit", seconds=seconds, policy=policy)
            worker.ready = True
            self.workers.answered.add(worker.name)
            if worker.is_shadow and not self.state.policy.shadows:
                worker.channel.tell("stop")
        except MlopsError as error:
            self._replace(worker, f"did not take the new traffic: {error}".rstrip("."))

    # ---------------------------------------------------------------- workers

    async def _order(self, channel: Channel, do: str, given: dict[str, Any]) -> Any:
        match do:
            case "hello":
                worker = self.workers[given["name"]] = Worker(channel=channel, **given)
                # Those of other machines are reached by a connection that is not encrypted.
                return {
                    "settings": to_dict(without_logins(self.settings) if worker.address else self.settings),
                    "model": self.state.model,
                    "shadow": str(self.folder / "shadow"),
                }
            case "open":
                worker = self.workers.of(channel)
                if not worker.is_probe:
                    await self._bring_up(worker)
            case "report" | "counted":
                self.workers.of(channel).note(given)
                return self.workers.counted().to_dict() if do == "counted" else None
            case "leave":
                worker = self.workers.of(channel)
                worker.leaving, worker.ready = True, False
            case _ if self.commands:
                return await self.commands(do, given)

    async def _bring_up(self, worker: Worker) -> None:
        """Give a new worker what the others have."""
        while not worker.ready and not worker.leaving and worker.name in self.workers:
            state = self.state
            try:
                found = await self._load(worker, state)
                self.signatures = {**self.signatures, **found}
            except MlopsError as error:
                return self._no_worker(worker, error)
            async with self._changing:
                if self.state is state:
                    await self._commit(worker)
                    break
        if worker.ready and not worker.is_shadow:
            self.ready.set()

    def _no_worker(self, worker: Worker, error: MlopsError) -> None:
        """Of the first one the error is the service's; of a later one, while others answer, a problem."""
        if not self.ready.is_set():
            return self.fail(error)
        self._replace(worker, f"cannot serve: {error}".rstrip("."))

    def _replace(self, worker: Worker, why: str) -> None:
        self.workers.tell(f"{worker.name} {why}. Another one takes its place.")
        worker.ready = False
        self._engine.kill(worker.name)

    async def _watch(self) -> None:
        """Replace workers that say nothing any more: a model may keep one busy for good."""
        while True:
            await asyncio.sleep(1)
            for worker in self.workers.ready:
                if worker.silence > _SECONDS_OF_SILENCE:
                    self._replace(worker, f"said nothing for {worker.silence:.0f} s")
            if self.journal.catch_up():
                self.problems.pop("journal", None)
            else:
                self.problems["journal"] = (
                    "The journal of releases cannot be written: a restart would lose changes."
                )

    def _no_engine(self, working: asyncio.Future[Any]) -> None:
        if not working.cancelled() and (error := working.exception()):
            self.fail(error if isinstance(error, MlopsError) else ServiceError(str(error)))
