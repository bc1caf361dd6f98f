"""What lies in the folder of leases, whoever put it there."""

from __future__ import annotations

import fcntl
import os
import signal

import pytest

from runtime_lib.errors import BusyError
from runtime_lib.hardware.share import files
from runtime_lib.hardware.share.lease import holders, lease
from tests.support.leases import got, in_child, projects, why


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
