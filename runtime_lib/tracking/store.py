"""MLflow is reached through here only: a client for the store that the settings name, ready to use.

An embedded sqlite store is created and migrated under a lock and moved into place whole: MLflow on
its own breaks a fresh store when several processes meet there, or when one is killed half-way.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from runtime_lib.errors import ServiceError, SettingsError, require
from runtime_lib.locks import locked
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["connect", "experiment_id", "plain", "service", "tracking_uri"]

PROBE_SECONDS = 3.0
# MLflow's own patience is 7 retries of up to 120 s each: four minutes until it says that a server is down.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
CHATTY = ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry")
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


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
    uri = tracking_uri(settings)
    if not uri.startswith("sqlite:"):
        _probe(uri)
    mlflow = require("mlflow", extra="tracking")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with service(settings):
        return _open_sqlite(uri) if uri.startswith("sqlite:") else _client(uri)


def tracking_uri(settings: Settings) -> str:
    """The store's URI, a sqlite path made absolute below the project's folder."""
    uri = settings.tracking.uri
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
            return str(client.create_experiment(settings.experiment, artifact_location=_artifacts(settings)))
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


@contextmanager
def service(settings: Settings) -> Iterator[None]:
    """Turn what MLflow raises in the block into a `ServiceError` that holds no credentials."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        # Not chained: the original's text may hold the URI with its password.
        reason = plain(str(error)).strip().rstrip(".")
        raise ServiceError(f"MLflow at {plain(tracking_uri(settings))}: {reason}.") from None


def plain(text: str) -> str:
    """`text` without the user and password, and the query, of the URIs in it."""
    text = re.sub(r"(\w[\w+.-]*://)[^/\s]*@", r"\1", text)
    return re.sub(r"(\w[\w+.-]*://[^\s?]*)\?[^\s'\")]*", r"\1", text)


def _artifacts(settings: Settings) -> str | None:
    artifacts = settings.tracking.artifacts
    if "://" in artifacts:
        return artifacts
    if urlsplit(settings.tracking.uri).scheme.partition("+")[0] in ("sqlite", *DATABASE_PORTS):
        return (settings.root / artifacts).as_uri()
    return None


def _refuse_moved(settings: Settings, location: str) -> None:
    """MLflow keeps absolute paths for good; below a folder that is gone it would start a second tree."""
    expected = _artifacts(settings) or ""
    gone = location.startswith("file:") and not Path(url2pathname(urlsplit(location).path)).exists()
    if gone and expected.startswith("file:") and location != expected:
        raise ServiceError(
            f"The files of earlier runs were in {location}, which is gone; was the project moved? "
            f"Move it back, or start a new history: remove var/mlflow.db, then `mlops run`."
        )


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    client.search_experiments(max_results=1)
    client.search_registered_models(max_results=1)
    return client


def _open_sqlite(uri: str) -> MlflowClient:
    path = Path(uri.removeprefix("sqlite:///"))
    with locked(path.with_name(path.name + ".lock")):
        if not path.exists():
            _migrate(path, source=None)
        elif _is_older(path):
            _migrate(path, source=path)
        return _client(uri)


def _is_older(path: Path) -> bool:
    """Whether the store's schema is older than the installed MLflow's; a later one is refused."""
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    try:
        with closing(sqlite3.connect(path)) as database:
            [revision] = database.execute("select version_num from alembic_version").fetchone()
        migrations.get_revision(revision)
    except sqlite3.OperationalError:  # no such table: it was never migrated
        return True
    except sqlite3.DatabaseError as error:
        raise ServiceError(f"{path} is not MLflow's database ({error}): restore it, or remove it.") from error
    except CommandError as error:
        raise ServiceError(
            f"{path} was written by a later MLflow than {mlflow.__version__}, which is installed: update it."
        ) from error
    return bool(revision != migrations.get_current_head())


def _migrate(path: Path, *, source: Path | None) -> None:
    """Put a store of the newest schema at `path`; an older `source` is kept next to it as `….before`."""
    from mlflow.db import upgrade

    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    if source:
        shutil.copy2(source, path.with_name(path.name + ".before"))
        shutil.copy2(source, new)
    assert upgrade.callback is not None
    upgrade.callback(f"sqlite:///{new}")
    new.replace(path)


def _probe(uri: str) -> None:
    """Raise within seconds if no server answers; any answer will do."""
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme in ("http", "https"):
            _ask(plain(uri).rstrip("/") + "/health")
        elif scheme in DATABASE_PORTS and parts.hostname:
            port = parts.port or DATABASE_PORTS[scheme]
            socket.create_connection((parts.hostname, port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise ServiceError(
            f"No answer from MLflow at {plain(uri)} ({error}). Start it, or correct tracking.uri in "
            f"mlops.toml. Nothing is lost: what was recorded is delivered next time."
        ) from None


def _ask(url: str) -> None:
    try:
        urlopen(Request(url), timeout=PROBE_SECONDS).close()  # noqa: S310 (scheme checked by the caller)
    except HTTPError as error:
        if error.code in (502, 503, 504):  # a proxy answers for a server that is not there
            raise
