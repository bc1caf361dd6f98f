"""MLflow's webhook at the server: what is signed with its secret counts, and nothing else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import free_port
from tests.support.quiet import quiet_mlflow
from tests.support.servers import Server, eventually, make_project, running

SECRET = "between us ü"
EVENT = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-11-30T12:00:00+00:00",
    "data": {"name": "flights", "alias": "champion", "version": "8"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Server]:
    settings = make_project(tmp_path_factory.mktemp("project"), engine="local", framework="auto", workers=1)
    with running(settings, model_folder, free_port(), MLOPS_WEBHOOK_SECRET=SECRET) as server:
        yield server


def _signature(*parts: str) -> str:
    """As MLflow itself signs."""
    quiet_mlflow()
    from mlflow.webhooks.delivery import _generate_hmac_signature

    found: str = _generate_hmac_signature(*parts)
    return found


def send(
    server: Server,
    event: Any = EVENT,
    *,
    secret: str = SECRET,
    name: str = "first",
    ago: float = 0,
    **headers: str,
) -> tuple[int, Any]:
    """What is answered to an event that is signed as MLflow signs it."""
    body = event if isinstance(event, str) else json.dumps(event)
    at = str(int(time.time() - ago))
    sent = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": name,
        "X-MLflow-Timestamp": at,
        "X-MLflow-Signature": _signature(secret, name, at, body),
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    request = urllib.request.Request(server.url + "/webhooks/mlflow", body.encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def test_what_is_not_signed_or_not_now_is_refused(server: Server) -> None:
    for status, answer in (
        send(server, secret="guessed"),
        send(server, X_MLflow_Signature=""),
        send(server, X_MLflow_Signature="v1,ü"),
        send(server, X_MLflow_Delivery_Id="another"),
        send(server, X_MLflow_Timestamp=str(int(time.time()) - 1)),
    ):
        assert (status, "MLOPS_WEBHOOK_SECRET" in answer, SECRET in answer) == (401, True, False)
    for ago in (302, -302):
        status, answer = send(server, ago=ago)
        assert (status, "300 s from this server's clock" in answer) == (401, True)
    for wrong in ("{", "[]", '{"entity": "model_version_alias"}', json.dumps({**EVENT, "data": "flights"})):
        assert send(server, wrong) == (400, "The body is no event of MLflow's webhooks.")
    assert send(server, Content_Type="text/plain")[0] == 415
    assert send(server, json.dumps("x" * (41 << 20)))[0] == 413
    assert server.ask("/webhooks/mlflow")[0] == 405
    assert server.ask("/status")[1]["problems"] == []  # it has not looked at its registry, which is not there


def test_an_event_of_another_model_or_alias_is_taken_and_does_nothing(server: Server) -> None:
    for place, data in enumerate(({"name": "ships"}, {"alias": "challenger"})):
        event = {**EVENT, "data": {**EVENT["data"], **data}}
        assert send(server, event, name=f"other-{place}") == (200, {"follows": False})
    assert send(server, {**EVENT, "entity": "registered_model"}, name="entity") == (200, {"follows": False})


@pytest.mark.parametrize("action", ["created", "deleted"])
def test_an_event_of_the_champion_has_the_server_look_once(server: Server, action: str) -> None:
    event = {**EVENT, "action": action}
    assert send(server, event, name=action) == (200, {"follows": True})
    assert eventually(lambda: "The registry: " in str(server.ask("/status")[1]["problems"]), 10)
    assert send(server, event, name=action) == (200, {"follows": False})
    assert "webhooks/mlflow" in server.ask("/metrics")[1]


def test_without_a_secret_the_message_says_how_to_have_one(tmp_path: Path, model_folder: Path) -> None:
    settings = make_project(tmp_path, engine="local", framework="auto", workers=1)
    with running(settings, model_folder, free_port()) as server:
        status, answer = send(server, secret="")
    assert (status, "start it with the secret" in answer, "MLOPS_WEBHOOK_SECRET" in answer) == (
        501,
        True,
        True,
    )
