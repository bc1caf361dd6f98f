"""`mlops airflow`: real Airflow, which nobody else's machine reaches and of which nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from runtime_lib.pipeline.airflow_guard import _lives
from tests.support.depth import DEEP
from tests.support.projects import airflow_home, free_port, with_library

MLOPS = str(Path(sys.executable).with_name("mlops"))
STAY = "45 s of CPU for real Airflow: nox -s deep"


@pytest.fixture(scope="module")
def project(render) -> Path:
    return render(project_name="late-flights")


class Running:
    def __init__(self, project: Path) -> None:
        self.command = [MLOPS, "airflow", "--json", "--port", str(free_port())]
        env = {**os.environ, "PYTHONPATH": with_library(project / "src")}
        self.process = subprocess.Popen(
            self.command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        assert lines, self.process.stderr.read() if self.process.stderr else ""
        self.said = json.loads("".join(lines))

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=120)

    def tree(self) -> list[psutil.Process]:
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def ask(self, path: str, token: str = "", **body: str) -> dict:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.said["url"] + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


@pytest.fixture(scope="module")
def running(project, tmp_path_factory) -> Iterator[Running]:
    (project / "var").mkdir()
    shutil.copytree(airflow_home(tmp_path_factory), project / "var" / "airflow")
    with Running(project) as started:
        yield started


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason=STAY)
def test_it_is_healthy_and_listens_on_this_machine_alone(running):
    health = running.ask("/api/v2/monitor/health")
    assert {part["status"] for part in health.values()} == {"healthy"}
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in running.tree()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ("127.0.0.1", int(running.command[-1])) in listening
    assert {ip for ip, _ in listening} == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason=STAY)
def test_its_password_logs_in_and_the_dags_are_there(running):
    answer = running.ask("/auth/token", username=running.said["user"], password=running.said["password"])
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = {dag["dag_id"] for dag in running.ask("/api/v2/dags", answer["access_token"])["dags"]}
        if found:
            break
        time.sleep(1)
    assert found == {"late_flights_pipeline", "late_flights_monitoring"}


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason=STAY)
def test_ctrl_c_ends_all_of_it(running):
    tree = running.tree()
    assert len(tree) > 4
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=60) == 0
    assert [process for process in tree if _lives(process)] == []


def test_a_port_in_use_is_said_before_anything_starts(render):
    project = render()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = airflow(project, "--port", str(port))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"mlops airflow --port {port + 1}" in done.stderr
    assert not (project / "var" / "airflow").exists()


def test_without_airflow_it_names_the_group(project, monkeypatch):
    from runtime_lib.errors import ServiceError
    from runtime_lib.pipeline import airflow_here
    from runtime_lib.settings import load

    monkeypatch.setattr(airflow_here, "find_spec", lambda name: find_spec("no_such_package"))
    with pytest.raises(ServiceError, match="uv sync --group airflow"):
        airflow_here.run(load(project), port=8080, on_ready=lambda _: None)


def test_a_part_that_ends_is_named_and_the_others_end_with_all_that_they_started(project):
    """Small processes in the place of Airflow's: the scheduler fails at once."""
    from runtime_lib.errors import ServiceError
    from runtime_lib.pipeline import airflow_here

    fails = "if sys.argv[1] == 'scheduler':\n    sys.exit('no database')\n"
    sleeps = "subprocess.run(['sleep', '60'], start_new_session=True)"  # as a task does
    home = _parts(project / "var" / "parts", fails + sleeps)
    with airflow_here._running(home, 1, {**os.environ, "PYTHONPATH": str(home)}) as parts:
        top = psutil.Process(parts["triggerer"].pid)
        until = time.monotonic() + 20
        while not (children := top.children()) and time.monotonic() < until:
            time.sleep(0.05)
        parts["scheduler"].wait(timeout=20)
        with pytest.raises(ServiceError, match=r"scheduler has ended.*no database"):
            airflow_here._refuse_ended(parts, home)
    assert len(children) == 1
    assert [process for process in (top, *children) if _lives(process)] == []


def test_a_kill_leaves_nothing_either(project):
    """kill -9 of the process that holds the parts."""
    home = _parts(project / "var" / "killed", "subprocess.run(['sleep', '60'], start_new_session=True)")
    program = (
        "import os, time\nfrom pathlib import Path\nfrom runtime_lib.pipeline import airflow_here\n"
        f"with airflow_here._running(Path({str(home)!r}), 1, os.environ) as parts:\n    time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(home)}
    holder = subprocess.Popen([sys.executable, "-c", program], env=env)
    top = psutil.Process(holder.pid)
    until = time.monotonic() + 20
    while len(tree := top.children(recursive=True)) < 9 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(tree) == 9  # the guard, four parts, and what each has started
    holder.kill()
    holder.wait()
    until = time.monotonic() + 30
    while (left := [process for process in tree if _lives(process)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []


def test_the_password_stays_and_nobody_else_reads_it(tmp_path):
    from runtime_lib.pipeline.airflow_here import _password

    first = _password(tmp_path)
    assert _password(tmp_path) == first
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert len(first) >= 16


def _parts(home: Path, body: str) -> Path:
    """A package in the place of Airflow, whose parts do this."""
    (home / "logs").mkdir(parents=True)
    (home / "airflow").mkdir()
    (home / "airflow" / "__init__.py").touch()
    (home / "airflow" / "__main__.py").write_text(f"import subprocess, sys\n{body}\n")
    return home


def airflow(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MLOPS, "airflow", *words], cwd=project, capture_output=True, text=True, check=False
    )
