"""The whole way over a real tracking server: runs, files and aliases go over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import msgspec
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.registry.runs import runs
from runtime_lib.tracking.store import connect
from runtime_lib.tracking.ui import ui
from runtime_lib.training.model import digest

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "files")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", tmp_path / "server.log")
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
