"""One machine, several projects: nobody takes more than there is, and nobody who died holds anything."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.errors import BusyError, ServiceError, SettingsError
from runtime_lib.hardware import lease_files
from runtime_lib.hardware.lease import Wait, holders, lease
from tests.releases import REPOSITORY

# Holds a lease until its stdin ends; says "got" once it has it.
WORK = """
import json, sys
from runtime_lib.hardware.lease import lease
with lease(**json.loads(sys.argv[1])):
    print("got", flush=True)
    sys.stdin.read()
"""
Ask = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    return tmp_path / "leases"


@pytest.fixture
def start() -> Iterator[Ask]:
    """Start a program on the library; it is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=environment, text=True, **pipes
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with process:  # closes its pipes and waits for it
            process.kill()


@pytest.fixture
def ask(start: Ask) -> Ask:
    """Start a process that asks for a lease, and holds it until its stdin is closed."""

    def run(
        project: str, memory: float, gpu: float = 0, *, cwd: Path | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        demand = {"project": project, "memory": memory, "gpu": gpu, **options}
        return start(WORK, json.dumps(demand), cwd=cwd)

    return run


def got(process: subprocess.Popen[str]) -> float:
    """Wait until it holds its lease; return when that was."""
    assert process.stdout
    assert process.stdout.readline() == "got\n", process.communicate()[1]
    return time.monotonic()


def why(process: subprocess.Popen[str]) -> str:
    """Wait for its next line on stderr."""
    assert process.stderr
    return process.stderr.readline()


def end(process: subprocess.Popen[str]) -> float:
    assert process.stdin
    process.stdin.close()
    return time.monotonic()


def projects() -> list[str]:
    return [found.project for found in holders()]


def eventually(true: Callable[[], bool], seconds: float = 5) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.01)


# Two projects on one machine


def test_the_second_of_two_that_want_most_of_the_machine_waits_and_is_told_why(ask, tmp_path):
    folders = [tmp_path / "flights", tmp_path / "trips"]
    for path in folders:
        path.mkdir()
    first = ask("flights", 0.7, 1, cwd=folders[0])
    got(first)
    second = ask("trips", 0.7, 0.5, cwd=folders[1])
    told = why(second)
    assert "'trips' waits for 70 % of memory and 50 % of GPU" in told
    assert "free: 30 % of memory and 0 % of GPU; place 1 in the queue" in told
    assert (
        f"'flights' ({holders()[0].user}, process {first.pid}) holds 70 % of memory and 100 % of GPU" in told
    )
    assert [(found.project, found.is_held) for found in holders()] == [("flights", True), ("trips", False)]
    time.sleep(0.5)
    ended = end(first)
    assert got(second) - ended < 1
    assert "'trips' starts after" in why(second)  # and no line for each look in between


def test_a_lease_leaves_nothing_behind(folder):
    with lease(memory=0.7, gpu=1.0, project="flights") as held:
        (found,) = holders()
        assert found == held
        assert (found.memory, found.gpu, found.process) == (0.7, 1.0, os.getpid())
    assert holders() == []
    assert list(folder.iterdir()) == []


def test_shares_that_fit_are_held_side_by_side(ask):
    small, large = ask("flights", 0.4), ask("trips", 0.6)
    got(small), got(large)
    assert sorted(projects()) == ["flights", "trips"]


def test_the_higher_priority_goes_first(ask):
    holder = ask("holder", 1)
    got(holder)
    early = ask("early", 0.6)
    why(early)
    urgent = ask("urgent", 0.6, priority=5)
    assert "place 1 in the queue" in why(urgent)
    assert "place 2 in the queue" in why(early)  # told that somebody came in front
    end(holder)
    got(urgent)
    assert projects() == ["urgent", "early"]
    end(urgent)
    got(early)


def test_who_waits_too_long_gives_up_with_the_holders_and_advice(ask):
    holder = ask("flights", 0.7)
    got(holder)
    with (
        pytest.raises(BusyError, match=rf"busy for 0 s.*'flights' .*{holder.pid}.*max_wait"),
        lease(memory=0.7, project="trips", timeout=0),
    ):
        pytest.fail("two took 140 %")
    assert projects() == ["flights"]


