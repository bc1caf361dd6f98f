"""`mlops explain`: what each column adds to an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import Json, console, print_json
from runtime_lib.errors import SettingsError
from runtime_lib.settings import load

if TYPE_CHECKING:
    from rich.table import Table

    from runtime_lib.monitoring.explain import Explained

__all__ = ["explain"]

_BAR = 16


def explain(
    ids: Annotated[list[str] | None, typer.Argument(help="Of rows that the champion has served.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Parquet or CSV with the model's inputs, in place of ids.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Columns to show of each row.")] = 8,
    output: Annotated[
        str, typer.Option(help="Of a task with several: the one to explain, such as p90.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Explain the champion's answers: what each column of a row adds to them.

    Exactly for boosted trees and linear models. For others one column at a time: how the answer differs from
    its mean over the other values that the column had in training.
    """
    from runtime_lib.monitoring.explain import explain_file, explain_served

    if bool(ids) == bool(file):
        raise SettingsError("Give either ids of rows that were served, or --file FILE.")
    settings = load()
    found = explain_file(settings, file) if file else explain_served(settings, ids or [])
    if as_json:
        return print_json(found.to_dict())
    for row in range(len(found.ids)):
        chosen = output or found.told[row]
        if chosen not in found.found.outputs:
            raise SettingsError(
                f"--output {chosen!r} is none of this model's: {', '.join(found.found.outputs)}."
            )
        console().print(_table(found, row, chosen, top))
    how = "they add up to the answer" if found.found.exact else "one column at a time; they do not add up"
    typer.echo(f"In {found.found.unit}; {how}.")


def _table(found: Explained, row: int, output: str, top: int) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from runtime_lib.training.explain import said

    every = found.parts(row, output)
    parts, others = every[:top], every[top:]
    most = max((abs(part.adds) for part in parts), default=0.0) or 1.0
    title = f"{escape(str(found.ids[row]))}: {escape(said(found.answers[row]))}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("column", "value", f"adds to {escape(output)}", ""):
        table.add_column(name, justify="right" if name.startswith("adds") else "left", no_wrap=True)
    for part in parts:
        table.add_row(escape(part.column), escape(part.said), f"{part.adds:+.4f}", _bar(part.adds / most))
    if found.found.exact:
        if others:
            table.add_row(f"{len(others)} more", "", f"{sum(part.adds for part in others):+.4f}", "")
        table.add_row("before any column", "", f"{found.found.start(row, output):+.4f}", "")
    return table


def _bar(share: float) -> str:
    cells = round(abs(share) * _BAR)
    return f"[{'green' if share > 0 else 'red'}]{'█' * cells}[/]"
