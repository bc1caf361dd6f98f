"""`mlops hardware`: its options. What it shows is in `hardware.py`, loaded when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime_lib.cli.output import Json

__all__ = ["hardware"]


def hardware(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show the state every second until Ctrl-C; with --json, or into a pipe, a line each.",
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Show the machine that was recorded in this folder. The variable MLOPS_HARDWARE_REPLAY "
            "replays one for every command.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the answers of this machine to a new folder, identifiers masked: for a bug report.",
        ),
    ] = None,
    ray_resources: Annotated[
        bool,
        typer.Option(
            "--ray-resources",
            help='Print what this machine offers to Ray: ray start --resources="$(mlops hardware '
            '--ray-resources)".',
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what machine this is, its state, and which device a training would use, and why.

    Next to each value is its source; what cannot be read is unknown, never guessed. Works outside a project;
    in one, its settings (tables `training` and `hardware`) choose the device.
    """
    from runtime_lib.cli import hardware as command

    if record and (watch or replay):
        raise typer.BadParameter("--record excludes --watch and --replay.")
    if ray_resources and (watch or record):
        raise typer.BadParameter("--ray-resources excludes --watch and --record.")
    if ray_resources:
        return command.ray_resources(replay=replay)
    if record:
        return command.record(record, as_json=as_json)
    (command.watch if watch else command.show)(replay=replay, as_json=as_json)
