"""`mlops serve` and `mlops predict`: the champion behind HTTP, and rows sent to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from runtime_lib.cli.output import Json, complain, show
from runtime_lib.errors import SettingsError
from runtime_lib.settings import load

__all__ = ["predict", "serve"]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="'ray' has Ray place and heal the workers, 'local' runs them as light processes."),
    ] = None,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Have the server that runs replace its workers one by one, for changed code of the project, "
            "and end.",
        ),
    ] = False,
) -> None:
    """Serve the champion over HTTP until Ctrl-C: /invocations, /v2/models/…/infer, /ready, /metrics.

    It follows the champion, and `mlops deploy` and `mlops rollback` move traffic, all without a restart. A
    change of features.py, or of a library, needs none either: --renew replaces the workers one by one.
    """
    if renew:
        from runtime_lib.serving.releases import orders

        orders.renew(load())
        typer.echo("The workers are new.")
        return
    from runtime_lib.serving.serve import serve as serve_champion

    given = {"host": host, "port": port, "engine": engine}
    variables = {
        f"MLOPS_SERVING__{key.upper()}": str(value) for key, value in given.items() if value is not None
    }
    serve_champion(load(environ={**os.environ, **variables}))


def predict(
    file: Annotated[
        Path | None, typer.Argument(help="Parquet or CSV with the model's inputs, and ids if you have them.")
    ] = None,
    month: Annotated[
        str,
        typer.Option(metavar="YYYY-MM", help="Score a month's raw rows, as your load() returns them now."),
    ] = "",
    raw: Annotated[
        Path | None, typer.Option(help="Score a Parquet or CSV file of raw rows, as load() returns them.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Parquet file for ids and probabilities.")] = Path(
        "predictions.parquet"
    ),
    url: Annotated[str, typer.Option(help="Server to ask. Default: as in mlops.toml, table `serving`.")] = "",
    id_column: Annotated[
        str, typer.Option(help="Column of FILE whose values tie late labels to predictions.")
    ] = "id",
    batch: Annotated[int, typer.Option(help="Rows per request.", min=1)] = 500,
    as_json: Json = False,
) -> None:
    """Send rows to the running server and write its predictions: of FILE, of a month, or of raw rows.

    With --month and --raw your own features() makes the inputs, of rows with and without an outcome.
    """
    from runtime_lib.serving.client import predict_file, predict_raw

    if sum((file is not None, bool(month), raw is not None)) != 1:
        raise SettingsError("Name one of FILE, --month YYYY-MM and --raw FILE; see `mlops predict --help`.")
    if file is not None:
        done = predict_file(load(), file, out=out, url=url, id_column=id_column, batch=batch)
    else:
        done = predict_raw(load(), month=month, file=raw, out=out, url=url, batch=batch)
    figures = {
        "rows": done.rows,
        "model": done.model,
        "version": done.version,
        "out": str(done.out),
        "note": done.note,
    }
    show(figures, as_json, f"{done.rows:,} rows predicted by {done.model} version {done.version}: {done.out}")
    if done.note:
        complain(done.note)
