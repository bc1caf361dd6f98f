"""The command that exports: a real process, asked over HTTP, stopped and killed."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runtime_lib.settings import Settings
from tests.support.monitored import command, make_project, monitored
from tests.support.projects import free_port

_SECONDS = 120  # that a process may take on a loaded machine


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project")


@contextmanager
def exporting(project: Settings, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says."""
    pipe = subprocess.PIPE
    told = command("metrics", *words)
    with subprocess.Popen(told, cwd=project.root, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Metrics: http://127.0.0.1:"), process.communicate()[1]
            yield process, line.split()[-1].removeprefix("http://").removesuffix("/metrics")
        finally:
            process.kill()


def ask(address: str, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    """Status, content type, body."""
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    connection.request(method, path)
    reply = connection.getresponse()
    return reply.status, reply.getheader("Content-Type", ""), reply.read().decode()


def mlops(project: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=project.root, capture_output=True, text=True, timeout=_SECONDS, check=False
    )


def test_it_answers_prometheus_and_knows_of_a_new_report(project: Settings) -> None:
    with exporting(project, "--port", "0") as (_, address):
        status, kind, before = ask(address)
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "mlops_report_rows" not in before
        monitored(project, "new")
        time.sleep(1.1)  # a page is kept for a second
        assert 'mlops_report_rows{model="flights",version="8"} 3000' in ask(address)[2]
        assert ask(address, method="HEAD")[::2] == (200, "")
        assert ask(address, "/elsewhere")[0] == 404
        assert ask(address, "/")[2] == "The metrics are at /metrics.\n"


def test_it_listens_on_this_machine_alone_at_the_port_of_the_settings(tmp_path: Path) -> None:
    port = free_port()
    project = make_project(tmp_path, f"[monitoring]\nmetrics_port = {port}\n")
    with exporting(project) as (process, address):
        assert address == f"127.0.0.1:{port}"
        listening = [
            each.laddr for each in psutil.Process(process.pid).net_connections() if each.status == "LISTEN"
        ]
        assert listening == [("127.0.0.1", port)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_without_a_word_when_it_is_told_to(project: Settings, number: signal.Signals) -> None:
    with exporting(project, "--port", "0") as (process, _):
        process.send_signal(number)
        _, said = process.communicate(timeout=_SECONDS)
        assert (process.returncode, said) == (0, "")


def test_a_client_that_says_nothing_keeps_nobody_waiting(project: Settings) -> None:
    with exporting(project, "--port", "0") as (_, address):
        host, port = address.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(50)]
        begun = time.monotonic()
        assert ask(address)[0] == 200
        assert time.monotonic() - begun < 5
        for each in silent:
            each.close()


def test_many_who_ask_at_once_get_one_page(project: Settings) -> None:
    monitored(project, "some")
    with exporting(project, "--port", "0") as (_, address):
        pages: list[str] = []
        threads = [threading.Thread(target=lambda: pages.append(ask(address)[2])) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pages) == 20
        assert all("mlops_report_rows" in page for page in pages)


def test_a_port_that_is_taken_is_named_with_what_to_do(project: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = mlops(project, "metrics", "--port", str(port))
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port} (Address already in use)" in done.stderr
    assert "monitoring.metrics_port" in done.stderr
    assert "Traceback" not in done.stderr


def test_once_prints_the_page_and_file_writes_it(project: Settings, tmp_path: Path) -> None:
    monitored(project, "some")
    printed = mlops(project, "metrics", "--once")
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "textfile" / "flights.prom"
    written = mlops(project, "metrics", "--file", str(file))
    assert (written.returncode, written.stdout.strip()) == (0, str(file))

    def stable(text: str) -> list[str]:
        return [line for line in text.splitlines() if "free_memory" not in line and "log_bytes" not in line]

    assert stable(file.read_text()) == stable(printed.stdout)
    assert [path.name for path in file.parent.iterdir()] == ["flights.prom"]


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(project: Settings, tmp_path: Path) -> None:
    """The disk is full after one block."""
    monitored(project, "some")
    file = tmp_path / "flights.prom"
    assert mlops(project, "metrics", "--file", str(file)).returncode == 0
    before = file.read_text()
    assert len(before) > 2048
    words = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command("metrics", "--file", str(file))]
    done = subprocess.run(
        words, cwd=project.root, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert (done.returncode, "File too large" in done.stderr) == (1, True), done.stderr
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["flights.prom"]


def test_a_writer_that_is_killed_leaves_nothing_for_good(project: Settings, tmp_path: Path) -> None:
    file = tmp_path / "flights.prom"
    for wait in (0.2, 0.3, 0.4, 0.5):
        with subprocess.Popen(command("metrics", "--file", str(file)), cwd=project.root) as process:
            time.sleep(wait)
            process.kill()
    assert mlops(project, "metrics", "--file", str(file)).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["flights.prom"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--file", "a.txt"], "--file a.txt: node_exporter's textfile collector reads files that end in"),
        (["--once", "--port", "9000"], "--port 9000 is of a server, and --once starts none."),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(project: Settings, words: list[str], expected: str) -> None:
    done = mlops(project, "metrics", *words)
    assert done.returncode == 2
    assert expected in done.stderr


def test_what_is_left_out_or_damaged_is_said_on_stderr(project: Settings) -> None:
    project.monitoring_report.parent.mkdir(parents=True)
    project.monitoring_report.write_text("{")
    done = mlops(project, "metrics", "--once")
    assert done.returncode == 0
    assert "mlops: warning: report: " in done.stderr
    assert "write it again with `mlops monitor`" in done.stderr


def test_no_secret_of_the_settings_is_on_a_page(project: Settings) -> None:
    variables = {
        "MLOPS_TRACKING__URI": "postgresql://user:canary-password@db.example/mlflow",
        "MLOPS_MONITORING__WEBHOOK": "https://hooks.example/canary-path",
    }
    found = ""
    for words in (["metrics", "--once"], ["metrics", "export", "--out", "out"]):
        done = subprocess.run(
            command(*words), cwd=project.root, capture_output=True, text=True, env={**os.environ, **variables}
        )
        assert done.returncode == 0, done.stderr
        found += done.stdout + done.stderr
    found += "".join(path.read_text() for path in (project.root / "out").rglob("*") if path.is_file())
    assert "mlops_exporter_info" in found
    assert "canary" not in found
