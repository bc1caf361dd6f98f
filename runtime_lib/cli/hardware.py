"""`mlops hardware` on a terminal: the machine, its state, its device and who shares it."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from runtime_lib.cli import hardware_page
from runtime_lib.errors import MlopsError, SettingsError
from runtime_lib.hardware.device.choice import choose_device
from runtime_lib.hardware.device.device import Device, device_for
from runtime_lib.hardware.device.limits import with_working_set
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import Probe
from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay.folder import Replay, this_machine
from runtime_lib.hardware.share.lease import Lease, holders

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["ray_resources", "record", "show", "watch"]

_SECONDS = 1.0
_CHANGING = ("State", "Shares of this machine")


@dataclass(frozen=True)
class _Machine:
    """A machine, with all of it that does not change."""

    probe: Probe | None
    facts: Facts
    device: dict[str, Any]
    force_gpu: bool
    is_replayed: bool


@dataclass(frozen=True)
class _Moment:
    """What changes: the state, and who holds or waits (None: not this machine's, or not known)."""

    state: State
    leases: list[Lease] | None

    def to_dict(self) -> dict[str, Any]:
        shares = None if self.leases is None else [lease.to_dict() for lease in self.leases]
        return {**self.state.to_dict(), "leases": shares}


def show(*, replay: Path | None, as_json: bool) -> None:
    """Print what a machine is, once."""
    warnings: list[str] = []
    of = _look(replay, warnings.append)
    now = next(_moments(of, warnings.append))
    if as_json:  # whole, also where somebody reads stdout and stderr as one
        typer.echo(json.dumps({**_content(of, now), "warnings": warnings}, indent=2))
    else:
        for warning in warnings:
            _warn(warning)
        console = _console()
        console.print(_page(of, now, console))


def watch(*, replay: Path | None, as_json: bool) -> None:
    """Print the state every second until Ctrl-C or until nobody reads: redrawn, or a line each."""
    try:
        of = _look(replay)
        console = _console()
        if as_json:
            for now in _moments(of):
                typer.echo(json.dumps({"time": _time(), **now.to_dict()}))
        elif sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal:
            _redraw(of, console)
        else:  # rich would write nothing until the end
            for now in _moments(of):
                typer.echo(hardware_page.line(_time(), now.state, of.facts))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def record(folder: Path, *, as_json: bool) -> None:
    """Write a folder that this machine can be replayed from, and name its files."""
    from runtime_lib.hardware.replay import recording

    files = recording.record(folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": [path.name for path in files]}, indent=2))
        return
    typer.echo(f"{len(files)} files, names and serial numbers masked: read them before you hand them on.")
    typer.echo(f"See what they hold: mlops hardware --replay {shlex.quote(str(folder))}")


def ray_resources(*, replay: Path | None) -> None:
    """Print what the machine offers to Ray, as `ray start --resources=` takes it."""
    from runtime_lib.hardware.admit.ray import resources

    of = _look(replay)
    offered = resources(of.facts, Device(**of.device), force_gpu=of.force_gpu) if of.device["name"] else {}
    if not offered:
        reason = of.device["reason"]
        _warn(f"Nothing to offer apart from what Ray finds itself, CPUs and CUDA devices: {reason}.")
    typer.echo(json.dumps(offered))


def _warn(message: str) -> None:
    typer.echo(f"mlops: {message}", err=True)


def _look(folder: Path | None, warn: Callable[[str], None] = _warn) -> _Machine:
    probe = Replay(folder) if folder else None
    answering = probe or this_machine()
    is_replayed = isinstance(answering, Replay)
    if isinstance(answering, Replay):
        from runtime_lib.cli.hardware_replay import checked

        for warning in checked(answering):
            warn(warning)
    machine = facts(probe)
    framework, force_gpu = _wanted(warn)
    device = _choice(machine, framework, force_gpu=force_gpu, is_replayed=is_replayed)
    if not is_replayed and device["name"]:  # its framework has been asked for it anyway
        machine = with_working_set(machine, Device(**device))
    machine = _with_sources(machine, is_replayed=is_replayed)
    return _Machine(probe, machine, device, force_gpu, is_replayed)


def _with_sources(machine: Facts, *, is_replayed: bool) -> Facts:
    """Add the sources of what every look gives, whatever the machine answers."""
    also = {}
    if machine.platform:
        also["platform"] = "the names of the recorded files" if is_replayed else "platform.system"
    if machine.platform == "linux":
        also["cuda_devices"] = "/proc/driver/nvidia"
    elif machine.platform == "darwin":
        also["cuda_devices"] = "none on macOS"
    return replace(machine, sources={**also, **machine.sources})


def _choice(machine: Facts, framework: Any, *, force_gpu: bool, is_replayed: bool) -> dict[str, Any]:
    """The device and the reason; with nothing to compute with there is no device, for that reason."""
    try:
        # A replayed machine cannot be tried: what its facts say, had it both frameworks.
        device = (
            device_for(machine, framework=framework, force_gpu=force_gpu)
            if is_replayed
            else choose_device(framework, force_gpu=force_gpu)
        )
    except MlopsError as error:
        return {"framework": None, "name": None, "reason": str(error)}
    return device.to_dict()


def _wanted(warn: Callable[[str], None]) -> tuple[Any, bool]:
    """The project's framework for training and its `force_gpu`; without a project the defaults.

    The defaults too where its settings are wrong: a bug report starts with this command, and the file may be
    that of a folder far above.
    """
    from runtime_lib.settings import find_root, load

    try:
        root = find_root()
    except (SettingsError, OSError):  # no project, or no working folder any more
        return "auto", False
    try:
        settings = load(root)
    except (SettingsError, OSError, UnicodeDecodeError) as error:
        warn(f"Going on with default settings: {error}")
        return "auto", False
    return settings.training.framework, settings.hardware.force_gpu


def _moments(of: _Machine, warn: Callable[[str], None] = _warn) -> Iterator[_Moment]:
    """A moment each second."""
    last = None
    while True:
        leases = None
        try:
            leases = None if of.is_replayed else holders()
        except MlopsError as error:
            if str(error) != last:
                last = str(error)
                warn(last)
        yield _Moment(state(of.probe, facts=of.facts), leases)
        time.sleep(_SECONDS)


def _redraw(of: _Machine, console: Console) -> None:
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as screen:
        for number, now in enumerate(_moments(of)):
            if not number:
                console.print(_page(of, now, console, only=("Machine", _device(of).title)), "")
            screen.update(_page(of, now, console, only=_CHANGING), refresh=True)


def _page(of: _Machine, now: _Moment, console: Console, only: tuple[str, ...] | None = None) -> Text:
    shares = [hardware_page.leases(now.leases)] if now.leases else []
    parts = [hardware_page.machine(of.facts), hardware_page.state(now.state, of.facts), _device(of), *shares]
    return hardware_page.page(parts, width=console.width, only=only)


def _device(of: _Machine) -> hardware_page.Part:
    return hardware_page.device(of.device, replayed=of.is_replayed)


def _content(of: _Machine, now: _Moment) -> dict[str, Any]:
    sources = {**of.facts.sources, **now.state.sources}
    return {**of.facts.to_dict(), **now.to_dict(), "device": of.device, "sources": sources}


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _console() -> Console:
    from rich.console import Console

    return Console()
