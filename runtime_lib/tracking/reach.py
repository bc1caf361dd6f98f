"""Whether tracking store and artifact store can be reached: asked in seconds, answered in one line."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from runtime_lib.errors import MissingExtraError, ServiceError, require
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings

__all__ = ["DATABASE_PORTS", "PROBE_SECONDS", "S3_ENDPOINTS", "ask_artifacts", "ask_store", "service"]

PROBE_SECONDS = 3.0
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# Where MLflow (the first) and boto3 look for the address of an S3 server that is not Amazon's, in this order.
S3_ENDPOINTS = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
# The package behind an address's scheme, and the extra that brings it.
_DRIVERS = {
    "postgresql": ("psycopg", "postgres"),
    "s3": ("boto3", "s3"),
    "gs": ("google.cloud.storage", "gs"),
    "wasbs": ("azure.storage.blob", "azure"),
}
_EXTRAS = {module.partition(".")[0]: extra for module, extra in _DRIVERS.values()}
# What raises when a store is asked; an error of another package is a mistake of ours.
_OUTSIDE = ("azure", "boto3", "botocore", "google", "mlflow", "psycopg", "requests", "sqlalchemy", "urllib3")


@contextmanager
def service(settings: Settings) -> Iterator[None]:
    """Turn what MLflow and its drivers raise in the block into a `ServiceError` that holds no credentials.

    Raises:
        MissingExtraError: the driver of an address is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        top = (error.name or "").partition(".")[0]
        if top not in _EXTRAS:
            raise
        raise MissingExtraError(top, _EXTRAS[top]) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _OUTSIDE:
            raise
        # Not chained: the original's text may hold the URI with its password.
        reason = without_secrets(str(error)).strip().rstrip(".")
        raise ServiceError(f"MLflow at {without_secrets(settings.tracking.uri)}: {reason}.") from None


def ask_store(settings: Settings) -> None:
    """Ask the tracking store whether it is there; a database also for a login. A sqlite file always is.

    Raises:
        ServiceError: no answer within seconds, or the database refuses.
        MissingExtraError: its driver is not installed.
    """
    parts = urlsplit(settings.tracking.uri)
    scheme, _, driver = parts.scheme.partition("+")
    try:
        if scheme in ("http", "https"):
            bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
            _ask(urlunsplit(bare).rstrip("/") + "/health")
        elif scheme in DATABASE_PORTS:
            if scheme in _DRIVERS and driver in ("", _DRIVERS[scheme][0]):
                require(_DRIVERS[scheme][0], extra=_DRIVERS[scheme][1])
            if parts.hostname:
                _connect(parts.hostname, parts.port or DATABASE_PORTS[scheme])
            if scheme == "postgresql":
                _log_in(settings)
    except OSError as error:
        raise ServiceError(
            f"No answer from MLflow at {without_secrets(settings.tracking.uri)} ({error}). Start it, or "
            f"correct tracking.uri in mlops.toml. Nothing is lost: what was recorded is delivered next time."
        ) from None


def ask_artifacts(settings: Settings) -> None:
    """List what is at `tracking.artifacts`, if that is an object store that this project reads itself.

    Raises:
        ServiceError: no answer within seconds, no such bucket, or no permission.
        MissingExtraError: its driver is not installed.
    """
    artifacts = settings.tracking.artifacts
    scheme = urlsplit(artifacts).scheme
    if "://" not in artifacts or settings.tracking.uri.startswith("http"):  # a server decides for itself
        return
    if scheme in _DRIVERS:
        require(_DRIVERS[scheme][0], extra=_DRIVERS[scheme][1])
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        if endpoint := _endpoint(scheme):
            _connect(endpoint.hostname or "", endpoint.port or (443 if endpoint.scheme == "https" else 80))
        with service(settings):
            get_artifact_repository(artifacts).list_artifacts()
    except (OSError, ServiceError) as error:
        reason = str(error).partition(": ")[2] if isinstance(error, ServiceError) else f"{error}."
        raise ServiceError(
            f"No files at tracking.artifacts = {without_secrets(artifacts)}: {reason} Start the store, make "
            f"the bucket, or correct address and credentials."
        ) from None


def _endpoint(scheme: str) -> SplitResult | None:
    """The address of an S3 server that is not Amazon's, from the variables that MLflow and boto3 read."""
    names = S3_ENDPOINTS if scheme == "s3" else ()
    return next((urlsplit(os.environ[name]) for name in names if os.environ.get(name)), None)


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=PROBE_SECONDS).close()


def _log_in(settings: Settings) -> None:
    """MLflow would try a wrong password for minutes."""
    from sqlalchemy import NullPool, create_engine

    with service(settings):
        engine = create_engine(
            settings.tracking.uri, poolclass=NullPool, connect_args={"connect_timeout": int(PROBE_SECONDS)}
        )
        engine.connect().close()


def _ask(url: str) -> None:
    try:
        urlopen(Request(url), timeout=PROBE_SECONDS).close()  # noqa: S310 (scheme checked by the caller)
    except HTTPError as error:
        if error.code in (502, 503, 504):  # a proxy answers for a server that is not there
            raise
