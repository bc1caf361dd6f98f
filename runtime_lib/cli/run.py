"""`mlops run` and `mlops promote`: from data to a registered version, and the gate in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from runtime_lib.cli.output import ExitZero, Json, show
from runtime_lib.errors import GateError
from runtime_lib.settings import Settings, load

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
        bool, typer.Option("--force", help="Run stages even if nothing they depend on changed.")
    ] = False,
    promote: Annotated[bool, typer.Option(help="Let the gate judge the new version at the end.")] = True,
    as_json: Json = False,
) -> None:
    """Bring the pipeline up to date: data, features, training, evaluation, registration, then the gate.

    Stages whose inputs did not change are skipped. After a failure, Ctrl-C or a kill, run it again:
    finished stages are kept.
    """
    from runtime_lib.pipeline.run import judged
    from runtime_lib.pipeline.run import run as run_pipeline

    settings = load()
    done = run_pipeline(settings, stages=stage or (), changes=change or (), force=force)
    if not as_json:
        typer.echo(f"Ran: {', '.join(done) or 'nothing, all is up to date'}.")
    if stage or not promote:
        return show({"ran": done}, as_json)
    if before := judged(settings):
        return show(
            {"ran": done, **before},
            as_json,
            f"Version {before['version']} was judged before: {_verb(before)}.",
            *(f"  {reason}" for reason in before["reasons"] if before.get("suspects")),
        )
    _promote(settings, {"ran": done}, as_json=as_json, exit_zero=False)


def promote(as_json: Json = False, exit_zero: ExitZero = False) -> None:
    """Judge the newest version on held-out months; make it champion if it is good enough.

    It must beat the naive baseline and not fall behind the champion (table `registry` of mlops.toml).
    """
    _promote(load(), {}, as_json=as_json, exit_zero=exit_zero)


def _promote(settings: Settings, before: Mapping[str, Any], *, as_json: bool, exit_zero: bool) -> None:
    from runtime_lib.registry.champion import promote as judge

    decision = judge(settings)
    verb = _verb(decision.to_dict())
    show(
        {**before, **decision.to_dict()},
        as_json,
        f"Gate: {verb}.",
        *(f"  {reason}" for reason in decision.reasons),
    )
    if not decision.promoted and not exit_zero:
        raise GateError("The gate refused this version; the champion stays. The reasons are above.")


def _verb(decision: Mapping[str, Any]) -> str:
    return "champion" if decision["promoted"] else "refused"
