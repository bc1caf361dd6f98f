"""`mlops ui` and `mlops runs`: what was run, in MLflow's pages and as a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import Json, console, open_page, print_json, show
from runtime_lib.settings import load

if TYPE_CHECKING:
    from rich.table import Table

    from runtime_lib.registry.runs import Row

__all__ = ["runs", "ui"]

_TONES = {
    "champion": "bold green",
    "promoted": "green",
    "refused": "yellow",
    "failed": "red",
    "killed": "red",
}
_WIDE = 120  # columns from which there is room for everything


def ui(
    port: Annotated[int, typer.Option(help="Port to listen on; 0: one that is free.", min=0, max=65535)] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address only.")] = False,
    as_json: Json = False,
) -> None:
    """Open MLflow's pages on this project's runs: figures, curves, models, comparisons. Until Ctrl-C.

    Where `tracking.uri` names a tracking server, its address is opened and the command ends. Else it serves
    the store of this project on 127.0.0.1, in one process, and leaves nothing behind.
    """
    from runtime_lib.tracking.ui import ui as serve_pages

    def say(url: str) -> None:
        show({"url": url}, as_json, url)
        if not no_open:
            open_page(url)

    serve_pages(load(), port=port, on_ready=say)


def runs(
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List the runs, the newest first: what changed, the figure, the gate's verdict, how long, on what.

    Trainings that failed or were killed are there too, with the reason. No server is needed for the store
    of the project itself.
    """
    from dataclasses import asdict

    from runtime_lib.registry.runs import runs as listed

    rows = listed(load(), limit=limit)
    if as_json:
        return print_json([asdict(row) for row in rows])
    if not rows:
        return typer.echo("No runs yet: `mlops run` makes the first.")
    console().print(_table(rows, wide=console().width >= _WIDE))


def _table(rows: list[Row], *, wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    metric = rows[0].metric
    names = ["run", "when", "what changed", metric, "verdict", "version", "took", "machine"]
    for name in names if wide else ["run, what changed", "when", metric, "verdict", "version"]:
        right = name in (metric, "version", "took")
        table.add_column(name, justify="right" if right else "left", no_wrap=name in ("when", metric))
    for row in rows:
        table.add_row(*(_wide(row) if wide else _narrow(row)))
    return table


def _wide(row: Row) -> list[str]:
    from rich.markup import escape

    name, changed, when, *judged = _cells(row)
    return [name, when, changed, *judged, _duration(row.seconds), escape(row.machine)]


def _narrow(row: Row) -> list[str]:
    name, changed, *rest = _cells(row)
    return [f"{name}\n[dim]{changed}[/]" if changed else name, *rest]


def _cells(row: Row) -> list[str]:
    """Name, what changed or why there is no model, when, figure, verdict, version; as rich's markup."""
    from rich.markup import escape

    when = datetime.fromisoformat(row.started).astimezone()
    told = [row.changed, row.why if row.verdict in ("failed", "killed") else ""]
    return [
        escape(row.name),
        escape("; ".join(part for part in told if part)),
        f"{when:%Y-%m-%d %H:%M}",
        "" if row.figure is None else f"{row.figure:.4f}",
        f"[{_TONES.get(row.verdict, 'default')}]{row.verdict}[/]",
        row.version,
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
