"""What every command shares: the options of its output, its exit codes, and how it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime_lib.secrets import without_secrets

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "FOUND",
    "INTERRUPTED",
    "ExitZero",
    "Json",
    "complain",
    "console",
    "open_page",
    "print_json",
    "show",
    "table",
]

# Exit codes next to 0, 1 (failed) and 2 (used wrongly), which the errors carry, as GateError does its 3.
FOUND = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells count; typer exits with it on Ctrl-C

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, for machines.")]
ExitZero = Annotated[
    bool,
    typer.Option("--exit-zero", help="Exit with 0 whatever is found, as a task of an orchestrator should."),
]


def show(result: Mapping[str, Any], as_json: bool, *lines: str) -> None:
    """Print a result on stdout: as JSON for machines, else in these lines."""
    if as_json:
        print_json(result)
        return
    for line in lines:
        typer.echo(without_secrets(line))


def print_json(result: Any) -> None:
    """Print what JSON holds, and paths as text."""
    typer.echo(json.dumps(_cleaned(result), indent=2))
    sys.stdout.flush()  # a command may go on for hours


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return without_secrets(str(value))


def complain(message: str) -> None:
    """Print an error or a warning on stderr."""
    print(f"mlops: {without_secrets(message)}", file=sys.stderr)


def open_page(url: str) -> None:
    """Open a page in a browser, where there is a screen: else one might start in this terminal."""
    import os

    screen = sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if screen and sys.stdout.isatty():
        typer.launch(url)


def console() -> Console:
    """Where tables and colours go: stdout, as wide as it is."""
    from rich.console import Console

    return Console()


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print lines under titles, as wide as the terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(*line)
    console().print(table, markup=False, highlight=False)
