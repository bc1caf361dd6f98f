"""What a killed process leaves behind goes with the next one's work, and spoils no line that follows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runtime_lib.errors import DataError
from runtime_lib.files import append_line, atomic_folder, read_lines


def leave(folder, process: int):
    """What a process of that number was writing."""
    left = folder / f".data.{process}.0a1b2c3d.tmp"
    left.mkdir()
    (left / "part").write_text("half")
    return left


def test_what_a_process_that_is_gone_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone, own = leave(tmp_path, ended.pid), leave(tmp_path, os.getpid())
    with atomic_folder(tmp_path / "data") as new:
        assert (gone.exists(), own.exists()) == (False, True)
        (new / "part").write_text("whole")
    assert (tmp_path / "data" / "part").read_text() == "whole"


@pytest.mark.skipif(sys.platform != "linux", reason="only containers on Linux leave the ended uncollected")
def test_a_process_that_nobody_collects_is_gone_too(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout is not None
    assert ended.stdout.read() == b""  # it has ended, and nobody asked how
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    left = leave(tmp_path, ended.pid)
    with atomic_folder(tmp_path / "data"):
        assert not left.exists()
    ended.wait()


TORN = [b'{"format": 1, "a": ', b"\xff\xfe", b"[1]", b"null", b"7"]


@pytest.mark.parametrize("torn", TORN)
def test_lines_are_read_as_written_around_one_that_a_kill_cut_short(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    append_line(path, b'{"format": 1, "a": 1}')
    with path.open("ab") as file:
        file.write(torn)
    append_line(path, b'{"a": {"format": 9}, "format": 1}')
    first, cut, last = read_lines(path)
    assert first == (f"{path}, line 1,", {"a": 1})
    assert cut == (f"{path}, line 2,", None)
    assert last == (f"{path}, line 3,", {"a": {"format": 9}})


def test_no_file_has_no_lines_and_a_folder_is_an_error(tmp_path):
    assert read_lines(tmp_path / "log.jsonl") == []
    with pytest.raises(IsADirectoryError):
        read_lines(tmp_path)


@pytest.mark.parametrize("line", [b'{"format": 3}', b'{"a": 1}', b'{"format": "2"}'])
def test_a_line_of_a_later_format_or_of_none_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"format": 1}\n\n{"format": 2}\n')
    assert [content for _, content in read_lines(path, newest=2)] == [{}, {}]
    append_line(path, line)
    with pytest.raises(DataError, match=r"log\.jsonl, line 4, has format .*; this library reads 1 to 2"):
        read_lines(path, newest=2)
