"""`mlops hardware` on a terminal: the machine, its state and its device, each value beside its source."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from runtime_lib.errors import MlopsError, SettingsError
from runtime_lib.hardware.facts import Facts, facts
from runtime_lib.hardware.probe import Probe, Replay, this_machine
from runtime_lib.hardware.state import State, state

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["ray_resources", "record", "show", "watch"]

_SECONDS = 1.0


def show(*, replay: Path | None, as_json: bool) -> None:
    """Print what a machine is, once."""
    probe, machine, device = _look(replay)
    found = state(probe, facts=machine)
    if as_json:
        typer.echo(json.dumps(_content(machine, found, device), indent=2))
        return
    console = _console()
    console.print(_machine(machine), _state(found, machine), _device(device))


def watch(*, replay: Path | None, as_json: bool) -> None:
    """Print the state every second until Ctrl-C: redrawn, or as a line of JSON."""
    probe, machine, device = _look(replay)
    if as_json:
        for found in _states(probe, machine):
            typer.echo(json.dumps(_content(machine, found, device)))
        return
    from rich.live import Live

    console = _console()
    console.print(_machine(machine), _device(device))
    with Live(console=console, auto_refresh=False) as screen:
        for found in _states(probe, machine):
            screen.update(_state(found, machine), refresh=True)


def record(folder: Path, *, as_json: bool) -> None:
    """Write a folder that this machine can be replayed from, and name its files."""
    from runtime_lib.hardware.record import record as write

    files = write(folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": [path.name for path in files]}, indent=2))
        return
    typer.echo(
        f"Recorded in {folder}, {len(files)} files: names, serial numbers and addresses are left out or "
        f"masked, but read it through before you hand it on.\n"
        f"See what it holds: mlops hardware --replay {folder}"
    )


def ray_resources(*, replay: Path | None) -> None:
    """Print what the machine offers to Ray, as `ray start --resources=` takes it."""
    from runtime_lib.hardware.device import Device
    from runtime_lib.hardware.ray_resources import resources

    _, machine, device = _look(replay)
    offered = resources(machine, Device(**device), force_gpu=_wanted()[1]) if device["name"] else {}
    typer.echo(json.dumps(offered))


def _look(replay: Path | None) -> tuple[Probe | None, Facts, dict[str, Any]]:
    probe = Replay(replay) if replay else None
    machine = facts(probe)
    return probe, machine, _choice(machine, replayed=isinstance(probe or this_machine(), Replay))


def _choice(machine: Facts, *, replayed: bool) -> dict[str, Any]:
    """The device and the reason; with nothing to compute with there is no device, for that reason."""
    from runtime_lib.hardware.device import choose_device, device_for

    framework, force_gpu = _wanted()
    try:
        # A replayed machine cannot be tried: what its facts say, had it both frameworks.
        device = (
            device_for(machine, framework=framework, force_gpu=force_gpu)
            if replayed
            else choose_device(framework, force_gpu=force_gpu)
        )
    except MlopsError as error:
        return {"framework": None, "name": None, "reason": str(error)}
    return device.to_dict()


def _wanted() -> tuple[Any, bool]:
    """The project's framework for training and its `force_gpu`; outside a project the defaults."""
    from runtime_lib.settings import find_root, load

    try:
        root = find_root()
    except SettingsError:
        return "auto", False
    settings = load(root)
    return settings.training.framework, settings.hardware.force_gpu


def _states(probe: Probe | None, machine: Facts) -> Iterator[State]:
    while True:
        yield state(probe, facts=machine)
        time.sleep(_SECONDS)


def _content(machine: Facts, found: State, device: dict[str, Any]) -> dict[str, Any]:
    sources = {**machine.sources, **found.sources}
    return {**machine.to_dict(), **found.to_dict(), "device": device, "sources": sources}


def _console() -> Console:
    from rich.console import Console

    return Console()


# Field, its words, and how its value is written for people.
_Row = tuple[str, str, Callable[[Any], str]]


def _gigabytes(value: int) -> str:
    """In powers of 1024, as memory is sold."""
    return f"{value / 2**30:,.1f}".removesuffix(".0") + " GB"


def _truth(value: bool) -> str:
    return "yes" if value else "no"


def _percent(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def _levels(value: Any) -> str:
    return " + ".join(f"{level.count} {level.name or 'of no name'}" for level in value)


_MACHINE: tuple[_Row, ...] = (
    ("chip", "chip", str),
    ("generation", "generation", str),
    ("variant", "variant", str),
    ("model", "model", str),
    ("cpu_count", "CPUs", str),
    ("core_levels", "cores, fastest first", _levels),
    ("gpu_cores", "GPU cores", str),
    ("neural_engine_cores", "Neural Engine cores", str),
    ("memory_bytes", "memory", _gigabytes),
    ("memory_bandwidth_gbs", "memory bandwidth", lambda value: f"{value:g} GB/s"),
    ("metal", "Metal", str),
    ("os_version", "system version", str),
    ("platform", "platform", str),
    ("machine", "architecture", str),
    ("is_virtual", "virtual", _truth),
    ("is_translated", "translated (Rosetta)", _truth),
)
# Shown only where there is such a thing.
_MACHINE_ALSO: tuple[_Row, ...] = (
    ("memory_limit_bytes", "memory limit", _gigabytes),
    ("working_set_bytes", "GPU's share of memory", _gigabytes),
    ("cuda_devices", "CUDA devices", ", ".join),
)
_STATE: tuple[_Row, ...] = (
    ("thermal", "thermal pressure", str),
    ("memory_pressure", "memory pressure", str),
    ("free_memory_bytes", "free memory", _gigabytes),
    ("power_mode", "power mode", str),
    ("on_battery", "on battery", _truth),
    ("battery", "battery", _percent),
    ("gpu_utilisation", "GPU in use", _percent),
    ("power_watts", "power", lambda value: f"{value:.1f} W"),
)


# What every machine has; the rest is shown as unknown only on a Mac, where it could be known.
_ANYWHERE = {"chip", "cpu_count", "memory_bytes", "platform", "machine", "is_virtual", "free_memory_bytes"}


def _machine(machine: Facts) -> RenderableType:
    also = [row for row in _MACHINE_ALSO if getattr(machine, row[0])]
    return _table("Machine", (*_MACHINE, *also), machine, machine)


def _state(found: State, machine: Facts) -> RenderableType:
    return _table("State", _STATE, found, machine)


def _device(device: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    name = f"{device['framework']} on {device['name']}" if device["name"] else "none"
    return _grid("Device", [(name, Text(device["reason"]), None)])


def _table(title: str, rows: tuple[_Row, ...], found: Facts | State, machine: Facts) -> RenderableType:
    from rich.text import Text

    shown = []
    for name, words, write in rows:
        value = getattr(found, name)
        if value is not None:
            shown.append((words, Text(write(value)), found.sources.get(name)))
        elif machine.platform != "linux" or name in _ANYWHERE:
            shown.append((words, Text("unknown", style="dim"), None))
    return _grid(title, shown)


def _grid(title: str, rows: list[tuple[str, Any, str | None]]) -> RenderableType:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=SIMPLE)
    table.add_column(width=20)
    table.add_column(overflow="fold", min_width=16)
    table.add_column(overflow="fold", style="dim")
    for words, value, source in rows:
        table.add_row(Text(words), value, Text(source or ""))
    return table
