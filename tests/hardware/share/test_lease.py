"""One machine, several projects: who holds, who waits and what they are shown."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import threading
import time

import pytest

from runtime_lib.errors import BusyError, ServiceError, SettingsError
from runtime_lib.hardware.share import files
from runtime_lib.hardware.share.lease import Wait, holders, lease
from tests.support.leases import WORK, end, got, projects, why


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
