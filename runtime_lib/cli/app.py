"""The commands, in the order of the flow. Each imports what it needs when it is called."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime_lib import __version__
from runtime_lib.errors import GateError
from runtime_lib.settings import Settings, find_root
from runtime_lib.settings import load as load_settings

__all__ = ["app"]

# Exit codes beside 0, 1 (failed) and 2 (used wrongly); GateError carries 3.
_FINDINGS = 4

app = typer.Typer(
    name="mlops",
    help="Run a machine-learning project: data → train → register → serve → monitor → retrain.",
    epilog="Exit codes: 0 done · 1 failed · 2 used wrongly · 3 refused by the gate · "
    "4 found something (monitor, doctor), or conflicts to resolve (upgrade) · 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, for machines.")]
ExitZero = Annotated[
    bool,
    typer.Option("--exit-zero", help="Exit with 0 whatever is found, as a task of an orchestrator should."),
]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the library's version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
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

    settings = load_settings()
    done = run_pipeline(settings, stages=stage or (), changes=change or (), force=force)
    if not as_json:
        typer.echo(f"Ran: {', '.join(done) or 'nothing, all is up to date'}.")
    if stage or not promote:
        return _show({"ran": done}, as_json)
    if before := judged(settings):
        return _show(
            {"ran": done, **before},
            as_json,
            f"Version {before['version']} was judged before: {_verb(before)}.",
        )
    _promote(settings, {"ran": done}, as_json=as_json, exit_zero=False)


@app.command()
def promote(as_json: Json = False, exit_zero: ExitZero = False) -> None:
    """Judge the newest version on held-out months; make it champion if it is good enough.

    It must beat the naive baseline and not fall behind the champion (table `registry` of mlops.toml).
    """
    _promote(load_settings(), {}, as_json=as_json, exit_zero=exit_zero)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    engine: Annotated[
        str | None, typer.Option(help="'ray' for Ray Serve, 'local' for one light process.")
    ] = None,
) -> None:
    """Serve the champion over HTTP until Ctrl-C: /invocations, /v2/models/…/infer, /ready, /metrics."""
    from runtime_lib.serving.serve import serve as serve_champion

    given = {"host": host, "port": port, "engine": engine}
    variables = {
        f"MLOPS_SERVING__{key.upper()}": str(value) for key, value in given.items() if value is not None
    }
    serve_champion(load_settings(environ={**os.environ, **variables}))


@app.command()
def predict(
    file: Annotated[
        Path, typer.Argument(help="Parquet or CSV with the model's inputs, and ids if you have them.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Parquet file for ids and probabilities.")] = Path(
        "predictions.parquet"
    ),
    url: Annotated[str, typer.Option(help="Server to ask. Default: as in mlops.toml, table `serving`.")] = "",
    id_column: Annotated[
        str, typer.Option(help="Column whose values tie late labels to predictions.")
    ] = "id",
    batch: Annotated[int, typer.Option(help="Rows per request.", min=1)] = 500,
    as_json: Json = False,
) -> None:
    """Send the rows of a file to the running server and write its predictions."""
    from runtime_lib.serving.client import predict_file

    done = predict_file(load_settings(), file, out=out, url=url, id_column=id_column, batch=batch)
    figures = {"rows": done.rows, "model": done.model, "version": done.version, "out": str(done.out)}
    _show(
        figures, as_json, f"{done.rows:,} rows predicted by {done.model} version {done.version}: {done.out}"
    )


@app.command()
def monitor(
    labels: Annotated[
        Path | None, typer.Option(help="Parquet or CSV with columns id and label to add first.")
    ] = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the HTML report in a browser.")] = False,
    as_json: Json = False,
    exit_zero: ExitZero = False,
) -> None:
    """Judge the champion's predictions: drift, performance once labels are in, whether to retrain.

    Writes var/monitoring/report.html and sends an alert to the webhook of mlops.toml (table `monitoring`).
    """
    from runtime_lib.monitoring.labels import add_labels
    from runtime_lib.monitoring.monitor import monitor as judge

    settings = load_settings()
    if labels:
        added = add_labels(settings, labels)
        if not as_json:
            typer.echo(f"{added:,} labels added.")
    verdict = judge(settings)
    _show(
        verdict.to_dict(),
        as_json,
        f"{verdict.headline} ({verdict.rows:,} predictions of version {verdict.version})",
        *(f"  {reason}" for reason in verdict.reasons),
        f"  performance: {verdict.performance.reason}",
        f"Report: {verdict.report_html}",
    )
    if open_report:
        typer.launch(str(verdict.report_html))
    if (verdict.drifted or verdict.retrain) and not exit_zero:
        raise SystemExit(_FINDINGS)


@app.command()
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
    """Check what is installed, reachable, out of date or half done, with the command that mends each finding.

    Also what a plain `copier update` leaves unsaid: conflicts, dropped edits, versions that disagree.
    """
    from runtime_lib.cli.doctor import diagnose, restored

    if restore:
        return restored(find_root(), restore, as_json=as_json)
    if not diagnose(find_root(), as_json=as_json):
        raise SystemExit(_FINDINGS)


@app.command()
def upgrade(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would change, file by file; write nothing.")
    ] = False,
    to: Annotated[str, typer.Option(help="Version to take, for instance v0.3.0. Default: the newest.")] = "",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="QUESTION=ANSWER", help="Change an answer; may be repeated."),
    ] = None,
    lock: Annotated[bool, typer.Option(help="Bring uv.lock up to date.")] = True,
    tests: Annotated[bool, typer.Option(help="Run the project's tests before anything changes.")] = True,
    finish: Annotated[bool, typer.Option("--finish", help="Go on: the conflicts are resolved.")] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Give up: bring back the project as it was.")
    ] = False,
    here: Annotated[bool, typer.Option("--here", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Take the newest version of the template and the library: merge, migrate, lock, test, commit.

    All of it happens beside the project, which moves to the new state in one commit, or stays as it was.
    Where you and the template changed the same lines, the conflict is left in the files: resolve it, then
    `mlops upgrade --finish`, or give up with `--abort`.
    """
    from runtime_lib.cli.upgrade import upgrade as take

    checks = {"lock": lock, "tests": tests}
    mode = "plan" if plan else "finish" if finish else "abort" if abort else "upgrade"
    if plan + finish + abort > 1:
        raise typer.BadParameter("--plan, --finish and --abort exclude one another.")
    take(mode, to=to, data=data or (), checks=checks, here=here, as_json=as_json)


