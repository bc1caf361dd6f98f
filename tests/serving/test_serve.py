"""`serve` from settings to running server: port, champion, engines, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.log import read_predictions
from runtime_lib.serving.serve import serve
from tests.support.projects import free_port
from tests.support.registry import move_alias, register
from tests.support.servers import (
    ROWS,
    Server,
    expected,
    make_model,
    make_project,
    ray_processes,
    ray_processes_left,
)

_SERVE = """
import sys
from pathlib import Path
from runtime_lib.errors import MlopsError
from runtime_lib.serving.serve import serve
from runtime_lib.settings import load
try:
    serve(load(Path(sys.argv[1]), environ={}))
    print("ended")
except MlopsError as error:
    print("error:", error)
print("imported:", *(name for name in ("mlflow", "ray", "torch", "pandas", "numpy") if name in sys.modules))
"""


def start(root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _SERVE, str(root)]
    # A session of its own, so that Ctrl-C can be sent to its whole group.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def make_champion(root: Path, engine: str, port: int) -> Path:
    """Put a model into a real registry under the alias, without the training that leads there."""
    settings = make_project(root, engine=engine, port=port)
    register(settings, make_model)
    move_alias(settings, "1")
    return next((root / "scratch").glob("*/model"))


def test_a_port_in_use_is_found_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        make_project(tmp_path, port=port)
        output, errors = start(tmp_path).communicate(timeout=300)
    error, imported = output.splitlines()
    assert f"Cannot listen on 127.0.0.1:{port}" in error, errors
    assert "serving.port" in error
    assert imported == "imported:"


def test_a_project_without_a_champion_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        ServiceError,
        match=r"'flights' has no champion in the registry at .*: it holds no version. `mlops run`",
    ):
        serve(make_project(tmp_path, port=free_port()))


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_the_champion_is_served_until_ctrl_c_and_nothing_stays_behind(tmp_path: Path, engine: str) -> None:
    port = free_port()
    folder = make_champion(tmp_path, engine, port)
    with start(tmp_path) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline() + process.stdout.readline()
            assert f"http://127.0.0.1:{port}" in said, process.communicate()[1]
            assert bool(ray_processes(process.pid)) == (engine == "ray")
            server = Server(f"http://127.0.0.1:{port}", make_project(tmp_path), process)
            status, answer = server.ask("/invocations", {"inputs": ROWS, "ids": ["a", "b", "c"]})
            assert (status, answer["model"], answer["version"]) == (200, "flights", "1")
            assert answer["predictions"] == pytest.approx(expected(folder), abs=1e-6)
            assert server.ask("/invocations", {"inputs": {}})[0] == 400
            assert server.ask("/v2/health/ready") == (200, {"ready": True})
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            output, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert "ended" in output, errors
    assert "Traceback" not in errors
    assert read_predictions(tmp_path / "var" / "predictions")["id"].tolist() == ["a", "b", "c"]
    assert not ray_processes_left(process.pid)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_request_that_is_printed_works(tmp_path: Path) -> None:
    port = free_port()
    make_champion(tmp_path, "local", port)
    with start(tmp_path) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            command = process.stdout.readline().strip()
            answer = subprocess.run(["sh", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
        finally:
            process.kill()
    assert len(json.loads(answer.stdout)["predictions"]) == 1


def test_a_log_that_cannot_be_written_is_said_and_nothing_is_answered_until_it_can(
    model_folder: Path, tmp_path: Path
) -> None:
    from tests.support.servers import eventually, running

    settings = make_project(tmp_path)
    settings.var.mkdir()
    settings.predictions.write_text("a file where the log's folder should be")
    with running(settings, model_folder, free_port()) as server:
        for path, body in (("/invocations", {"inputs": ROWS}), ("/ready", None), ("/v2/health/ready", None)):
            status, answer = server.ask(path, body)
            assert (status, str(settings.predictions) in answer["error"]) == (503, True)
        assert server.ask("/health")[0] == 200
        settings.predictions.unlink()
        assert eventually(lambda: server.ask("/ready")[0] == 200, 5)
        assert server.ask("/invocations", {"inputs": ROWS})[0] == 200


def test_requests_under_way_are_finished_when_the_server_stops(model_folder: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.support.servers import running

    settings = make_project(tmp_path, max_rows=100_000)
    body = json.dumps({"inputs": {name: values * 5_000 for name, values in ROWS.items()}}).encode()
    with running(settings, model_folder, free_port()) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, "/invocations", body)
        with urllib.request.urlopen(server.url + "/health", timeout=300):
            server.process.terminate()
        status, content = answer.result()
    assert (status, len(content["predictions"])) == (200, 15_000)
    assert len(read_predictions(settings.var / "predictions")) == 15_000


def test_a_terminal_that_nobody_reads_does_not_hold_the_server(model_folder: Path, tmp_path: Path) -> None:
    from tests.support.servers import STATED, eventually

    settings, port = make_project(tmp_path, framework="auto", workers=1), free_port()
    unread, full = os.pipe()
    os.set_blocking(full, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 4096)
    os.set_blocking(full, True)
    command = [sys.executable, "-c", STATED, str(tmp_path), str(model_folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full, text=True) as process:
        try:
            assert process.stdout is not None
            assert "Serving" in process.stdout.readline()
            server = Server(f"http://127.0.0.1:{port}", settings, process)
            shutil.rmtree(settings.predictions, ignore_errors=True)
            settings.predictions.parent.mkdir(exist_ok=True)
            settings.predictions.write_text("a file where the log's folder should be")
            assert server.ask("/invocations", {"inputs": ROWS})[0] == 503
            assert eventually(lambda: server.ask("/status")[1]["log"]["failing"], 5)
            time.sleep(2)  # meanwhile it is to be said
            assert server.ask("/status")[0] == 200
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
    os.close(unread)
    os.close(full)
