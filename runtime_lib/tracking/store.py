"""MLflow is reached through here only: a client for the store that the settings name, ready to use."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from runtime_lib.errors import ServiceError, SettingsError, require
from runtime_lib.locks import locked
from runtime_lib.settings import Settings
from runtime_lib.tracking.embedded import prepare
from runtime_lib.tracking.reach import DATABASE_PORTS, ask_artifacts, ask_store, service

if TYPE_CHECKING:
    from mlflow import MlflowClient

# `service`, `ask_store` and `ask_artifacts` are here for whoever uses the store.
__all__ = [
    "artifact_root",
    "ask_artifacts",
    "ask_store",
    "connect",
    "experiment_id",
    "is_server",
    "service",
    "tracking_uri",
]

# MLflow's own patience is 7 retries of up to 120 s each: four minutes until it says that a server is down.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# Not a matter of choice: MLflow would print the server's address with its password, and upload pyproject.toml
# and uv.lock, which may name a package index with one. What a model needs is in its requirements.
DISCREET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_UV_AUTO_DETECT": "false"}
CHATTY = ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry")


def connect(settings: Settings) -> MlflowClient:
    """Return a client of the tracking store and registry, after making sure that it answers.

    Also makes the store MLflow's current one, for `mlflow.pyfunc.load_model("models:/…")`.

    Raises:
        ServiceError: the server does not answer within seconds, or refuses.
        MissingExtraError: MLflow is not installed.
    """
    # Read while mlflow is imported, hence before; whoever sets them differently keeps their choice.
    for name, value in {**QUIET, **PATIENCE}.items():
        os.environ.setdefault(name, value)
    os.environ.update({**DISCREET, **_login(settings)})
    uri = tracking_uri(settings)
    ask_store(settings)
    mlflow = require("mlflow", extra="tracking")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with service(settings):
        return _open_sqlite(settings, uri) if uri.startswith("sqlite:") else _client(uri)


def tracking_uri(settings: Settings) -> str:
    """The store's URI as MLflow gets it: a sqlite path made absolute, a server without its login."""
    uri = settings.tracking.uri
    if _login(settings):
        parts = urlsplit(uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if not uri.startswith("sqlite:"):
        return uri
    path = uri.removeprefix("sqlite:///")
    if path in ("", ":memory:") or path == uri:
        raise SettingsError(f"tracking.uri = {uri!r}: name a file, for instance 'sqlite:///var/mlflow.db'.")
    return f"sqlite:///{settings.root / path}"


def experiment_id(settings: Settings, client: MlflowClient) -> str:
    """The id of the project's experiment, made on first use.

    Files of an embedded store or a shared database go to `tracking.artifacts`; a server keeps its own.

    Raises:
        ServiceError: the experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        try:
            return str(
                client.create_experiment(settings.experiment, artifact_location=artifact_root(settings))
            )
        except MlflowException:
            found = client.get_experiment_by_name(settings.experiment)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise ServiceError(
            f"The experiment '{settings.experiment}' was deleted. Bring it back with "
            f"`mlflow experiments restore -x {found.experiment_id}`, or set another tracking.experiment."
        )
    _refuse_moved(settings, found.artifact_location)
    return str(found.experiment_id)


def is_server(settings: Settings) -> bool:
    """Whether `tracking.uri` names a tracking server, which has pages of its own."""
    return urlsplit(settings.tracking.uri).scheme in ("http", "https")


def _login(settings: Settings) -> dict[str, str]:
    """A login in a server's address as variables: MLflow prints addresses, and sends them as Latin-1."""
    parts = urlsplit(settings.tracking.uri)
    if parts.scheme not in ("http", "https") or not parts.username or not parts.password:
        return {}
    return {
        "MLFLOW_TRACKING_USERNAME": unquote(parts.username),
        "MLFLOW_TRACKING_PASSWORD": unquote(parts.password),
    }


def artifact_root(settings: Settings) -> str | None:
    """Where the files of runs go, as a URI; None: a server decides."""
    artifacts = settings.tracking.artifacts
    if "://" in artifacts:
        return artifacts
    if urlsplit(settings.tracking.uri).scheme.partition("+")[0] in ("sqlite", *DATABASE_PORTS):
        return (settings.root / artifacts).as_uri()
    return None


def _refuse_moved(settings: Settings, location: str) -> None:
    """MLflow keeps absolute paths for good; below a folder that is gone it would start a second tree."""
    expected = artifact_root(settings) or ""
    gone = location.startswith("file:") and not Path(url2pathname(urlsplit(location).path)).exists()
    if gone and expected.startswith("file:") and location != expected:
        raise ServiceError(
            f"The files of earlier runs were in {location}, which is gone. Bring that folder back, or start "
            f"a new history under another name: set tracking.experiment in mlops.toml, then `mlops run`."
        )


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    return client


def _open_sqlite(settings: Settings, uri: str) -> MlflowClient:
    path = Path(uri.removeprefix("sqlite:///"))
    with locked(path.with_name(path.name + ".lock")):
        prepare(settings, path)
        return _client(uri)
