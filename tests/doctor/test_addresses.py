"""Each address that is set is asked, and a server that is down is reported under its own name."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runtime_lib.doctor.addresses import addresses
from runtime_lib.doctor.examine import examine
from runtime_lib.settings import load
from tests.support.projects import free_port

TOML = """
[project]
name = "demo"
package = "demo"
[tracking]
uri = "postgresql+psycopg://me:secret@127.0.0.1:{port}/mlflow"
artifacts = "s3://bucket/models"
[monitoring]
webhook = "http://127.0.0.1:{port}/hook/secret"
[monitoring.alerts.am]
kind = "alertmanager"
url = "http://127.0.0.1:{port}/secret"
[monitoring.alerts.mail]
kind = "email"
host = "127.0.0.1"
port = {port}
sender = "ml@example.org"
to = ["ops@example.org"]
"""
DVC = """
[core]
    remote = shared
['remote "shared"']
    url = s3://bucket/data
    endpointurl = http://127.0.0.1:{port}
['remote "backup"']
    url = ssh://me:secret@127.0.0.1:{port}/data
['remote "here"']
    url = ../storage
['remote "cloud"']
    url = azure://container/data
"""
ASKED = [
    "tracking",
    "artifacts",
    "data remote shared",
    "data remote backup",
    "webhook",
    "alerts am",
    "alerts mail",
]


def project(root: Path, port: int) -> Path:
    (root / ".dvc").mkdir()
    (root / "mlops.toml").write_text(TOML.format(port=port))
    (root / ".dvc" / "config").write_text(DVC.format(port=port))
    return root


@pytest.fixture
def answering() -> Iterator[int]:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("up", [True, False])
def test_every_address_is_asked(tmp_path, monkeypatch, answering, up):
    port = answering if up else free_port()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    found = {f.what: f for f in addresses(load(project(tmp_path, port), environ={}))}
    assert [what for what in found if found[what].level != "note"] == ASKED
    assert {found[what].level for what in ASKED} == {"ok" if up else "fix"}
    said = "answers" if up else "Connection refused"
    assert all(f"127.0.0.1:{port}" in found[what].found and said in found[what].found for what in ASKED)
    assert found["data remote cloud"].found == "not checked: an address of the kind azure"
    assert "secret" not in str(found)


def test_a_channel_without_its_secret_is_told_with_the_variable(tmp_path, answering):
    text = '[project]\nname = "demo"\npackage = "demo"\n[monitoring.alerts.on-call]\nkind = "slack"\n'
    (tmp_path / "mlops.toml").write_text(text)
    variable = "MLOPS_MONITORING__ALERTS__ON_CALL__URL"
    found = {f.what: f for f in addresses(load(tmp_path, environ={}))}["alerts on-call"]
    assert (found.level, found.fix) == ("fix", f"set the variable {variable}")
    url = f"http://127.0.0.1:{answering}/services/secret"
    found = {f.what: f for f in addresses(load(tmp_path, environ={variable: url}))}["alerts on-call"]
    assert (found.level, found.found) == ("ok", f"127.0.0.1:{answering} answers")


def test_an_outage_is_the_servers_and_not_the_champions(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{(port := free_port())}")
    found = {f.what: f for f in examine(project(tmp_path, port))}
    assert found["tracking"].level == "fix"
    assert found["champion"].level == "note"
    assert "does not answer" in found["champion"].found


def test_a_proxy_that_answers_for_a_server_is_no_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        [found] = addresses(load(tmp_path, environ={"MLOPS_TRACKING__URI": url}))
    assert (found.what, found.level) == ("tracking", "fix")
    assert "HTTP 502" in found.found


@pytest.mark.parametrize("pushed", [True, False])
def test_a_remote_in_the_project_is_told_with_the_command_that_moves_it(tmp_path, pushed):
    root = tmp_path / "shop"
    (root / ".dvc").mkdir(parents=True)
    (root / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (root / ".dvc" / "config").write_text(
        """[core]\n    remote = storage\n['remote "storage"']\n    url = ../storage\n"""
    )
    if pushed:
        (root / "storage").mkdir()
        (root / "storage" / "object").write_text("data")
    found = {f.what: f for f in addresses(load(root, environ={}))}["data remote storage"]
    assert found.level == "note"
    assert "no other clone finds it" in found.found
    command = found.fix.replace("uv run dvc", f"{sys.executable} -m dvc")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(command, shell=True, cwd=root, check=True)
    assert "data remote storage" not in {f.what for f in addresses(load(root, environ={}))}
    assert "url = ../../shop-storage" in (root / ".dvc" / "config").read_text()
    assert (tmp_path / "shop-storage" / "object").exists() == pushed
