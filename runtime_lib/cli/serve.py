"""`mlops serve` and `mlops predict`: the champion behind HTTP, and a file of rows sent to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from runtime_lib.cli.output import Json, show
from runtime_lib.settings import load

__all__ = ["predict", "serve"]


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
    serve_champion(load(environ={**os.environ, **variables}))


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

    done = predict_file(load(), file, out=out, url=url, id_column=id_column, batch=batch)
    figures = {"rows": done.rows, "model": done.model, "version": done.version, "out": str(done.out)}
    show(figures, as_json, f"{done.rows:,} rows predicted by {done.model} version {done.version}: {done.out}")
