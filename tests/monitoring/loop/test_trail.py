"""The trail of the loop: what is on it stays, whatever happens to who writes it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.monitoring.loop.trail import WORDS, Step, What, append, newest, read

STEP = Step("started", "2", "AUC 0.700 against 0.900", datetime(2026, 11, 2, tzinfo=UTC))


def test_what_is_appended_is_read_as_it_was(tmp_path):
    path = tmp_path / "monitoring" / "loop.jsonl"
    steps = [STEP, Step("released", "2", "besser: \u2028 größer\n", to="3", figures={"live": 0.7})]
    for step in steps:
        append(path, step)
    assert read(path) == steps
    assert {json.loads(line)["format"] for line in path.read_text().split("\n") if line} == {1}


def test_no_trail_is_an_empty_one(tmp_path):
    assert read(tmp_path / "loop.jsonl") == []


def test_only_the_newest_are_shown(tmp_path):
    path = tmp_path / "loop.jsonl"
    for number in range(12):
        append(path, Step("cooling", str(number), ""))
    assert [step.version for step in newest(path)] == [str(number) for number in range(2, 12)]


@pytest.mark.parametrize(
    "torn", [b'{"format": 1, "what": "rel', b"\xff\xfe", b"[1]", b"null", b'{"format": 1}']
)
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(tmp_path, torn):
    path = tmp_path / "loop.jsonl"
    append(path, STEP)
    with path.open("ab") as file:
        file.write(torn)
    assert read(path) == [STEP]
    append(path, STEP)
    assert read(path) == [STEP, STEP]


@pytest.mark.parametrize("change", [{"what": "danced"}, {"time": "2026-11-02T00:00:00"}, {"more": 1}])
def test_a_line_that_is_no_step_is_left_out(tmp_path, change):
    path = tmp_path / "loop.jsonl"
    path.write_text(json.dumps({"format": 1, **STEP.to_dict(), **change}) + "\n")
    assert read(path) == []


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "loop.jsonl"
    path.write_text(json.dumps({"format": 2, **STEP.to_dict()}) + "\n")
    with pytest.raises(DataError, match=r"loop\.jsonl, line 1, has format 2; this library reads 1"):
        read(path)


def test_nothing_secret_and_no_nan_is_written(tmp_path):
    path = tmp_path / "loop.jsonl"
    append(path, Step("failed", "2", "at https://me:pa55word@host/x", figures={"live": float("nan")}))
    assert "pa55word" not in path.read_text()
    assert "NaN" not in path.read_text()
    assert read(path)[0].figures == {"live": None}


def test_a_place_that_cannot_be_written_or_read_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "loop.jsonl"
    with pytest.raises(ServiceError, match=r"cannot be written to .*file/loop\.jsonl \(File exists\)"):
        append(path, STEP)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"cannot be read from .*folder \(Is a directory\)"):
        read(tmp_path / "folder")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "loop.jsonl").symlink_to("/dev/full")
    with pytest.raises(ServiceError, match=r"cannot be written to .*loop\.jsonl \(No space left on device\)"):
        append(tmp_path / "loop.jsonl", STEP)


WRITER = """
import sys
from pathlib import Path
from runtime_lib.monitoring.loop.trail import Step, append
for number in range(100_000):
    append(Path(sys.argv[1]), Step("started", str(number), "x" * 3000))
    print(number, flush=True)
"""


def test_kill_9_while_it_is_written_loses_no_step_that_was_acknowledged(tmp_path):
    path, rng = tmp_path / "loop.jsonl", random.Random(3)
    for _ in range(8):
        before = len(read(path))
        command = [sys.executable, "-c", WRITER, str(path)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "0\n"
        time.sleep(rng.uniform(0, 0.05))
        writer.kill()
        told = 1 + len(writer.stdout.read().splitlines())
        writer.wait(60)
        writer.stdout.close()
        written = [step.version for step in read(path)[before:]]
        assert len(written) in (told, told + 1)  # one may have been written and not told
        assert written == [str(number) for number in range(len(written))]


def test_every_step_has_words():
    assert set(WORDS) == set(get_args(What))
