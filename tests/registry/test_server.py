"""The whole way over a real tracking server: runs, files and aliases go over HTTP."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import psutil
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.registry.runs import runs
from runtime_lib.tracking.store import connect
from runtime_lib.tracking.ui import ui
from runtime_lib.training.model import digest
from tests.support.depth import DEEP
from tests.support.projects import free_port
from tests.support.stores import ENCODED, PASSWORD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the server keeps its database, files and log."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "files")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", folder / "server.log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)


def wait_for(url, log):
    for _ in range(240):
        try:
            urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def guarded(server):
    """The address of a proxy that lets in who knows the password, which stands in the address."""
    uri, _ = server
    wanted = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/health" and self.headers.get("Authorization") != wanted:
                return self.reply(401, b"who are you?")
            request = Request(uri + self.path, body or None, method=self.command)
            for name in ("Content-Type", "Accept"):
                if self.headers.get(name):
                    request.add_header(name, self.headers[name])
            try:
                with urlopen(request) as got:
                    self.reply(got.status, got.read())
            except HTTPError as error:
                self.reply(error.code, error.read())

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://me:{ENCODED}@127.0.0.1:{proxy.server_port}"
        proxy.shutdown()


STAGES = """
from runtime_lib.pipeline.stages import Stages
from runtime_lib.registry.register import register as deliver
stages = Stages()
@stages
def register(project):
    deliver(project.settings)
stages.main()
"""
# What its owner wrote, with an address of their own each; nobody else may repeat them.
PLANTED = {
    "pyproject.toml": f'[[tool.uv.index]]\nurl = "https://me:{ENCODED}@index.example.org/simple"\n',
    "uv.lock": f'[[package]]\nsource = {{ registry = "https://me:{ENCODED}@index.example.org/simple" }}\n',
    ".dvc/config": f"['remote \"away\"']\n    url = https://me:{ENCODED}@dvc.example.org/x\n",
    ".copier-answers.yml": f"_src_path: https://me:{ENCODED}@127.0.0.1:9/t.git\n_commit: v0.5.0\n",
}


class Talk:
    """A project's commands, and all that they have printed."""

    def __init__(self, root: Path, **variables: str) -> None:
        self.root, self.env, self.said = root, {**os.environ, **variables}, ""

    def do(self, *command: str, code: int | None = 0, **variables: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env={**self.env, **variables}, capture_output=True, text=True
        )
        self.said += f"$ {command}\n{done.stdout}{done.stderr}"
        assert code is None or done.returncode == code, self.said
        return done.stderr

    def served(self, *options: str) -> None:
        """Serve until it answers; a process's arguments are there for everybody to read."""
        port = free_port()
        command = [*MLOPS, "serve", "--port", str(port), *options]
        log = self.root / "var" / "serve.log"
        with log.open("wb") as out:
            server = subprocess.Popen(
                command, cwd=self.root, env=self.env, stdout=out, stderr=out, start_new_session=True
            )
        try:
            wait_for(f"http://127.0.0.1:{port}/ready", log)
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    self.said += " ".join(process.cmdline())
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(60)


MLOPS = (str(Path(sys.executable).parent / "mlops"),)


def leaks(*folders: Path) -> list[str]:
    """Files that hold the password in any spelling: none of them changes its letters."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if b"SECRET" in path.read_bytes()]


def test_no_password_is_printed_stored_or_uploaded(project, guarded, folder):
    for name, text in PLANTED.items():
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text(text)
    (project.root / "stages.py").write_text(STAGES)
    (project.root / "params.yaml").write_text("train: {}\n")
    talk = Talk(
        project.root,
        MLOPS_TRACKING__URI=guarded,
        MLOPS_MONITORING__WEBHOOK="http://127.0.0.1:9/services/pw-SECRET-of-the-chat",
        AWS_SECRET_ACCESS_KEY=PASSWORD,
    )
    talk.do(sys.executable, "stages.py", "register")
    talk.do(*MLOPS, "promote", "--json")
    talk.do(*MLOPS, "doctor", "--json", code=4)
    host = guarded.rpartition("@")[2]
    for user, words in {"me:wrong-SECRET": "401", "me:a/SECRET": "%2F", "me:a@SECRET": "%40"}.items():
        said = talk.do(*MLOPS, "promote", code=None, MLOPS_TRACKING__URI=f"http://{user}@{host}")
        assert words in said
        assert "Traceback" not in said
    dead = f"postgresql+psycopg://me:{ENCODED}@127.0.0.1:9/mlflow"
    if DEEP:
        talk.do(*MLOPS, "doctor", code=4)
        talk.do(*MLOPS, "upgrade", "--plan", code=None)
        talk.do(*MLOPS, "hardware", "--record", "recorded", code=None)
        talk.served("--engine", "local")
        talk.served("--engine", "ray")
        talk.do(*MLOPS, "monitor", "--json", "--exit-zero", code=None)
        for uri in (dead, guarded.replace(host, "127.0.0.1:9")):
            for words in (
                ("promote",),
                ("doctor", "--json"),
                ("serve",),
                ("monitor",),
                ("upgrade", "--plan"),
            ):
                talk.do(*MLOPS, *words, code=None, MLOPS_TRACKING__URI=uri)
            talk.do(sys.executable, "stages.py", "register", code=1, MLOPS_TRACKING__URI=uri)
        newest = max(Path("/tmp/ray").glob("session_2*"), key=lambda path: path.stat().st_mtime)
        assert leaks(newest) == []
    assert "SECRET" not in talk.said
    assert "pyproject.toml" not in {path.name for path in folder.rglob("*")}
    for name in PLANTED:
        (project.root / name).unlink()
    assert leaks(project.root, folder) == []


def test_register_promote_and_fetch_over_a_server(project, server):
    uri, process = server
    remote = msgspec.structs.replace(project, tracking=msgspec.structs.replace(project.tracking, uri=uri))
    registered = register(remote)
    assert register(remote) == registered
    assert promote(remote).promoted
    held = champion(remote)
    assert digest(held.folder) == registered["digest"]
    assert connect(remote).get_run(held.run_id).info.status == "FINISHED"
    assert not (project.var / "artifacts").exists(), "files went to the server"
    page = urlopen(f"{uri}/get-artifact?path=evaluation/evaluation.html&run_uuid={held.run_id}").read()
    assert b"Version 1 passed the gate" in page
    said = []
    ui(remote, on_ready=said.append)
    [experiment] = connect(remote).search_experiments(filter_string="name = 'demo'")
    assert said == [f"{uri}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"]
    assert [(row.verdict, row.version) for row in runs(remote)] == [("champion", "1")]
    stop(process)
    begin = time.monotonic()
    with pytest.raises(ServiceError, match="No answer from MLflow"):
        champion(remote)
    assert time.monotonic() - begin < 5
