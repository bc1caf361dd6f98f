"""The journal: what it holds after kills and on full disks, and that its last whole line is what holds."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.traffic import Policy
from tests.support.depth import DEEP

_WRITE = """
import sys
from pathlib import Path
from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.traffic import Policy
journal = Journal(Path(sys.argv[1]))
number = len(journal.changes())
while True:
    number += 1
    state = State("m", Policy({"5": 1000}), {"5": Held("x" * 500, "d")}, ("5",))
    journal.append(Change("traffic", "hand", "ann", f"number {number}", {"5": 1000}, state))
    print(number, flush=True)
"""


def change(number: int) -> Change:
    weights = {"5": 1000 - number, "7": number}
    held = {version: Held(f"models/{version}", "digest") for version in weights}
    plan = {"kind": "canary", "step": 1}
    state = State("flights", Policy(weights, ("9",)), {**held, "9": Held("nine", "")}, ("5",), plan, "7")
    return Change("moved on", "canary", "ann", f"step {number}", {"5": 1000}, state, {"7": {"errors": 0}})


def test_what_was_written_is_read_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "var" / "releases.jsonl")
    assert journal.last() is None
    written = [journal.append(change(number)) for number in (1, 2)]
    assert list(journal.changes()) == written
    assert journal.last() == written[1]
    assert written[0].key < written[1].key
    assert (tmp_path / "var" / "releases.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_short_was_never_decided_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "releases.jsonl"
    journal = Journal(path)
    first = journal.append(change(1))
    whole = path.read_bytes()
    journal.append(change(2))
    line = path.read_bytes()[len(whole) :]
    for length in range(1, len(line) - 1, 7):
        path.write_bytes(whole + line[:length])
        assert journal.changes() == (first,)
        third = journal.append(change(3))
        assert journal.changes() == (first, third)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "releases.jsonl"
    journal = Journal(path)
    first = journal.append(change(1))
    size = path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        with pytest.raises(
            ServiceError, match=r"cannot be written .*(No space|too large).*nothing was changed"
        ):
            journal.append(change(2))
        must = journal.append_later(change(3))
        assert not journal.catch_up()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert path.stat().st_size == size
    assert Journal(path).changes() == (first,)
    assert journal.catch_up()
    assert Journal(path).changes() == (first, must)


def test_a_kill_at_any_moment_loses_nothing_that_was_said_to_be_written(tmp_path: Path) -> None:
    path, said = tmp_path / "releases.jsonl", 0
    for turn in range(40 if DEEP else 4):
        with subprocess.Popen([sys.executable, "-c", _WRITE, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 + turn % 5 / 100)
            process.kill()
            lines = process.stdout.read().split()
        said = int(lines[-1]) if lines else said
        found = [int(each.reason.split()[1]) for each in Journal(path).changes()]
        assert found == sorted(found)
        assert found[-1] >= said


def test_a_later_format_and_a_damaged_line_are_named(tmp_path: Path) -> None:
    path = tmp_path / "releases.jsonl"
    Journal(path).append(change(1))
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "format": 2}) + "\n")
    with pytest.raises(DataError, match=r"line 1, has format 2; this library reads 1"):
        Journal(path).changes()
    path.write_text(json.dumps({key: value for key, value in stored.items() if key != "state"}) + "\n")
    with pytest.raises(DataError, match=r"line 1, is damaged .*Remove the line"):
        Journal(path).changes()


def test_a_password_in_a_reason_is_not_kept(tmp_path: Path) -> None:
    given = change(1)
    reason = "see http://ann:hunter22@mlflow.example/x"
    kept = Journal(tmp_path / "j").append(
        Change(given.action, given.by, given.who, reason, given.before, given.state)
    )
    assert "hunter22" not in kept.reason
    assert "hunter22" not in (tmp_path / "j").read_text()
