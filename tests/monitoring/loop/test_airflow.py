"""The event that asks Airflow for a retraining, and the schedule of the DAG that waits for it.

A server that answers as Airflow 3.3 did, word for word, stands in for it; the real one is asked in
test_real_airflow.py.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from runtime_lib.errors import ServiceError, SettingsError
from runtime_lib.monitoring.loop.airflow import ask_for_retraining, asset_of
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import load
from tests.monitoring.loop.test_retrain import chat
from tests.support.projects import free_port
from tests.support.receivers import listening, receiving

AIRFLOW = {"MLOPS_MONITORING__RETRAIN__HOW": "airflow"}
PASSWORD = "pa55word-of-airflow"
ASSET = {"id": 7, "name": "demo_retraining", "uri": "demo_retraining", "group": "asset", "extra": {},
         "scheduled_dags": [{"dag_id": "demo_pipeline", "created_at": "2026-11-30T17:16:28.014812Z"}],
         "producing_tasks": [], "consuming_tasks": [], "aliases": [], "watchers": []}  # fmt: skip
# Its search takes `_` for any letter.
OTHER = {**ASSET, "id": 6, "name": "demoXretraining"}


class Airflow:
    """Answers as Airflow does: /auth/token, /api/v2/assets, …/dags/ID, …/assets/events."""

    def __init__(self) -> None:
        self.assets, self.events, self.seen = [OTHER, ASSET], [], []
        self.paused = self.stale = False
        self.instead: dict[str, tuple[int, str]] = {}
        self.headers: dict[str, str] = {}
        self.url = ""

    def answer(self, method: str, path: str, body: dict, token: str) -> tuple[int, dict]:
        route = (method, urlsplit(path).path)
        if route == ("POST", "/auth/token"):
            good = body == {"username": "admin", "password": PASSWORD}
            return (
                (201, {"access_token": "t0ken-t0ken"}) if good else (401, {"detail": "Invalid credentials"})
            )
        if token != "Bearer t0ken-t0ken":
            return 403, {"detail": "Invalid JWT token"}
        if route == ("GET", "/api/v2/assets"):
            assert parse_qs(urlsplit(path).query)["name_pattern"] == ["demo_retraining"]
            return 200, {"assets": self.assets, "total_entries": len(self.assets)}
        if route == ("GET", "/api/v2/dags/demo_pipeline"):
            return 200, {"dag_id": "demo_pipeline", "is_paused": self.paused, "is_stale": self.stale}
        if route == ("POST", "/api/v2/assets/events"):
            self.events.append(body)
            return 200, {"id": 1, **body, "extra": {**body["extra"], "from_rest_api": True}}
        return 404, {"detail": "Not Found"}


@contextmanager
def answering(airflow: Airflow) -> Iterator[Airflow]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else {}
            airflow.seen.append(self.path)
            route = urlsplit(self.path).path
            code, said = airflow.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            code, text = airflow.instead.get(route, (code, json.dumps(said)))
            self.send_response(code)
            for name, value in airflow.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as airflow.url:
        yield airflow


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    with answering(Airflow()) as running:
        yield running


@pytest.fixture
def settings(tmp_path, airflow):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    passwords = tmp_path / "var" / "airflow" / "simple_auth_manager_passwords.json.generated"
    passwords.parent.mkdir(parents=True)
    passwords.write_text(json.dumps({"admin": PASSWORD}))
    return at(tmp_path, airflow.url)


def at(root, url, **variables):
    return load(root, environ={**AIRFLOW, "MLOPS_MONITORING__RETRAIN__AIRFLOW_URL": url, **variables})


def refused(settings) -> str:
    with pytest.raises((ServiceError, SettingsError)) as error:
        ask_for_retraining(settings, {})
    said = str(error.value)
    assert PASSWORD not in said
    assert "t0ken" not in said
    return said


def test_it_logs_in_with_the_local_password_and_creates_the_event(settings, airflow):
    ask_for_retraining(settings, {"version": "2", "live": 0.7})
    assert airflow.events == [{"asset_id": 7, "extra": {"version": "2", "live": 0.7}}]


def test_the_password_of_the_environment_comes_first_and_is_a_secret(settings, airflow, monkeypatch):
    monkeypatch.setenv("MLOPS_AIRFLOW_PASSWORD", "wr0ng-password")
    assert "refuses the login (HTTP 401, /auth/token)" in refused(settings)
    assert without_secrets("it is wr0ng-password") == "it is …"
    monkeypatch.setenv("MLOPS_AIRFLOW_PASSWORD", PASSWORD)
    (settings.var / "airflow" / "simple_auth_manager_passwords.json.generated").unlink()
    ask_for_retraining(settings, {})
    assert len(airflow.events) == 1


def test_without_a_password_its_variable_is_named(settings, airflow):
    unknown = at(settings.root, airflow.url, MLOPS_MONITORING__RETRAIN__AIRFLOW_USER="nobody")
    assert "No password for the user 'nobody'" in refused(unknown)
    assert "MLOPS_AIRFLOW_PASSWORD" in refused(unknown)
    # The password of `mlops airflow` is for this machine alone.
    assert "No password for the user 'admin'" in refused(at(settings.root, "https://airflow.example.org"))
    assert airflow.seen == []


def test_a_paused_dag_is_refused_before_the_event_is_lost(settings, airflow):
    airflow.paused = True
    said = refused(settings)
    assert "The DAG demo_pipeline is paused" in said
    assert "airflow dags unpause demo_pipeline" in said
    assert airflow.events == []


@pytest.mark.parametrize("assets", [[], [OTHER], [{**ASSET, "scheduled_dags": []}], [ASSET]])
def test_an_absent_dag_is_named(settings, airflow, assets):
    airflow.assets, airflow.stale = assets, True  # stale: Airflow no longer finds its file
    assert "has no DAG that waits for the asset 'demo_retraining'" in refused(settings)
    assert airflow.events == []


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/auth/token", (404, "{}"), "answers HTTP 404 to /auth/token. Is it Airflow 3?"),
        ("/auth/token", (200, "<html>"), "answers no JSON: is it Airflow 3? Look at airflow_url."),
        ("/auth/token", (200, "[]"), "gives no token: is it Airflow 3?"),
        ("/auth/token", (200, "{}"), "gives no token: is it Airflow 3?"),
        ("/auth/token", (302, ""), "sends elsewhere (HTTP 302, /auth/token)"),
        ("/api/v2/assets", (403, "{}"), "refuses the login (HTTP 403, /api/v2/assets)"),
        ("/api/v2/assets", (200, "{}"), "answers otherwise than Airflow 3 does (KeyError('assets'))"),
        ("/api/v2/assets/events", (403, "{}"), "must be allowed to create asset events"),
        ("/api/v2/assets/events", (500, ""), "answers HTTP 500 to /api/v2/assets/events"),
    ],
)
def test_other_answers_are_told(settings, airflow, path, answer, said):
    airflow.instead[path] = answer
    with receiving(200) as elsewhere:
        airflow.headers = {"Location": f"{elsewhere.url}/auth/token"}
        assert said in refused(settings)
        assert elsewhere.requests == []  # no password, no token goes there


def test_no_airflow_is_told(settings):
    port = free_port()
    said = refused(at(settings.root, f"http://127.0.0.1:{port}/"))
    assert said.startswith(f"Airflow at http://127.0.0.1:{port} does not answer (")
    assert "Connection refused" in said


def test_no_proxy_stands_before_this_machine(settings, airflow, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        ask_for_retraining(settings, {})
    assert len(airflow.events) == 1


def test_a_drop_asks_and_tells_and_cools_down(loop, airflow, monkeypatch):
    monkeypatch.setenv("MLOPS_AIRFLOW_PASSWORD", PASSWORD)
    asking = {**AIRFLOW, "MLOPS_MONITORING__RETRAIN__AIRFLOW_URL": airflow.url}
    airflow.paused = True
    with receiving(200) as receiver:
        last, said = loop.monitor(**asking, **chat(receiver))
        assert said == ["failed"]
        assert "is paused" in last.reason
        airflow.paused = False  # what failed to be asked begins no cool-down
        last, said = loop.monitor(**asking, **chat(receiver))
        assert said == ["asked"]
        assert loop.monitor(**asking, **chat(receiver))[1] == ["cooling"]
    [event] = airflow.events
    assert (event["asset_id"], event["extra"]["version"]) == (7, "2")
    assert event["extra"]["reason"] == last.reason
    assert event["extra"]["live"] < event["extra"]["held_out"]
    told = [body["data"]["title"] for body in receiver.bodies if body["data"]["kind"] == "retraining"]
    assert told == [
        f"demo version 2: {what}" for what in ("failed", "Airflow was asked to retrain", "cools down")
    ]
    assert PASSWORD not in loop.settings().loop_trail.read_text()


LIGHT = """
import sys
import runtime_lib.pipeline.airflow
import runtime_lib.monitoring.loop.airflow
print(*sorted({"pandas", "numpy", "mlflow", "pyarrow", "scipy", "sklearn", "torch"} & set(sys.modules)))
print(*sorted(name for name in sys.modules if name.startswith("runtime_lib.monitoring.")))
"""


def test_a_dag_file_imports_nothing_heavy():
    pytest.importorskip("airflow.sdk")
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    heavy, modules = done.stdout.split("\n")[:2]
    assert heavy == ""
    assert modules.split() == ["runtime_lib.monitoring.loop", "runtime_lib.monitoring.loop.airflow"]


SCHEDULES = """
import sys
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import Asset, AssetOrTimeSchedule, CronDataIntervalTimetable, CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.trigger import CronTriggerTimetable as OfTheCore
from runtime_lib.pipeline.airflow import pipeline_dag

