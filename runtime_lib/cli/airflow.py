"""`mlops airflow`: the project's schedule on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime_lib.cli.output import Json, show
from runtime_lib.settings import load

__all__ = ["airflow"]


def airflow(
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1 for its pages.", min=1, max=65535)] = 8080,
    as_json: Json = False,
) -> None:
    """Run Airflow with this project's DAGs on this machine until Ctrl-C; nobody else's machine reaches it.

    It prints its address, user and password once it is healthy, and keeps all that it writes in var/airflow.
    It needs the dependency group: `uv sync --group airflow`. For more than one machine, give `dags/` to an
    Airflow of your own.
    """
    from runtime_lib.pipeline.airflow_here import Started, run

    def ready(started: Started) -> None:
        found = {"url": started.url, "user": started.user, "password": started.password}
        lines = (
            f"Airflow: {started.url}",
            f"  user {started.user}, password {started.password}",
            "  Ctrl-C ends it.",
        )
        show(found, as_json, *lines)

    if not as_json:
        typer.echo("Airflow is starting; that takes about a minute.")
    run(load(), port=port, on_ready=ready)
