"""`mlops doctor` on a terminal: a finding a line, its command below it in one piece, to be copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from runtime_lib.doctor.finding import Finding

__all__ = ["diagnose", "restored"]

_COLOURS = {"ok": "green", "note": "yellow", "mend": "red"}


def diagnose(root: Path, *, as_json: bool) -> bool:
    """Print the findings; return whether there is nothing to mend."""
    from runtime_lib.doctor.examine import examine

    findings = examine(root)
    if as_json:
        typer.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        _print(findings)
    return all(finding.ok for finding in findings)


def restored(root: Path, names: list[str], *, as_json: bool) -> None:
    """Restore files and name each."""
    from runtime_lib.doctor.dropped import restore
    from runtime_lib.upgrade.rendering import Renderings

    done = restore(root, names, Renderings(root))
    if as_json:
        typer.echo(json.dumps([{"path": path, "conflict": not clean} for path, clean in done], indent=2))
        return
    for path, clean in done:
        typer.echo(f"Restored {path}" + ("" if clean else ": conflict markers are in it, resolve them"))
    typer.echo("See `git status` and `git diff`." if done else "No update dropped an edit.")


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for finding in findings:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(overflow="fold")
        said = Text.assemble((finding.what, "bold"), f": {finding.found}")
        row.add_row(Text(finding.level, style=_COLOURS[finding.level]), said)
        console.print(row)
        if finding.mend:
            _print_command(console, finding.mend)


def _print_command(console: Console, mend: str) -> None:
    from rich.text import Text

    # Never wrapped or cut by us: a terminal may wrap it, but it is copied as one line.
    console.print(Text(f"     → {mend}", style="cyan"), soft_wrap=True)
