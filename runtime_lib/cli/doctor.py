"""`mlops doctor`: print each finding, and below it its command on one line, to be copied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import FOUND, Json, console, print_json
from runtime_lib.settings import find_root

if TYPE_CHECKING:
    from rich.console import Console

    from runtime_lib.doctor.finding import Finding

__all__ = ["diagnose", "doctor", "restored"]

_COLOURS = {"ok": "green", "note": "yellow", "fix": "red"}


def doctor(
    restore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Restore edits that an update dropped ('all': every one), or the template's version of a "
            "file that it owns; may be repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what is installed, reachable, out of date or unfinished, and print the command that fixes it.

    Also what a plain `copier update` does not report: conflicts, dropped edits, version mismatches.
    """
    if restore:
        return restored(find_root(), restore, as_json=as_json)
    if not diagnose(find_root(), as_json=as_json):
        raise SystemExit(FOUND)


def diagnose(root: Path, *, as_json: bool) -> bool:
    """Print the findings; return whether there is nothing to fix."""
    from runtime_lib.doctor.examine import examine

    findings = examine(root)
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        _print(findings)
    return all(finding.ok for finding in findings)


def restored(root: Path, names: list[str], *, as_json: bool) -> None:
    """Restore files and print each name."""
    from runtime_lib.doctor.dropped import restore
    from runtime_lib.upgrade.rendering import Renderings

    done = restore(root, names, Renderings())
    if as_json:
        print_json([{"path": path, "conflict": not clean} for path, clean in done])
        return
    for path, clean in done:
        typer.echo(f"Restored {path}" + ("" if clean else ": it contains conflict markers, resolve them"))
    typer.echo("See `git status` and `git diff`." if done else "No update dropped an edit.")


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    for finding in findings:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(overflow="fold")
        text = Text.assemble((finding.what, "bold"), f": {finding.found}")
        row.add_row(Text(finding.level, style=_COLOURS[finding.level]), text)
        screen.print(row)
        if finding.fix:
            _print_command(screen, finding.fix)


def _print_command(screen: Console, fix: str) -> None:
    from rich.text import Text

    # Not wrapped or cut here: a terminal may wrap it, but it is still copied as one line.
    screen.print(Text(f"     → {fix}", style="cyan"), soft_wrap=True)