@app.command()
def hardware(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show the state every second until Ctrl-C; with --json, or into a pipe, a line each.",
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Show the machine that was recorded in this folder. The variable MLOPS_HARDWARE_REPLAY "
            "replays one for every command.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the answers of this machine to a new folder, identifiers masked: for a bug report.",
        ),
    ] = None,
    ray_resources: Annotated[
        bool,
        typer.Option(
            "--ray-resources",
            help='Print what this machine offers to Ray: ray start --resources="$(mlops hardware '
            '--ray-resources)".',
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what machine this is, its state, and which device a training would use, and why.

    Beside each value stands where it comes from; what cannot be read is unknown, never guessed. Works
    outside a project; in one, its settings (tables `training` and `hardware`) choose the device.
    """
    from runtime_lib.cli import hardware as command

    if record and (watch or replay):
        raise typer.BadParameter("--record excludes --watch and --replay.")
    if ray_resources and (watch or record):
        raise typer.BadParameter("--ray-resources excludes --watch and --record.")
    if ray_resources:
        return command.ray_resources(replay=replay)
    if record:
        return command.record(record, as_json=as_json)
    (command.watch if watch else command.show)(replay=replay, as_json=as_json)


def _unwrap_help() -> None:
    """Let the terminal break the lines: typer keeps a docstring's breaks in all but its first paragraph."""
    for command in app.registered_commands:
        paragraphs = inspect.cleandoc(getattr(command.callback, "__doc__", None) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


_unwrap_help()


def _promote(settings: Settings, before: Mapping[str, Any], *, as_json: bool, exit_zero: bool) -> None:
    from runtime_lib.registry.champion import promote as judge

    decision = judge(settings)
    verb = _verb(decision.to_dict())
    _show(
        {**before, **decision.to_dict()},
        as_json,
        f"Gate: {verb}.",
        *(f"  {reason}" for reason in decision.reasons),
    )
    if not decision.promoted and not exit_zero:
        raise GateError("The gate refused this version; the champion stays. The reasons stand above.")


def _verb(decision: Mapping[str, Any]) -> str:
    return "champion" if decision["promoted"] else "refused"


def _show(result: Mapping[str, Any], as_json: bool, *lines: str) -> None:
    if as_json:
        _print_json(result)
        return
    for line in lines:
        typer.echo(line)


def _print_json(result: Any) -> None:
    typer.echo(json.dumps(result, indent=2, default=str))
