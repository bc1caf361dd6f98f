"""`mlops champion`: which model is in service and why, and how to change that by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.followers import tell
from runtime_lib.cli.output import Json, print_json, show, table
from runtime_lib.settings import Settings, load

if TYPE_CHECKING:
    from runtime_lib.registry.trail import Entry

__all__ = ["champion"]

Reason = Annotated[str, typer.Option(help="Why; it is kept in the trail. At most 1,000 characters.")]

champion = typer.Typer(
    help="Show the champion, the version that servers follow: figures, since when, who decided and why.\n\n"
    "The gate of `mlops run` and `mlops promote` chooses it. A decision by hand (set, clear, rollback) "
    "stands until the gate judges a new version: one that was set aside does not come back by itself. "
    "Each decision is kept in the registry, with its reason.",
    invoke_without_command=True,
)


@champion.callback()
def _show(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand:
        return
    from runtime_lib.registry.show import status

    found = status(load())
    if found.version is None:
        show(found.to_dict(), as_json, *found.reasons, *found.notes)
        return
    figures = " · ".join(f"{name} {value:.6g}" for name, value in found.figures.items())
    show(
        found.to_dict(),
        as_json,
        f"Champion of '{found.model}' in {found.registry}: version {found.version}",
        f"  since    {found.since or 'unknown'}",
        f"  decided  by {found.decided}",
        *(f"  why      {reason}" for reason in found.reasons),
        f"  figures  {figures or 'none: the gate never judged it'}",
        *(f"  note     {note}" for note in found.notes),
    )


@champion.command("list")
def _list(as_json: Json = False) -> None:
    """List all versions, the newest first: when made, figures on held-out rows, decision, champion."""
    from runtime_lib.registry.show import rows
    from runtime_lib.task.kinds import metric_name

    settings = load()
    found = rows(settings)
    if as_json:
        return print_json([row.to_dict() for row in found])
    metric = metric_name(settings)
    lines = [
        (
            row.version,
            row.made,
            f"{row.figures[metric]:.4f}" if metric in row.figures else "-",
            f"{row.figures.get('rows', 0):,.0f}" if row.figures else "-",
            f"{row.decision}, too good: {', '.join(row.suspects)}" if row.suspects else row.decision,
            "champion" if row.champion else "",
        )
        for row in found
    ]
    table(("version", "made", metric, "rows", "decision", ""), lines)


@champion.command("trail")
def _trail(as_json: Json = False) -> None:
    """List every decision, oldest first: by the gate or by hand, with time, name, versions and reason."""
    from runtime_lib.registry.show import decisions

    found = decisions(load())
    if as_json:
        return print_json([entry.to_dict() for entry in found])
    lines = [
        (
            f"{entry.time:%Y-%m-%d %H:%M:%S}",
            entry.who,
            f"{'' if entry.done else 'not carried out: '}{entry.action} {entry.version}",
            f"{entry.before or '-'} → {entry.after or '-'}",
            "; ".join(entry.reasons),
        )
        for entry in found
    ]
    table(("time (UTC)", "who", "decision", "champion", "why"), lines)


@champion.command("set")
def _set(
    version: Annotated[str, typer.Argument(help="The number of a version, see `mlops champion list`.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Make a version champion, whatever the gate said of it. Its files are checked first."""
    from runtime_lib.registry.choose import choose

    settings = load()
    _done(settings, choose(settings, version, reason=reason), as_json)


@champion.command("clear")
def _clear(reason: Reason, as_json: Json = False) -> None:
    """Leave no champion, as after a leak: the gate then judges against the baseline alone.

    What was champion does not come back by itself. What the gate has refused is judged again by
    `mlops promote`. A server goes on with the version that it has.
    """
    from runtime_lib.registry.choose import clear

    settings = load()
    _done(settings, clear(settings, reason=reason), as_json)


@champion.command("rollback")
def _rollback(reason: Reason, as_json: Json = False) -> None:
    """Go back to the champion before this one. Its files are checked first."""
    from runtime_lib.registry.choose import rollback

    settings = load()
    _done(settings, rollback(settings, reason=reason), as_json)


def _done(settings: Settings, entry: Entry, as_json: bool) -> None:
    servers = tell(settings)
    if entry.after is None:
        servers = "A server that runs goes on with the version that it has."
    now = f"version {entry.after}" if entry.after else "none"
    was = f"version {entry.before}" if entry.before else "none"
    show(entry.to_dict(), as_json, f"Champion: {now} (before: {was}). {servers}")
