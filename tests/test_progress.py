"""A log gets few, whole lines; a terminal gets a bar; stdout gets nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from runtime_lib.progress import counted, track


def test_a_log_gets_one_line_at_the_end(capsys):
    assert list(track(["a", "b"], "Months")) == ["a", "b"]
    assert capsys.readouterr() == ("", "Months: 2 done\n")


def test_a_log_gets_each_note_with_the_count(capsys):
    with counted(12, "epoch") as advance:
        advance(1, "loss 0.5")
        advance(2, "loss 0.4")
    assert capsys.readouterr() == ("", "epoch 1/12: loss 0.5\nepoch 3/12: loss 0.4\n")


def test_work_that_fails_is_not_called_done(capsys):
    def fill_the_disk():
        with counted(2, "Months") as advance:
            advance()
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    script = (
        "from runtime_lib.progress import counted\n"
        "with counted(3, 'Rows') as advance:\n    advance(3, 'nearly')\nprint('result')"
    )
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", script], stderr=theirs, stdout=subprocess.PIPE, env=environ)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"result\n"
    assert "3/3" in shown
    assert "nearly" in shown
    assert "━" in shown
