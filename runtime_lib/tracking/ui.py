"""MLflow's pages on this project's runs: of the tracking server, or of a light one for a store without."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable

from runtime_lib.secrets import without_secrets
from runtime_lib.server import listen, serve
from runtime_lib.settings import Settings
from runtime_lib.tracking.ship import ship_pending
from runtime_lib.tracking.store import (
    artifact_root,
    connect,
    experiment_id,
    is_server,
    service,
    tracking_uri,
)

__all__ = ["ui"]

_HOST = "127.0.0.1"  # there is no login in front of it
_LIGHT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def ui(settings: Settings, *, port: int = 0, on_ready: Callable[[str], None]) -> None:
    """Call `on_ready` with the address of the project's runs; serve them until Ctrl-C if no server does.

    Delivers first what waits in the spool, so that failed and killed trainings are there too. The server
    is this process alone, which leaves nothing behind however it ends.

    Args:
        port: to listen on; 0: a free one. A tracking server keeps its own.

    Raises:
        ServiceError: the store does not answer, or the port is in use.
    """
    client = connect(settings)
    with service(settings):
        page = f"#/experiments/{experiment_id(settings, client)}/runs?workflowType=machine_learning"
    ship_pending(settings)
    if is_server(settings):
        return on_ready(f"{without_secrets(tracking_uri(settings)).rstrip('/')}/{page}")
    with listen(_HOST, port, fix="Leave --port out to take a free one.") as listener:
        address = f"http://{_HOST}:{listener.getsockname()[1]}"
        _serve(settings, listener, lambda: on_ready(f"{address}/{page}"))


def _serve(settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    from mlflow.server import constants

    # What `mlflow server` does, less the processes around it: its application reads these as it is imported.
    uri = tracking_uri(settings)
    os.environ.update(_LIGHT)
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifact_root(settings) or ""
    with warnings.catch_warnings(action="ignore"):  # MLflow's own affair
        from mlflow.server.fastapi_app import app

    serve(app, listener, on_ready=on_ready, timeout_graceful_shutdown=3, server_header=False)
