"""What a killed process leaves behind goes with the next one's work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runtime_lib.files import atomic_folder


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