def test_a_callback_gets_each_change_and_the_terminal_nothing(ask, capfd):
    holder, waits = ask("flights", 0.7), list[Wait]()
    got(holder)
    with pytest.raises(BusyError), lease(memory=0.7, project="trips", timeout=0.7, on_wait=waits.append):
        pass
    (wait,) = waits
    assert (wait.position, wait.free, [held.project for held in wait.held]) == (1, (0.3, 1.0), ["flights"])
    assert capfd.readouterr().err == ""


def test_an_error_of_the_callback_leaves_no_place_in_the_queue(ask):
    holder = ask("flights", 0.7)
    got(holder)

    def broken(wait: Wait) -> None:
        raise OSError("of the caller's")

    with pytest.raises(OSError, match="of the caller's"), lease(memory=0.7, project="trips", on_wait=broken):
        pass
    assert projects() == ["flights"]


def test_a_terminal_shows_one_line_that_changes(start, ask):
    holder = ask("flights [bold]", 0.7)
    got(holder)
    mine, theirs = pty.openpty()
    second = start(WORK, json.dumps({"project": "trips", "memory": 0.7}), stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"holds 70 %" not in b" ".join(shown.split()):
        shown += os.read(mine, 1000)
    assert b"flights [bold]" in shown  # a name is no markup
    end(holder)
    got(second)
    os.close(mine)


# Those who died


def test_a_killed_holder_frees_its_lease_within_a_second(ask):
    holder = ask("flights", 0.7)
    got(holder)
    second = ask("trips", 0.7)
    why(second)
    killed = time.monotonic()
    holder.kill()
    assert got(second) - killed < 1
    assert projects() == ["trips"]


def test_a_killed_waiter_frees_its_place(ask, folder):
    holder = ask("holder", 0.7)
    got(holder)
    big = ask("big", 1)
    why(big)
    small = ask("small", 0.3)
    assert "place 2" in why(small)  # it would fit, but could delay the big one
    big.kill()
    got(small)
    assert len(list(folder.iterdir())) == 2


def test_ctrl_c_while_waiting_leaves_no_trace(ask, folder):
    holder = ask("flights", 0.7)
    got(holder)
    second = ask("trips", 0.7)
    why(second)
    assert len(list(folder.iterdir())) == 2
    second.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in second.communicate()[1]
    assert len(list(folder.iterdir())) == 1


def test_who_is_suspended_while_waiting_lets_others_go_first(ask, monkeypatch):
    holder = ask("holder", 1)
    got(holder)
    sleeper = ask("sleeper", 1)
    why(sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    end(holder)
    monkeypatch.setattr(lease_files, "_ASLEEP_SECONDS", 0.5)
    with lease(memory=1, project="awake", timeout=10):
        sleeper.send_signal(signal.SIGCONT)
    got(sleeper)


def traced(stop: Callable[[], None], moment: int, work: Callable[[], None]) -> None:
    """Call `stop` before the line of the lease's code that is executed as number `moment`."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        if "lease" not in Path(frame.f_code.co_filename).name or "test_" in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
            if count == moment:
                stop()
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)


def in_child(work: Callable[[], None]) -> int:
    """Fork, work, and return how it ended (negative: the signal)."""
    child = os.fork()
    if not child:
        code = 99
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def once() -> None:
    with lease(memory=0.7, project="killed", timeout=0):
        pass


def test_a_kill_at_any_line_never_keeps_others_out(folder):
    for moment in range(1, 2000):
        code = in_child(lambda: traced(lambda: os.kill(os.getpid(), signal.SIGKILL), moment, once))  # noqa: B023
        with lease(memory=1, project="next", timeout=0):
            assert projects() == ["next"]
        assert list(folder.iterdir()) == []
        if code == 0:
            break
    assert 50 < moment < 1999


def test_a_kill_at_any_line_while_waiting_never_keeps_others_out(folder):
    def wait() -> None:
        os.environ.pop("MLOPS_LEASES_HELD")  # it is not part of the lease that its parent holds
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with pytest.raises(BusyError):
            once()

    with lease(memory=0.7, project="holder"):
        for moment in range(1, 2000):
            code = in_child(lambda: traced(lambda: os.kill(os.getpid(), signal.SIGKILL), moment, wait))  # noqa: B023
            assert projects() == ["holder"]
            assert len(list(folder.iterdir())) == 1
            if code == 0:
                break
    assert 50 < moment < 1999
