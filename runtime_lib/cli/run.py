"""`mlops run` and `mlops promote`: from data to a registered version, and the gate in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime_lib.cli.followers import tell
from runtime_lib.cli.output import ExitZero, Json, show
from runtime_lib.errors import GateError
from runtime_lib.settings import Settings, load

if TYPE_CHECKING:
    from runtime_lib.registry.gate import Decision

__all__ = ["promote", "run"]


def run(
    stage: Annotated[
        list[str] | None, typer.Option(help="Run just this stage of dvc.yaml; may be repeated.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change params.yaml first; may be repeated."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Run stages even if nothing they depend on changed; reads every month again."
        ),
    ] = False,
    refresh: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MONTH|late|all",
            help="Read a month again from the source, or those read before their labels were complete, or "
            "all; may be repeated.",
        ),
    ] = None,
    promote: Annotated[bool, typer.Option(help="Let the gate judge the new version at the end.")] = True,
    as_json: Json = False,
) -> None:
    """Bring the pipeline up to date: data, features, training, evaluation, registration, then the gate.

    Stages whose inputs did not change are skipped. After a failure, Ctrl-C or a kill, run it again:
    finished stages are kept.

    Months that were read before their labels were complete (data.labels_after in mlops.toml) are read again
    by themselves; others that have changed at the source, by --refresh.
    """
    from runtime_lib.pipeline.run import run as run_pipeline

    settings = load()
    done = run_pipeline(
        settings, stages=stage or (), changes=change or (), force=force, refresh=refresh or ()
    )
    if not as_json:
        typer.echo(f"Ran: {', '.join(done) or 'nothing, all is up to date'}.")
    if stage or not promote:
        return show({"ran": done}, as_json)
    _promote(settings, {"ran": done}, again=False, as_json=as_json, exit_zero=False)


def promote(as_json: Json = False, exit_zero: ExitZero = False) -> None:
    """Judge the newest version on held-out months; make it champion if it is good enough.

    It must beat the naive baseline and not fall behind the champion (table `registry` of mlops.toml). A
    version that was set aside by hand is not judged again: `mlops champion`.
    """
    _promote(load(), {}, again=True, as_json=as_json, exit_zero=exit_zero)


def _promote(
    settings: Settings, before: Mapping[str, Any], *, again: bool, as_json: bool, exit_zero: bool
) -> None:
    from runtime_lib.registry.champion import promote as judge
    from runtime_lib.training.evaluate import side_by_side

    decision = judge(settings, again=again)
    told = not again and not decision.judged
    servers = [tell(settings)] if decision.promoted and decision.judged else []
    show(
        {**before, **decision.to_dict(), "page": settings.evaluation_page},
        as_json,
        side_by_side(settings),
        f"Version {decision.version} was judged before: {_verb(decision)}."
        if told
        else f"Gate: {_verb(decision)}.",
        *(f"  {reason}" for reason in decision.reasons),
        *servers,
        f"Evaluation: {settings.evaluation_page}",
    )
    if not decision.promoted and not told and not exit_zero:
        what = "This version was set aside" if decision.set_aside else "The gate refused this version"
        raise GateError(f"{what}. The reasons are above.")


def _verb(decision: Decision) -> str:
    if decision.set_aside:
        return "set aside"
    return "champion" if decision.promoted else "refused"
