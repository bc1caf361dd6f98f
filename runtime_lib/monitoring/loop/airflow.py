"""Ask Airflow for a retraining: an event of the asset that the pipeline's DAG waits for."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from runtime_lib.errors import ServiceError, SettingsError
from runtime_lib.settings import Settings

__all__ = ["ask_for_retraining", "asset_of"]

_SECONDS = 20.0
# A secret, so it is no setting: from the environment alone.
_PASSWORD = "MLOPS_AIRFLOW_PASSWORD"  # noqa: S105 (its name)
# Where `mlops airflow` keeps the password of its only user.
_LOCAL = ("airflow", "simple_auth_manager_passwords.json.generated")


def asset_of(package: str) -> str:
    """The name of the asset whose event starts the project's pipeline."""
    return f"{package}_retraining"


def ask_for_retraining(settings: Settings, extra: Mapping[str, Any]) -> None:
    """Create the event.

    Args:
        extra: JSON-able, shown next to the event in Airflow.

    Raises:
        ServiceError: Airflow does not answer, refuses the login, or does not know the asset.
        SettingsError: no user or password is set.
    """
    url = settings.monitoring.retrain.airflow_url.rstrip("/")
    name = asset_of(settings.project.package)
    user, password = _login(settings)
    token = _call(url, "/auth/token", {"username": user, "password": password})["access_token"]
    query = urllib.parse.urlencode({"name_pattern": name, "limit": 100})
    found = _call(url, f"/api/v2/assets?{query}", token=token)["assets"]
    ids = [asset["id"] for asset in found if asset["name"] == name]
    if not ids:
        raise ServiceError(
            f"Airflow at {url} knows no asset '{name}'. Is the project's DAG there, and not paused? It is "
            f"made by `pipeline_dag` of this version of the library."
        )
    _call(url, "/api/v2/assets/events", {"asset_id": ids[0], "extra": dict(extra)}, token=token)


def _login(settings: Settings) -> tuple[str, str]:
    rules = settings.monitoring.retrain
    if password := os.environ.get(_PASSWORD):
        return rules.airflow_user, password
    path = settings.var.joinpath(*_LOCAL)
    try:
        known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if rules.airflow_user in known and _is_here(rules.airflow_url):
        return rules.airflow_user, known[rules.airflow_user]
    raise SettingsError(
        f"No password for the user '{rules.airflow_user}' of Airflow at {rules.airflow_url}. Set it in the "
        f"environment: {_PASSWORD}. That of `mlops airflow` is known on its own machine."
    )


def _is_here(url: str) -> bool:
    return urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _call(url: str, path: str, body: Mapping[str, Any] | None = None, token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers)  # noqa: S310 (the settings take http(s) only)
    what = path.partition("?")[0]
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise ServiceError(
                f"Airflow at {url} refuses the login (HTTP {error.code}, {what}): look at "
                f"monitoring.retrain.airflow_user, and at {_PASSWORD}."
            ) from None
        raise ServiceError(f"Airflow at {url} answers HTTP {error.code} to {what}.") from None
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        raise ServiceError(f"Airflow at {url} does not answer ({cause}): look at airflow_url.") from None
