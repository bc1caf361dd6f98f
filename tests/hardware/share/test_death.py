"""Nobody takes more than there is, and nobody who died holds anything."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from runtime_lib.errors import BusyError
from runtime_lib.hardware.share import descriptors, files, order
from runtime_lib.hardware.share import lease as leases
from runtime_lib.hardware.share.lease import holders, lease
from tests.support.depth import examples
from tests.support.leases import end, got, in_child, projects, why
from tests.support.waiting import eventually


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
    monkeypatch.setattr(files, "_ASLEEP_SECONDS", 0.5)
    with lease(memory=1, project="awake", timeout=10):
        sleeper.send_signal(signal.SIGCONT)
    got(sleeper)


CODE = {module.__file__ for module in (leases, files, descriptors, order)}


def traced(stop: Callable[[], None], moment: int, work: Callable[[], None]) -> None:
    """Call `stop` before the line of the lease's code that is executed as number `moment`."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in CODE:
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


def once() -> None:
    with lease(memory=0.7, project="killed", timeout=0):
        pass


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Work in a forked child that is killed before the line number `moment`; whether it got that far."""
    code = in_child(lambda: traced(lambda: os.kill(os.getpid(), signal.SIGKILL), moment, work))
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_kill_at_any_line_never_keeps_others_out(folder):
    moment = 0
    while killed_at(moment := moment + examples(9, 2), once):
        with lease(memory=1, project="next", timeout=0):
            assert projects() == ["next"]
        assert list(folder.iterdir()) == []
    assert moment > 100


def test_a_kill_at_any_line_while_waiting_never_keeps_others_out(folder):
    def wait() -> None:
        os.environ.pop("MLOPS_LEASES_HELD")  # it is not part of the lease that its parent holds
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with pytest.raises(BusyError):
            once()

    with lease(memory=0.7, project="holder"):
        moment = 0
        while killed_at(moment := moment + examples(19, 4), wait):
            assert projects() == ["holder"]
            assert len(list(folder.iterdir())) == 1
    assert moment > 100


def test_ctrl_c_at_any_moment_leaves_no_lease_in_a_process_that_lives_on(start):
    code = """
import random, signal, time
from runtime_lib.hardware.share.lease import holders, lease
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(300):
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 6e-4))
            with lease(memory=0.7, project="flights", timeout=0):
                time.sleep(1)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        pass
    assert holders() == []
"""
    process = start(code)
    assert (process.communicate()[1], process.returncode) == ("", 0)


def test_a_forked_child_does_not_keep_its_dead_parents_lease(start):
    code = """
import os, subprocess, time
from runtime_lib.hardware.share.lease import lease
with lease(memory=0.7, project="parent"):
    started = subprocess.Popen(["sleep", "60"])
    if not (child := os.fork()):
        time.sleep(60)
    print(child, started.pid, flush=True)
    time.sleep(60)
"""
    parent = start(code)
    assert parent.stdout
    children = [int(child) for child in parent.stdout.readline().split()]
    try:
        parent.kill()
        parent.wait()
        with lease(memory=1, project="next", timeout=0.5):
            for child in children:
                os.kill(child, 0)  # they live
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_that_leaves_its_parents_block_leaves_the_lease_alone():
    block = lease(memory=0.7, project="parent")

    def leave() -> None:
        with lease(memory=0.5, project="child", timeout=0) as held:
            assert held.project == "parent"
        block.__exit__(None, None, None)

    with block:
        assert in_child(leave) == 0
        assert projects() == ["parent"]


# Everything at once

HAMMER = """
import os, random, sys, time
from runtime_lib.hardware.share.lease import lease
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
rest = random.Random(int(sys.argv[2]))
for _ in range(2):
    memory, gpu = rest.randint(100, 700), rest.choice([0, 0, 300, 1000])
    with lease(memory=memory / 1000, gpu=gpu / 1000, project=sys.argv[2], on_wait=lambda wait: None):
        os.write(log, f"start {os.getpid()} {memory} {gpu}\\n".encode())
        time.sleep(rest.uniform(0, 0.05))
        os.write(log, f"end {os.getpid()} 0 0\\n".encode())
"""


def test_many_processes_and_random_kills_never_take_more_than_the_whole(start, tmp_path, folder):
    log, rest = tmp_path / "log", random.Random(5)
    log.touch()
    processes = [start(HAMMER, str(log), str(seed)) for seed in range(20)]
    victims = rest.sample(processes, 8)
    eventually(lambda: "end" in log.read_text())
    for victim in victims:
        time.sleep(rest.uniform(0, 0.3))
        with log.open("a") as file:
            file.write(f"end {victim.pid} -1 -1\n")
        victim.kill()
    survivors = [process for process in processes if process not in victims]
    assert [process.wait(30) for process in survivors] == [0] * len(survivors)
    running: dict[str, tuple[int, int]] = {}
    killed, most = set(), 0
    for line in log.read_text().splitlines():
        event, process, memory, gpu = line.split()
        if event == "start" and process not in killed:
            running[process] = int(memory), int(gpu)
        elif event == "end":
            running.pop(process, None)
        if memory == "-1":
            killed.add(process)
        held = [sum(shares[i] for shares in running.values()) for i in range(2)]
        assert max(held) <= 1000
        most = max(most, len(running))
    assert most > 1
    assert len([line for line in log.read_text().splitlines() if line.startswith("start")]) >= 24
    assert holders() == []
    assert list(folder.iterdir()) == []


def test_those_who_look_at_the_same_moment_do_not_both_take_the_last_share(start, tmp_path):
    code = """
import os, sys, time
from runtime_lib.errors import BusyError
from runtime_lib.hardware.share.lease import lease
taken, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    try:
        with lease(memory=0.6, project="flights", timeout=0, on_wait=lambda wait: None):
            os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))  # fails if another has it
            os.unlink(sys.argv[1])
            taken += 1
    except BusyError:
        pass
print(taken)
"""
    processes = [start(code, str(tmp_path / "taken")) for _ in range(4)]
    ended = [process.communicate() for process in processes]
    assert [error for _, error in ended] == [""] * 4
    assert all(int(taken) > 0 for taken, _ in ended)
