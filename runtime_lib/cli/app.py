"""The `mlops` command: its commands in the order of the flow. Each loads what it needs when it is called."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from runtime_lib import __version__
from runtime_lib.cli.airflow import airflow
from runtime_lib.cli.alerts import alerts
from runtime_lib.cli.audit import audit
from runtime_lib.cli.champion import champion
from runtime_lib.cli.doctor import doctor
from runtime_lib.cli.drift import drift
from runtime_lib.cli.explain import explain
from runtime_lib.cli.hardware_command import hardware
from runtime_lib.cli.look import runs, ui
from runtime_lib.cli.metrics import metrics
from runtime_lib.cli.monitor import monitor
from runtime_lib.cli.quality import quality
from runtime_lib.cli.release import deploy, releases, rollback, traffic
from runtime_lib.cli.run import promote, run
from runtime_lib.cli.serve import predict, serve
from runtime_lib.cli.upgrade import upgrade

__all__ = ["app"]

app = typer.Typer(
    name="mlops",
    help="Run a machine-learning project: data → train → register → serve → monitor → retrain.",
    epilog="Exit codes: 0 done · 1 failed · 2 used wrongly · 3 refused by the gate · "
    "4 found something (quality, monitor, drift, doctor, audit), or conflicts (upgrade) · 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the library's version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _unwrapped(docstring: str | None) -> str:
    """Let the terminal break the lines: typer keeps a docstring's breaks in all but its first paragraph."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _command in (
    run,
    promote,
    quality,
    runs,
    ui,
    serve,
    predict,
    deploy,
    traffic,
    rollback,
    releases,
    explain,
    monitor,
    drift,
    airflow,
    doctor,
    audit,
    upgrade,
    hardware,
):
    app.command(help=_unwrapped(_command.__doc__))(_command)
app.add_typer(champion, name="champion")
app.add_typer(alerts, name="alerts")
app.add_typer(metrics, name="metrics")
