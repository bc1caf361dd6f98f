"""`mlops alerts`: try the channels, see what fires, keep quiet for a while."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import Json, complain, print_json, show
from runtime_lib.errors import SettingsError
from runtime_lib.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime_lib.monitoring.alerts.alert import Alert
    from runtime_lib.monitoring.alerts.overview import Overview
    from runtime_lib.monitoring.alerts.silence import Silence

__all__ = ["alerts"]

alerts = typer.Typer(
    help="Try the channels that alerts go to, list what fires, silence what is known.",
    no_args_is_help=True,
)


@alerts.command("test")
def _test(
    name: Annotated[str | None, typer.Argument(help="A channel's name. Default: all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Send a marked test alert through each channel, and its end where the receiver has one.

    Whoever is on call is called: use it when they know. The exit code is 1 if a channel did not take it.
    """
    from runtime_lib.monitoring.alerts.trial import try_channels

    found = try_channels(load(), name)
    lines = [
        f"{each.channel} ({each.kind}{f', {each.host}' if each.host else ''}): "
        f"{f'not delivered: {each.error}' if each.error else 'delivered'}"
        for each in found
    ]
    show({"channels": [vars(each) for each in found]}, as_json, *lines)
    if any(each.error for each in found):
        raise SystemExit(1)


@alerts.command("list")
def _list(as_json: Json = False) -> None:
    """List what fires, what is silenced, what could not be delivered, and the channels."""
    from runtime_lib.monitoring.alerts.overview import overview

    found = overview(load())
    if as_json:
        return print_json(found.to_dict())
    show({}, False, *_lines(found))


@alerts.command("silence")
def _silence(
    model: Annotated[str, typer.Option(help="Only alerts about this registered model.")] = "",
    kind: Annotated[
        str, typer.Option(help="Only alerts of this kind: drift, skew, quality, performance, retraining.")
    ] = "",
    column: Annotated[str, typer.Option(help="Only alerts about this column and no other.")] = "",
    length: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 90m, 2h, 3d, 1w.")] = "",
    reason: Annotated[
        str, typer.Option(help="Why; needed with --for, and shown by `mlops alerts list`.")
    ] = "",
    end: Annotated[str, typer.Option(metavar="ID", help="End this silence before its time.")] = "",
    as_json: Json = False,
) -> None:
    """Send no alerts for a while: all, or those of a model, a kind or a column.

    What is found meanwhile is recorded and listed; what still fires when the silence ends is sent by the next
    run.
    """
    from runtime_lib.monitoring.alerts import silences
    from runtime_lib.monitoring.alerts.alert import KINDS

    if end:
        if model or kind or column or length or reason:
            raise SettingsError("--end ID stands alone: the silence has its model, kind, column and reason.")
        ended = silences.end(load(), end)
        return show(ended.to_dict(), as_json, f"Ended: {_quiet(ended)}")
    if not length:
        raise SettingsError("Say for how long, as in --for 2h; or --end ID.")
    if kind and kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KINDS)}."
        complain(f"warning: nothing here finds the kind {kind!r}: {hint}")
    begun = silences.silence(load(), length=length, reason=reason, model=model, kind=kind, column=column)
    show(
        begun.to_dict(),
        as_json,
        f"Silenced: {_quiet(begun)}",
        f"End it with `mlops alerts silence --end {begun.id}`.",
    )


def _lines(found: Overview) -> Iterator[str]:
    yield "Firing:" if found.firing else "Nothing fires."
    yield from map(_alert, found.firing)
    if found.silenced:
        yield "Silenced, firing:"
        yield from map(_alert, found.silenced)
    if found.silences:
        yield "Silences:"
        yield from (f"  {_quiet(silence)}" for silence in found.silences)
    if found.dead:
        yield "Not delivered, sent again by the next run:"
    for letter in found.dead:
        times = f"{letter.runs} runs" if letter.runs > 1 else "1 run"
        cause = f"{letter.cause}; {times} since {letter.first:%Y-%m-%d %H:%M} UTC"
        yield f"  {letter.channel}: {letter.message.heading} ({cause})"
    yield "Channels:" if found.channels else "No channel: write [monitoring.alerts.NAME] into mlops.toml."
    for each in found.to_dict()["channels"]:
        missing = f"; set {', '.join(each['missing'])}" if each["missing"] else ""
        host = f", {each['host']}" if each["host"] else ""
        yield f"  {each['name']} ({each['kind']}{host}): {each['severity']} and graver{missing}"


def _alert(alert: Alert) -> str:
    since = f"since {alert.since:%Y-%m-%d %H:%M} UTC"
    return f"  [{alert.severity}] {alert.title} ({alert.environment}, {since})"


def _quiet(silence: Silence) -> str:
    about = [
        f"{name} {value}"
        for name, value in (("model", silence.model), ("kind", silence.kind), ("column", silence.column))
        if value
    ]
    until = f"until {silence.end:%Y-%m-%d %H:%M} UTC"
    return f"{silence.id}: {', '.join(about) or 'everything'} {until}, by {silence.who}: {silence.reason}"
