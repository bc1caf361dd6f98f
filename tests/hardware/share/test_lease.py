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
from runtime_lib.hardware.share import descriptors, files, order
from runtime_lib.hardware.share import lease as leases
from runtime_lib.hardware.share.lease import Wait, holders, lease
from tests.support.releases import REPOSITORY

# Holds a lease until its stdin ends; says "got" once it has it.
WORK = """
import json, sys
from runtime_lib.hardware.share.lease import lease
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
        demand = {"project": project, "memory": memory, "gpu": gpu, "timeout": 20, **options}
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
    assert (wait.position, [held.project for held in wait.held]) == (1, ["flights"])
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


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Work in a forked child that is killed before the line number `moment`; whether it got that far."""
    code = in_child(lambda: traced(lambda: os.kill(os.getpid(), signal.SIGKILL), moment, work))
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_kill_at_every_second_line_never_keeps_others_out(folder):
    moment = 0
    while killed_at(moment := moment + 2, once):
        with lease(memory=1, project="next", timeout=0):
            assert projects() == ["next"]
        assert list(folder.iterdir()) == []
    assert moment > 100


def test_a_kill_at_every_fourth_line_while_waiting_never_keeps_others_out(folder):
    def wait() -> None:
        os.environ.pop("MLOPS_LEASES_HELD")  # it is not part of the lease that its parent holds
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with pytest.raises(BusyError):
            once()

    with lease(memory=0.7, project="holder"):
        moment = 0
        while killed_at(moment := moment + 4, wait):
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


# Leases within leases


def test_a_lease_within_a_lease_is_part_of_it():
    with lease(memory=0.7, gpu=1, project="run") as outer:
        with lease(memory=0.7, gpu=0.5, project="train", timeout=0) as inner:
            assert inner == outer
        assert projects() == ["run"]  # the end of the inner one does not end the outer one


def test_a_lease_cannot_grow():
    with (
        lease(memory=0.3, project="run"),
        pytest.raises(
            SettingsError, match=r"'train' asks for 40 % of memory inside a lease: 'run' .* outside"
        ),
        lease(memory=0.4, project="train"),
    ):
        pass


def test_a_process_started_within_a_lease_is_part_of_it_while_that_is_held(ask, monkeypatch):
    with lease(memory=0.7, project="run") as outer:
        stage = ask("train", 0.7)
        got(stage)
        assert projects() == ["run"]
    assert "MLOPS_LEASES_HELD" not in os.environ
    monkeypatch.setenv("MLOPS_LEASES_HELD", outer.name)  # as in a process that outlives the run
    late = ask("late", 0.7)
    got(late)
    assert projects() == ["late"]


def test_another_thread_asks_for_itself():
    began = threading.Event()
    order = []

    def work() -> None:
        with lease(memory=0.7, project="second", on_wait=lambda wait: began.set()):
            order.append("second")

    with lease(memory=0.7, project="first"):
        thread = threading.Thread(target=work)
        thread.start()
        assert began.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


# What lies in the folder


def test_torn_and_foreign_files_are_ignored_and_those_in_the_way_removed(folder, tmp_path):
    folder.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (folder / "notes.txt").write_text("keep")
    (folder / "000000000001-0000000a.held").write_text('{"memory": 10')
    (folder / "000000000002-0000000b.held").write_text('{"memory": 1000, "gpu": 1000, "priority": 0}')
    (folder / "000000000003-0000000c.held").symlink_to(precious)
    os.mkfifo(folder / "000000000004-0000000d.waiting")
    (folder / "000000000005-0000000e.waiting").mkdir()
    with lease(memory=1, gpu=1, project="flights", timeout=0):
        assert projects() == ["flights"]
    assert sorted(path.name for path in folder.iterdir()) == ["000000000005-0000000e.waiting", "notes.txt"]
    assert precious.read_text() == "keep"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 4096,
        b"\xff\xfe",
        b"null",
        b'{"memory": 1000}',
        b'{"memory": -1, "gpu": 0, "priority": 0, "project": "p", "process": 1, "asked": 1}',
        b'{"memory": 1e9, "gpu": 0, "priority": 0, "project": "p", "process": 1, "asked": 1}',
        b'{"memory": 500, "gpu": 0, "priority": 0, "project": "p", "process": 1, "asked": NaN}',
        b'{"memory": 500, "gpu": 0, "priority": 0, "project": "p", "process": Infinity, "asked": 1}',
    ],
)
def test_a_held_file_that_cannot_be_read_is_the_whole_machine_while_somebody_locks_it(folder, content):
    folder.mkdir()
    path = folder / "000000000001-0000000a.held"
    path.write_bytes(content)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(BusyError, match=r"'lease file 0{11}1-0{7}a\.held is unreadable' \(.*holds 100 %"),
            lease(memory=0.1, project="flights", timeout=0),
        ):
            pytest.fail("nobody knows how much was left")
        (found,) = holders()
        assert (found.shares, found.uid) == ((1000, 1000), os.getuid())
        assert found.to_dict()["process"] == (1 if b'"process": 1' in content else None)
    with lease(memory=1, project="flights", timeout=0):
        assert projects() == ["flights"]
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b'{"memory": 10'])
def test_a_waiting_file_that_cannot_be_read_counts_for_nothing(folder, content):
    folder.mkdir()
    path = folder / "000000000001-0000000a.waiting"
    path.write_bytes(content)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with lease(memory=1, project="flights", timeout=0):
            assert projects() == ["flights"]
    assert holders() == []
    assert not path.exists()


