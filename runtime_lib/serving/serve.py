"""`mlops serve`: the champion behind HTTP, on the engine that the settings name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.serving.address import listen, url_of
from runtime_lib.serving.page.examples import curl, example_row, shown
from runtime_lib.settings import Settings

__all__ = ["serve"]


def serve(settings: Settings) -> None:
    """Serve the champion until Ctrl-C or SIGTERM.

    Raises:
        ServiceError: the port is in use (found before anything heavy is imported), or no champion yet.
        ModelError: the champion cannot be read.
    """
    host, port = settings.serving.host, settings.serving.port
    listen(host, port).close()
    from runtime_lib.registry.champion import champion, no_champion

    found = champion(settings)
    if found is None:
        raise ServiceError(no_champion(settings))
    name, version, folder = found.name, str(found.version), found.folder
    on_ready = _announcement(settings, name, version, folder)
    if settings.serving.engine == "local":
        from runtime_lib.serving.engines import local
        from runtime_lib.serving.service import open_service

        service = open_service(settings, folder, name=name, version=version)
        local.run(service, host=host, port=port, on_ready=on_ready)
    else:
        from runtime_lib.serving.engines import ray as ray_app

        ray_app.run(settings, folder, name=name, version=version, on_ready=on_ready)


def _announcement(settings: Settings, name: str, version: str, folder: Path) -> Callable[[], None]:
    """Prepare what is printed when the server answers: where it is, and a request to try."""
    from runtime_lib.training.model import read_columns

    url = url_of(settings)
    row, path = _raw_row(settings, folder), "raw/invocations"
    if row is None:
        row, path = example_row(read_columns(folder)), "invocations"

    def announce() -> None:
        from rich.console import Console

        console = Console()
        where = f"[bold green]Serving[/] {name} version {version} at {url} (Ctrl-C stops it)."
        console.print(where, soft_wrap=True, highlight=False)
        # Not wrapped or coloured: it is meant to be copied.
        console.print(_request(f"{url}/{path}", row), soft_wrap=True, markup=False, highlight=False)

    return announce


def _raw_row(settings: Settings, folder: Path) -> dict[str, Any] | None:
    """The last raw row here, with the columns that `features` needs; None where raw rows are not taken."""
    from runtime_lib.data.months import month_files, read_table
    from runtime_lib.data.raw import as_json
    from runtime_lib.data.skew import needed_columns
    from runtime_lib.serving.raw import open_raw

    try:
        raw = open_raw(settings, folder)
        row = raw.types.cast(read_table(month_files(settings.raw)[-1]).tail(1))
    except DataError:
        return None
    names = needed_columns(raw.features.features, row)
    return {name: values[0] for name, values in as_json(row[names]).items()} if names else None


def _request(address: str, row: Mapping[str, Any]) -> str:
    record = {name: shown(value) for name, value in row.items()}
    return curl(address, json.dumps({"dataframe_records": [record]}))