berlin = pendulum.datetime(2026, 1, 1, tz="Europe/Berlin")
ours = CronTriggerTimetable("@daily", timezone="UTC")
for options in (
    {},
    {"schedule": None},
    {"schedule": "@monthly"},
    {"schedule": "@daily"},
    {"schedule": "@once"},
    {"schedule": "30 5 * * 1"},
    {"schedule": "0 6 * * *", "start_date": berlin},
    {"schedule": "0 6 * * *", "default_args": {"start_date": berlin}},
    {"schedule": timedelta(days=7)},
    {"schedule": CronDataIntervalTimetable("0 6 * * *", timezone="UTC")},
    {"schedule": OfTheCore("0 6 * * *", timezone="UTC")},
    {"schedule": [Asset("a"), Asset("b")]},
    {"schedule": Asset("a") | Asset("b")},
    {"schedule": AssetOrTimeSchedule(timetable=ours, assets=[Asset("a")])},
):
    # As the scheduler reads it back from its database.
    dag = DagSerialization.from_dict(DagSerialization.to_dict(pipeline_dag(Path(sys.argv[1]), **options)))
    zone = getattr(getattr(dag.timetable, "timetable", None), "_timezone", "")
    asset = dag.timetable.asset_condition
    print(dag.timetable.summary, getattr(zone, "name", zone), evaluate(asset), sep="; ")
