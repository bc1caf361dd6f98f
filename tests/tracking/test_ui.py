"""`mlops ui`: MLflow's own pages on this project, from one process that leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runtime_lib.tracking.record import Record, record_folder
from runtime_lib.tracking.ship import ship
from runtime_lib.tracking.store import connect
from tests.support.projects import free_port

MLOPS = str(Path(sys.executable).with_name("mlops"))


@contextmanager
def opened(root, *words, **variables):
    """The command with what it says first; it may still run."""
    process = subprocess.Popen(
        [MLOPS, "ui", "--no-open", *words],
        cwd=root,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(url, **fields):
    body = json.dumps(fields).encode() if fields else None
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), answer.headers


def test_the_pages_show_this_projects_runs_and_files(project):
    with Record.start(project, {"lr": 0.1}) as record:
        record.metric("validation_roc_auc", 0.75)
    run_id = ship(project, record_folder(project))
    client = connect(project)
    (project.root / "roc.svg").write_text("<svg/>")
    client.log_artifact(run_id, str(project.root / "roc.svg"), "evaluation")
    with pytest.raises(ZeroDivisionError), Record.start(project, {}):
        print(1 / 0)
    inside = project.root / "notebooks"
    inside.mkdir()
    with opened(inside, "--json") as process:
        lines = [process.stdout.readline() for _ in range(3)]
        url = json.loads("".join(lines))["url"]
        [experiment] = client.search_experiments(filter_string="name = 'demo'")
        address, _, page = url.partition("/#/")
        assert page == f"experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        assert "<title>MLflow</title>" in ask(f"{address}/")[0]
        found, _ = ask(
            f"{address}/ajax-api/2.0/mlflow/runs/search", experiment_ids=[experiment.experiment_id]
        )
        runs = json.loads(found)["runs"]
        assert sorted(run["info"]["status"] for run in runs) == ["FAILED", "FINISHED"], (
            "the spool is delivered"
        )
        image, headers = ask(f"{address}/get-artifact?path=evaluation/roc.svg&run_uuid={run_id}")
        assert (image, headers["Content-Type"]) == ("<svg/>", "image/svg+xml")
        assert psutil.Process(process.pid).children(recursive=True) == [], "it is one process"
        port = int(address.rpartition(":")[2])
        listening = {
            c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not (inside / "mlflow.db").exists()
    assert list(inside.iterdir()) == []


def test_it_ends_with_its_terminal_and_keeps_the_port_that_was_asked_for(project):
    port = free_port()
    with opened(project.root, "--port", str(port)) as process:
        assert process.stdout.readline().startswith(f"http://127.0.0.1:{port}/#/experiments/")
        with opened(project.root, "--port", str(port)) as second:
            assert second.wait(timeout=120) == 1
            assert f"Cannot listen on 127.0.0.1:{port} (Address already in use)" in second.stderr.read()
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(timeout=30) == -signal.SIGHUP
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
