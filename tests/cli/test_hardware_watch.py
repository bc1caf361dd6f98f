"""`mlops hardware --watch`: a line each second, redrawn on a terminal, and a quiet end."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.pipeline.test_run import MLOPS, environment
from tests.support.hardware_command import buffered
from tests.support.recorded import RECORDED


@pytest.fixture(autouse=True)
def outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def start_watching(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [MLOPS, "hardware", "--watch", *words, "--replay", str(RECORDED / "m1")],
        cwd=folder,
        env=buffered(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("words", [["--json"], []], ids=["json", "people"])
def test_watching_prints_a_line_each_second_until_ctrl_c_ends_it_quietly(tmp_path, words):
    with start_watching(tmp_path, *words) as watching:
        lines = [watching.stdout.readline() for _ in range(3)]
        os.killpg(watching.pid, signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (0, "")
    if words:
        lines = [json.loads(line) for line in lines]
        readings = {"thermal", "memory_pressure", "power_mode", "free_memory_bytes", "sources", "leases"}
        assert all(set(line) > readings and "chip" not in line for line in lines)
        times = [line["time"] for line in lines]
    else:
        assert all("thermal pressure unknown, memory pressure unknown" in line for line in lines)
        times = [line.split()[0] for line in lines]
    first, *_, last = map(datetime.fromisoformat, times)
    assert first.utcoffset() == timedelta(0)
    assert (last - first).total_seconds() >= 2


@pytest.mark.parametrize("words", [["--json"], []], ids=["json", "people"])
def test_watching_ends_quietly_when_nobody_reads_any_more(tmp_path, words):
    with start_watching(tmp_path, *words) as watching:
        assert watching.stdout.readline()
        watching.stdout.close()
        said = watching.stderr.read()
    assert (watching.returncode, said) == (0, "")


def test_on_a_terminal_the_state_is_drawn_anew(tmp_path):
    ours, theirs = pty.openpty()
    environ = {**environment(), "TERM": "xterm", "COLUMNS": "80", "LINES": "50"}
    words = [MLOPS, "hardware", "--watch", "--replay", str(RECORDED / "m5")]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environ, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as watching:
        os.close(theirs)
        shown = b""
        while shown.count(b"battery") < 4:  # two rows of it, twice
            shown += os.read(ours, 4096)
        os.killpg(watching.pid, signal.SIGINT)
        with suppress(OSError):  # the other end is closed
            while select.select([ours], [], [], 30)[0] and os.read(ours, 4096):
                pass
        watching.wait(10)
        said = watching.stderr.read().decode()
    os.close(ours)
    assert watching.returncode == 0
    assert "Interrupted" not in said
    assert shown.count(b"Neural Engine") == 1
    assert shown.index(b"Neural Engine") < shown.index(b"battery")
