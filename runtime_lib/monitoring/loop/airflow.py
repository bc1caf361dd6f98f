"""Ask Airflow for a retraining: an event of the asset that the pipeline's DAG waits for."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any

from runtime_lib.errors import ServiceError, SettingsError
from runtime_lib.secrets import hide_values
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
        ServiceError: Airflow does not answer, refuses the login, or has no DAG that would start.
        SettingsError: no user or password is set.
    """
    api = _login(settings)
    name = asset_of(settings.project.package)
    query = urllib.parse.urlencode({"name_pattern": name, "limit": 100})
    try:
        found = [asset for asset in api.call(f"/api/v2/assets?{query}")["assets"] if asset["name"] == name]
        waiting = [dag["dag_id"] for asset in found for dag in asset["scheduled_dags"]]
        _refuse_asleep(api, name, waiting)
        api.call("/api/v2/assets/events", {"asset_id": found[0]["id"], "extra": dict(extra)})
    except (KeyError, TypeError, IndexError) as error:
        raise ServiceError(f"{api.where} answers otherwise than Airflow 3 does ({error!r}).") from error


def _refuse_asleep(api: _Api, name: str, waiting: Sequence[str]) -> None:
    """Airflow drops an event for which no DAG waits, or a paused one, and says nothing."""
    dags = [api.call(f"/api/v2/dags/{urllib.parse.quote(dag, safe='')}") for dag in waiting]
    there = [dag for dag in dags if not dag["is_stale"]]  # else its file is gone
    if not there:
        raise ServiceError(
            f"{api.where} has no DAG that waits for the asset '{name}'. Put the project's DAG file into its "
            f"folder of DAGs; `pipeline_dag` of this version of the library makes the asset."
        )
    if all(dag["is_paused"] for dag in there):
        names = [dag["dag_id"] for dag in there]
        raise ServiceError(
            f"The DAG {', '.join(names)} is paused, and would not start. Unpause it in the pages of "
            f"{api.where}, or with `airflow dags unpause {names[0]}`."
        )


def _login(settings: Settings) -> _Api:
    api = _Api(settings.monitoring.retrain.airflow_url.rstrip("/"))
    user, password = _user(settings)
    hide_values(password)
    try:
        api.token = api.call("/auth/token", {"username": user, "password": password})["access_token"]
    except (KeyError, TypeError) as error:
        raise ServiceError(f"{api.where} gives no token: is it Airflow 3? Look at airflow_url.") from error
    hide_values(api.token)
    return api


def _user(settings: Settings) -> tuple[str, str]:
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


class _Api:
    """Airflow's REST API at an address."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token
        # No proxy stands before this machine, whatever the variables say.
        proxy = urllib.request.ProxyHandler({} if _is_here(url) else None)
        self._open = urllib.request.build_opener(proxy, _NoRedirect).open

    @property
    def where(self) -> str:
        return f"Airflow at {self.url}"

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to a GET, or with a body to a POST."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 (the settings take http(s) only)
        try:
            with self._open(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            refused = self._refused(error.code, path.partition("?")[0])
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)
            refused = ServiceError(
                f"{self.where} does not answer ({cause}). Start it, or look at airflow_url."
            )
        except ValueError:
            refused = ServiceError(f"{self.where} answers no JSON: is it Airflow 3? Look at airflow_url.")
        # Out of the handlers: their errors hold what was sent.
        raise refused

    def _refused(self, code: int, path: str) -> ServiceError:
        if code in (401, 403):
            return ServiceError(
                f"{self.where} refuses the login (HTTP {code}, {path}). Look at airflow_user, which must be "
                f"allowed to create asset events, and at {_PASSWORD}."
            )
        if 300 <= code < 400:
            return ServiceError(
                f"{self.where} sends elsewhere (HTTP {code}, {path}). Set airflow_url to its own address: a "
                f"password does not follow."
            )
        return ServiceError(f"{self.where} answers HTTP {code} to {path}. Is it Airflow 3? Its log says why.")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
