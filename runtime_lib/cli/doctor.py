"""`mlops doctor` on a terminal: a finding a line, its command below it in one piece, to be copied."""

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

_COLOURS = {"ok": "green", "note": "yellow", "mend": "red"}


def doctor(
    restore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Bring back edits that an update dropped ('all': every one), or the template's version of a "
            "file that it owns; may be repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what is installed, reachable, out of date or half done, with the command that fixes each finding.

    Also what a plain `copier update` leaves unsaid: conflicts, dropped edits, versions that disagree.
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
    """Restore files and name each."""
    from runtime_lib.doctor.dropped import restore
    from runtime_lib.upgrade.rendering import Renderings

    done = restore(root, names, Renderings(root))
    if as_json:
        print_json([{"path": path, "conflict": not clean} for path, clean in done])
        return
    for path, clean in done:
        typer.echo(f"Restored {path}" + ("" if clean else ": conflict markers are in it, resolve them"))
    typer.echo("See `git status` and `git diff`." if done else "No update dropped an edit.")


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    for finding in findings:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(overflow="fold")
        said = Text.assemble((finding.what, "bold"), f": {finding.found}")
        row.add_row(Text(finding.level, style=_COLOURS[finding.level]), said)
        screen.print(row)
        if finding.mend:
            _print_command(screen, finding.mend)


def _print_command(screen: Console, mend: str) -> None:
    from rich.text import Text

    # Never wrapped or cut by us: a terminal may wrap it, but it is copied as one line.
    screen.print(Text(f"     → {mend}", style="cyan"), soft_wrap=True)
