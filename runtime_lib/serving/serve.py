"""`mlops serve`: a model behind HTTP, on the engine that the settings name."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import read_json, write_json
from runtime_lib.locks import try_lock
from runtime_lib.registry.trail import who
from runtime_lib.secrets import without_secrets
from runtime_lib.serving import apart
from runtime_lib.serving.address import listen, url_of
from runtime_lib.serving.commands import Commands
from runtime_lib.serving.engines.choose import engine_for
from runtime_lib.serving.releases.controller import Controller
from runtime_lib.serving.releases.journal import Change, Journal, State
from runtime_lib.serving.releases.losses import Losses
from runtime_lib.serving.releases.registrar import Registrar
from runtime_lib.serving.releases.resolve import CHAMPION, resolve_apart
from runtime_lib.serving.reporter import Reporter
from runtime_lib.serving.supervisor import Supervisor
from runtime_lib.serving.traffic import Policy, said
from runtime_lib.settings import Settings

__all__ = ["engine_for", "run", "serve"]

_FOLDER = "mlops-"


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ServiceError: the port is in use (found before anything heavy is imported), or no champion yet.
        ModelError: the champion cannot be read.
    """
    # First: who has the port is most often the project's own server.
    with _alone(settings), listen(settings.serving.host, settings.serving.port) as listener:
        asyncio.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    last = Journal(settings.releases).last()
    if last is None:
        state = await _first(settings, "the champion when the server first started")
    elif _is_here(last.state):
        state = last.state
    else:
        lost = said(last.state.policy.weights)
        state = await _first(settings, f"the champion: the files of what was served ({lost}) are gone")
    await run(settings, state, listener)


async def run(settings: Settings, state: State, listener: socket.socket) -> None:
    """Serve a state on a socket until Ctrl-C or SIGTERM.

    Raises:
        MlopsError: the first worker cannot serve, or workers cannot be kept running.
    """
    # Short, and only this user's: a path of a project may be longer than a socket's may be.
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as folder:
        await _run(settings, state, listener, Path(folder))


async def _run(settings: Settings, state: State, listener: socket.socket, folder: Path) -> None:
    engine, front = engine_for(settings, listener, folder)
    supervisor = Supervisor(settings, state, engine, folder)
    work = [_announce(settings, supervisor), _tell(supervisor), *_commanded(supervisor)]
    tasks = [asyncio.create_task(each) for each in work]
    if front:
        supervisor.closing = front.stop
        tasks.append(asyncio.create_task(supervisor.guarded(front.run(supervisor))))
    try:
        await supervisor.run(lambda control: _write_address(settings, control))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        settings.server.unlink(missing_ok=True)


def _commanded(supervisor: Supervisor) -> list[Coroutine[Any, Any, None]]:
    """Have the supervisor take commands; what goes on beside it."""
    supervisor.commands = commands = Commands(supervisor)
    registrar = Registrar(supervisor, commands)
    losses = Losses(supervisor).since
    controller = Controller(supervisor, losses)
    reporter = Reporter(supervisor, controller)
    commands.look, commands.status, commands.ask_losses = registrar.look, reporter.status, losses
    return [registrar.run(), controller.run(), reporter.run()]


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Be the one server of the project's folder: it has one journal, and one place for orders.

    Raises:
        ServiceError: there is one already.
    """
    lock = settings.server.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = try_lock(lock)
    if held is None:
        raise ServiceError(
            f"Another server of this project runs already ({settings.server} says where). `mlops deploy` and "
            f"`mlops serve --renew` change what it does; to serve twice, copy the project's folder."
        )
    with held:
        _clear_after_a_kill(settings)
        yield


def _clear_after_a_kill(settings: Settings) -> None:
    """Remove the folder of sockets that a killed server has left."""
    try:
        left = Path(read_json(settings.server, made_by="mlops serve")["control"]).parent
    except (DataError, KeyError):
        return
    if left.name.startswith(_FOLDER):
        shutil.rmtree(left, ignore_errors=True)


async def _tell(supervisor: Supervisor) -> None:
    """Say in the terminal what goes wrong, once, and each change of traffic."""
    say = _printer()
    told: set[str] = set()
    seen = supervisor.state
    while True:
        failing = [worker.failing for worker in supervisor.workers.values() if worker.failing]
        now = {*supervisor.problems.values(), *supervisor.workers.news, *failing}
        for problem in sorted(now - told):
            say(problem)
        told = now
        if supervisor.state.policy != seen.policy:
            say(f"{datetime.now():%H:%M:%S}  Traffic: {said(supervisor.state.policy.weights)}.")
        seen = supervisor.state
        await asyncio.sleep(1)


def _printer() -> Callable[[str], None]:
    """What prints in a thread of its own.

    A terminal that is held by Ctrl-S, or a pipe that nobody reads, would hold the server with it.
    """
    from rich.console import Console

    waiting: SimpleQueue[str] = SimpleQueue()

    def run() -> None:
        console = Console(stderr=True)
        while True:
            words = without_secrets(waiting.get())
            console.print(words, soft_wrap=True, markup=False, highlight=False)

    Thread(target=run, name="terminal", daemon=True).start()
    return waiting.put


async def _first(settings: Settings, reason: str) -> State:
    """All traffic to the champion."""
    found = await resolve_apart(settings, CHAMPION)
    state = State(
        found.model,
        Policy.all_to(found.version),
        {found.version: found.held},
        (found.version,),
        followed=found.version,
    )
    Journal(settings.releases).append(Change("started", "champion", who(), reason, {}, state))
    return state


def _is_here(state: State) -> bool:
    return all(Path(state.models[version].folder).is_dir() for version in state.policy.loaded)


def _write_address(settings: Settings, control: Path) -> None:
    write_json(
        settings.server, {"format": 1, "pid": os.getpid(), "control": str(control), "url": url_of(settings)}
    )


async def _announce(settings: Settings, supervisor: Supervisor) -> None:
    """Say where the server is once it answers, and a request to try."""
    from rich.console import Console

    await supervisor.ready.wait()
    state = supervisor.state
    where = f"[bold green]Serving[/] {state.model}, {said(state.policy.weights)}, at {url_of(settings)}"
    Console().print(f"{where} (Ctrl-C stops it).", soft_wrap=True, highlight=False)
    folder = state.models[state.policy.loaded[0]].folder
    # Of a real row, which takes pandas to read: not in this process.
    request = await apart.ask("runtime_lib.serving.example", settings, folder=folder)
    # Not wrapped or coloured: it is meant to be copied.
    Console().print(request, soft_wrap=True, markup=False, highlight=False)
