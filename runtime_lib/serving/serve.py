"""`mlops serve`: the champion behind HTTP, on the engine that the settings name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.errors import ServiceError
from runtime_lib.serving.address import listen, url_of
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column

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

    columns = read_columns(folder)
    url = url_of(settings)

    def announce() -> None:
        from rich.console import Console

        console = Console()
        where = f"[bold green]Serving[/] {name} version {version} at {url} (Ctrl-C stops it)."
        console.print(where, soft_wrap=True, highlight=False)
        # Not wrapped or coloured: it is meant to be copied.
        console.print(_curl(url, columns), soft_wrap=True, markup=False, highlight=False)

    return announce


def _curl(url: str, columns: Sequence[Column]) -> str:
    row = {c.name: None if c.nullable else (0.0 if c.kind == "number" else "text") for c in columns}
    body = json.dumps({"dataframe_records": [row]}).replace("'", r"'\''")
    return f"curl {url}/invocations -H 'Content-Type: application/json' -d '{body}'"
