"""`mlops deploy`, `traffic`, `rollback`, `releases`: which version answers whom, without a restart."""

from __future__ import annotations

import sys
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime_lib.cli.output import Json, complain, show
from runtime_lib.errors import MlopsError, SettingsError
from runtime_lib.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime_lib.settings import Settings

__all__ = ["deploy", "releases", "rollback", "traffic"]

Reason = Annotated[str, typer.Option(help="Why; it is kept in the journal of releases.")]


def deploy(
    version: Annotated[
        str, typer.Argument(help="A version's number, or an alias as @champion. Default: the champion.")
    ] = "@champion",
    canary: Annotated[
        bool,
        typer.Option("--canary", help="Give it traffic step by step; it goes back by itself if it is worse."),
    ] = False,
    stage: Annotated[
        bool,
        typer.Option("--stage", help="Load it, and let it answer only who asks for it (X-Mlops-Version)."),
    ] = False,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Send it a copy of each request, and compare what it would answer."),
    ] = False,
    ab: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", help="Compare it with the version in service, on this share of requests."
        ),
    ] = None,
    effect: Annotated[
        float | None,
        typer.Option(help="Of --ab: the smallest difference of the mean error per row that matters."),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(
            help="Of --ab: standard deviation of the error per row. Default: of the rows that have labels."
        ),
    ] = None,
    bandit: Annotated[
        bool, typer.Option("--bandit", help="Share traffic by which version loses less, as labels come in.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Release a version in the server that runs: fetched, checked, tried on its own, then given traffic.

    Without an option it gets all traffic at once, and the version before stays loaded: `mlops rollback` takes
    milliseconds. A version that does not load, answers another task, or takes other columns than the one in
    service gets no traffic, and the message says why.
    """
    from runtime_lib.serving.releases import orders

    ways = {"canary": canary, "stage": stage, "shadow": shadow, "ab": ab is not None, "bandit": bandit}
    chosen = [how for how, on in ways.items() if on]
    if len(chosen) > 1:
        raise SettingsError(f"--{chosen[0]} and --{chosen[1]} exclude each other.")
    options = _of_ab(ab, effect, spread)
    change = orders.deploy(load(), version, how=chosen[0] if chosen else "at once", reason=reason, **options)
    _done(change, as_json)
    if (needs := change.get("needs")) and not as_json:
        typer.echo(
            f"It needs about {needs['any_time']:,} labelled rows of both versions ({needs['once']:,} if it "
            f"is looked at only once). `mlops traffic` says when it may stop."
        )


def traffic(
    weights: Annotated[
        list[str] | None,
        typer.Argument(help="VERSION=PERCENT, as in 7=10; one may go without and takes the rest."),
    ] = None,
    stop_shadow: Annotated[
        list[str] | None, typer.Option(help="A version that is to get no more copies of requests.")
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Show who gets which share of the requests, or divide them: `mlops traffic 7=10 5`.

    A caller that sends the header X-Mlops-Key stays with one version while the shares stay as they are.
    """
    from runtime_lib.serving.releases import orders

    if weights or stop_shadow:
        change = orders.divide(load(), weights or [], reason=reason, unshadow=stop_shadow or [])
        if stop_shadow and not as_json:
            typer.echo(f"No shadow any more: {', '.join(stop_shadow)}.")
        _done(change, as_json)
    else:
        found = orders.status(load())
        show(found, as_json, *_status(found))


def rollback(reason: Reason = "", as_json: Json = False) -> None:
    """Give all traffic back to the version that had it before, and make it champion.

    Traffic moves first, in milliseconds; the champion follows in the registry, at once or when it answers
    again. A canary under way is ended.
    """
    from runtime_lib.serving.releases import orders

    settings = load()
    change = orders.rollback(settings, reason=reason)
    _done(change, as_json)
    if settings.serving.follow:
        try:
            champion = orders.rollback_champion(settings, change)
        except MlopsError as error:
            complain(f"Traffic has moved. The server moves the champion once the registry answers: {error}")
        else:
            if not as_json:
                typer.echo(f"Champion: {f'version {champion}' if champion else 'none'}.")


def releases(
    all_servers: Annotated[
        bool, typer.Option("--all", help="Those of every server that shares the registry.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List every change of traffic, oldest first: who, when, from what to what, why, on which figures.

    By default those of this project's folder, which needs no registry.
    """
    from runtime_lib.cli.output import print_json, table
    from runtime_lib.serving.traffic import said

    found = _releases(load(), all_servers)
    if as_json:
        return print_json(found)
    lines = [
        (
            each["time"][:19].replace("T", " "),
            each["who"],
            each["by"],
            each["action"],
            said(each["before"]) if each["before"] else "-",
            said(each["after"]),
            each["reason"],
        )
        for each in found
    ]
    if not lines:
        typer.echo("Nothing was released here yet: `mlops serve` starts a server.")
        return
    table(("time (UTC)", "who", "by", "what", "from", "to", "why"), lines)


def _releases(settings: Settings, all_servers: bool) -> list[dict[str, Any]]:
    if all_servers:
        from runtime_lib.serving.releases.sync import recorded

        return recorded(settings)
    from runtime_lib.serving.releases.journal import Journal

    return [change.to_dict() for change in Journal(settings.releases).changes()]


def _of_ab(ab: float | None, effect: float | None, spread: float | None) -> dict[str, Any]:
    if ab is None:
        if alone := [name for name, given in (("effect", effect), ("spread", spread)) if given is not None]:
            raise SettingsError(f"--{alone[0]} belongs to --ab PERCENT, and nothing was released.")
        return {}
    if effect is None:
        raise SettingsError("--ab needs --effect, the smallest difference of the mean error that matters.")
    for name, given in (("effect", effect), ("spread", spread)):
        if given is not None and not 0 < given < inf:
            raise SettingsError(f"--{name} {given:g}: it is a number above 0.")
    return {"share": _share(ab), "effect": effect, "spread": spread}


def _share(percent: float) -> int:
    if not 0 < percent < 100 or abs(10 * percent - round(10 * percent)) > 1e-9:
        raise SettingsError(f"--ab {percent:g}: a share is between 0 and 100 % in steps of 0.1.")
    return round(10 * percent)


def _done(change: Mapping[str, Any], as_json: bool) -> None:
    from runtime_lib.serving.traffic import said

    shadows = f" Shadows: {', '.join(change['shadows'])}." if change["shadows"] else ""
    show(
        dict(change),
        as_json,
        f"Traffic: {said(change['after'])} (before: {said(change['before'])}).{shadows}",
    )
    sys.stdout.flush()  # what follows may take its time


def _status(found: Mapping[str, Any]) -> list[str]:
    from runtime_lib.serving.traffic import said
    from runtime_lib.serving.workers import SHADOW

    workers = [worker for worker in found["workers"] if not worker["name"].startswith(SHADOW)]
    ready = sum(worker["ready"] for worker in workers)
    return [
        f"Traffic of '{found['model']}': {said(found['traffic']['weights'])}",
        *(f"  shadow   version {version}" for version in found["traffic"]["shadow"]),
        f"  workers  {ready} of {len(workers)} ready",
        *_release(found["release"]),
        *(f"  last     {_last(each)}" for each in found["history"][:1]),
        *(f"  problem  {problem}" for problem in found["problems"]),
        *([f"  problem  {found['log']['failing']}"] if found["log"]["failing"] else []),
    ]


def _last(change: Mapping[str, Any]) -> str:
    who = change["who"] if change["by"] == "hand" else f"the {change['by']}"
    return f"{change['action']} by {who}: {change['reason']}"


def _release(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    from runtime_lib.serving.releases.actions import KINDS

    kind = KINDS.get(found["kind"], found["kind"])
    step = f", step {found['step'] + 1} of {len(found['steps'])}" if found["steps"] else ""
    head = f"  {kind:8} version {found['version']} against {found['against']}{step}: {found['verdict']}"
    return [head, *(f"           {reason}" for reason in found["reasons"])]
