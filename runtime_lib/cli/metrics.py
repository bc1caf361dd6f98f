"""`mlops metrics`: what Prometheus scrapes, and the rules and dashboards that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import Json, complain, show
from runtime_lib.errors import SettingsError
from runtime_lib.settings import load

if TYPE_CHECKING:
    from runtime_lib.monitoring.metrics.collect import Collected

__all__ = ["metrics"]

metrics = typer.Typer(
    help="Serve metrics of model, data, releases and machine for Prometheus, on 127.0.0.1 until Ctrl-C.\n\n"
    "They come from the newest report of `mlops monitor`, reports/quality.json, the journal of releases "
    "and the machine. A server has its own, at /metrics. `mlops metrics export` writes rules and dashboards.",
    invoke_without_command=True,
)


@metrics.callback()
def _metrics(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on; 0: one that is free. Default: metrics_port in mlops.toml.",
            min=0,
            max=65535,
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print them once, and end.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(help="Write them once into a file, NAME.prom, for node_exporter's textfile collector."),
    ] = None,
    as_json: Json = False,
) -> None:
    if context.invoked_subcommand:
        return
    if port is not None and (once or file):
        raise SettingsError(f"--port {port} is of a server, and --{'once' if once else 'file'} starts none.")
    from runtime_lib.monitoring.metrics.exporter import export_forever, export_once

    settings = load()
    if once or file:
        found = export_once(settings, file)
        _warn(found.warnings)
        if file:
            show({"file": str(file)}, as_json, str(file))
        else:
            show({"metrics": found.text}, as_json, found.text.rstrip("\n"))
        return

    def say(url: str, first: Collected) -> None:
        _warn(first.warnings)
        show({"url": url}, as_json, f"Metrics: {url}")

    export_forever(settings, port=settings.monitoring.metrics_port if port is None else port, on_ready=say)


@metrics.command("export")
def _export(
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to. Default: var/monitoring/prometheus.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write rules and targets for Prometheus, and dashboards for Grafana, by the objectives of mlops.toml."""
    from runtime_lib.monitoring.metrics.export import export

    settings = load()
    files = export(settings, out or settings.metrics)
    show({"files": [str(path) for path in files]}, as_json, *map(str, files))


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        complain(f"warning: {warning}")