"""
EVALUATE = """
def evaluate(asset):
    kind = type(asset).__name__.removeprefix("SerializedAsset")
    parts = [evaluate(each) for each in getattr(asset, "objects", ())]
    return f"{kind}({', '.join(parts)})" if parts else asset.name
"""


def test_every_kind_of_schedule_stays_and_the_event_starts_the_dag_too(tmp_path):
    pytest.importorskip("airflow.sdk")
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    cmd: x\n    outs: [models]\n")
    home = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE + SCHEDULES, str(tmp_path)],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name = asset_of("demo")
    assert [line for line in done.stdout.splitlines() if "; " in line] == [
        f"Asset; ; {name}",
        f"Asset; ; {name}",
        f"Asset or 0 0 1 * *; UTC; {name}",
        f"Asset or 0 0 * * *; UTC; {name}",
        f"Asset or @once; ; {name}",
        f"Asset or 30 5 * * 1; UTC; {name}",
        f"Asset or 0 6 * * *; Europe/Berlin; {name}",
        f"Asset or 0 6 * * *; Europe/Berlin; {name}",
        f"Asset or {timedelta(days=7)}; ; {name}",
        f"Asset or 0 6 * * *; UTC; {name}",
        f"Asset or 0 6 * * *; UTC; {name}",
        f"Asset; ; Any(All(a, b), {name})",
        f"Asset; ; Any(a, b, {name})",
        f"Asset or 0 0 * * *; UTC; Any(All(a), {name})",
    ]


def test_a_dag_with_a_schedule_that_is_none_is_refused_as_before(tmp_path):
    pytest.importorskip("airflow.sdk")
    from runtime_lib.pipeline.airflow import pipeline_dag

    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    cmd: x\n    outs: [models]\n")
    with pytest.raises(ValueError, match="not a valid schedule"):
        pipeline_dag(Path(tmp_path), schedule=5)