def test_a_living_holder_whose_file_is_damaged_keeps_what_it_has(ask, folder):
    holder = ask("flights", 0.7)
    got(holder)
    (path,) = folder.iterdir()
    second = ask("trips", 0.7)
    assert "'flights'" in why(second)
    path.write_bytes(path.read_bytes()[:-5])  # its process can still be read
    assert f"is unreadable' ({holders()[0].user}, process {holder.pid}) holds 100 % of memory" in why(second)
    holder.kill()
    got(second)
    assert projects() == ["trips"]


def test_what_others_wrote_cannot_steer_the_terminal(ask):
    with lease(memory=0.7, project="\x1b[2Jflights\n" + "x" * 200) as held:
        assert held.project.startswith("?[2Jflights?xxx")
        assert len(held.project) == 80
        assert holders() == [held]


def test_who_waits_goes_on_when_somebody_empties_the_folder(ask, folder):
    holder = ask("flights", 0.7)
    got(holder)
    second = ask("trips", 0.7)
    why(second)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    got(second)
    assert projects() == ["trips"]


def test_the_folder_is_open_to_all_users_and_its_files_are_their_owners(tmp_path, monkeypatch):
    monkeypatch.delenv("MLOPS_LEASES")
    monkeypatch.setattr(files, "_SHARED", tmp_path / "shared")
    before = os.umask(0o077)
    try:
        with lease(memory=0.5, project="flights"):
            (file,) = (tmp_path / "shared").iterdir()
            assert file.stat().st_mode & 0o7777 == 0o644
    finally:
        os.umask(before)
    assert (tmp_path / "shared").stat().st_mode & 0o7777 == 0o1777


@pytest.mark.skipif(os.getuid() != 0, reason="only root may work as another user")
def test_users_share_one_queue(monkeypatch, tmp_path):
    shared = tmp_path / "shared"
    monkeypatch.setattr(files, "_SHARED", shared)
    monkeypatch.delenv("MLOPS_LEASES")
    for path in (tmp_path, *tmp_path.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)  # pytest keeps its folders to its user
    seen: list[str] = []

    def as_nobody() -> None:
        os.setgid(65534)
        os.setuid(65534)
        os.environ.pop("MLOPS_LEASES_HELD", None)
        with (
            pytest.raises(BusyError, match="'flights'"),
            lease(memory=0.7, project="trips", timeout=0, on_wait=lambda wait: seen.append(str(wait))),
        ):
            pass
        assert "'flights' (root" in seen[0]
        place = lease(memory=0.3, project="trips", timeout=0)
        assert place.__enter__().user == "nobody"
        os.kill(os.getpid(), signal.SIGKILL)

    with lease(memory=0.7, project="flights"):
        assert in_child(as_nobody) == -signal.SIGKILL
        assert len(list(shared.iterdir())) == 2
        assert projects() == ["flights"]  # the dead user's file counts for nothing, and root may remove it
        assert len(list(shared.iterdir())) == 1


# Where sharing cannot be had


@pytest.mark.parametrize("where", ["a file", "a link", "below a file"])
def test_work_runs_with_one_warning_where_the_folder_cannot_be_used(where, tmp_path, monkeypatch, caplog):
    path = tmp_path / where
    if where == "a link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    elif where == "a file":
        path.write_text("")
    else:
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "leases"
    monkeypatch.setenv("MLOPS_LEASES", str(path))
    for _ in range(2):
        with lease(memory=0.7, project="flights", timeout=0) as held:
            assert not held.is_held
    (record,) = caplog.records
    assert "is not shared fairly" in record.message
    assert str(path) in record.message
    with pytest.raises(ServiceError, match="cannot be read"):
        holders()


def test_a_process_that_keeps_the_folder_locked_stops_nobody(folder, monkeypatch, caplog):
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 0.2)
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with lease(memory=0.7, project="flights"):
            assert f"a process has kept {folder} locked for 0 s" in caplog.text
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"memory": 0}, "memory is 0; it is a number above 0 to 1"),
        ({"memory": math.nan}, "memory is nan"),
        ({"gpu": 1.5}, r"GPU is 1\.5"),
        ({"priority": "high"}, "priority is 'high'; it is a whole number"),
        ({"timeout": -1}, "timeout is -1"),
        ({"timeout": math.nan}, "timeout is nan"),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused(wrong, message, folder):
    with pytest.raises(SettingsError, match=message), lease(**{"memory": 0.5, "project": "flights", **wrong}):
        pass
    assert not folder.exists()


def test_a_folder_that_differs_by_working_folder_is_refused(monkeypatch):
    monkeypatch.setenv("MLOPS_LEASES", "leases")
    with pytest.raises(SettingsError, match=r"MLOPS_LEASES is 'leases'.* full path"):
        holders()


def test_leases_are_shown_as_json():
    with lease(memory=0.7, gpu=1, project="flights", priority=2):
        (found,) = holders()
    shown = json.loads(json.dumps(found.to_dict()))
    assert {key: shown[key] for key in ("project", "process", "memory", "gpu", "priority", "held")} == {
        "project": "flights",
        "process": os.getpid(),
        "memory": 0.7,
        "gpu": 1.0,
        "priority": 2,
        "held": True,
    }
    assert shown["asked"] <= shown["since"]


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
