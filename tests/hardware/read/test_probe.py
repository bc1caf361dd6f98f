"""Commands that fail, hang, mumble or print logs between the lines: a value or None, in time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtime_lib.hardware.read import probe as probe_module
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.probe import GPU, POWER_MODE, SYSCTL, THERMAL, Live, Question
from runtime_lib.hardware.replay.folder import Replay, this_machine
from tests.support.recorded import RECORDED
from tests.support.stubs import commands, live


def cat(folder: str, name: str) -> str:
    return f"cat '{RECORDED / folder / name}'"


def m4_max(tmp_path, **more: str):
    return live(tmp_path, {"sysctl": cat("m4-max", "sysctl_a_sequoia.txt"), **more})


def test_live_commands_give_what_their_recording_gives(tmp_path):
    found = facts(m4_max(tmp_path))
    replayed = facts(Replay(RECORDED / "m4-max"))
    for field in ("chip", "generation", "variant", "core_levels", "cpu_count", "memory_bytes"):
        assert getattr(found, field) == getattr(replayed, field), field


def test_log_lines_on_stderr_stay_out_of_the_answer(tmp_path):
    noisy = f"echo 'sysctl[1:2] hw.cpufamily: 0xfa33415e' >&2; {cat('m4-max', 'sysctl_a_sequoia.txt')}"
    assert facts(live(tmp_path, {"sysctl": noisy})).chip == "Apple M4 Max"


def test_a_command_that_fails_or_is_not_there_is_no_answer(tmp_path):
    failing = live(tmp_path, {"sysctl": f"{cat('m4-max', 'sysctl_a_sequoia.txt')}; exit 1"})
    assert failing.ask(SYSCTL, GPU) == ((), ())
    assert facts(failing).chip is None


@pytest.mark.parametrize(
    "hang",
    ["sleep 60", "sleep 60 & wait", "trap '' TERM INT; while :; do sleep 1; done", "sleep 60 & exit 0"],
    ids=["itself", "its child", "deaf", "a child that it left with the pipe"],
)
def test_a_command_that_hangs_costs_no_more_than_the_time_out(tmp_path, hang):
    started = time.monotonic()
    probe = live(
        tmp_path, {"sysctl": f"{hang} # {tmp_path}", "ioreg": "echo '\"gpu-core-count\" = 8'"}, timeout=0.5
    )
    found = facts(probe)
    assert time.monotonic() - started < 3
    assert found.chip is None
    assert found.gpu_cores == 8, "the other command's answer counts"
    assert nothing_is_left(tmp_path)


def nothing_is_left(folder: Path) -> bool:
    """Whether no command of this folder's runs, nor what one has started."""
    limit = time.monotonic() + 5
    while found := [process for process in psutil.process_iter() if is_of(process, folder)]:
        if time.monotonic() > limit:
            return False
        psutil.wait_procs(found, timeout=0.1)
    return True


def is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        search = process.environ().get("PATH", "")  # macOS does not show that of a command of its own
        return search.startswith(f"{folder}:") or str(folder) in " ".join(process.cmdline())
    except psutil.Error:  # it has ended, or is another user's
        return False


HANGING = dict.fromkeys(("sysctl", "ioreg", "notifyutil", "pmset"), "sleep 60 & wait")


class Interrupted(Live):
    """Ctrl-C comes while the third command is being started."""

    count = 0

    def _start(self, question: Question) -> Any:
        self.count += 1
        if self.count == 3:
            raise KeyboardInterrupt
        return super()._start(question)


def test_ctrl_c_ends_all_that_was_started(tmp_path):
    path = f"{commands(tmp_path, HANGING)}:/usr/bin:/bin"
    with pytest.raises(KeyboardInterrupt):
        Interrupted(system="darwin", path=path, timeout=60).ask(SYSCTL, GPU, THERMAL, POWER_MODE)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("answered", [0, 2])
def test_ctrl_c_while_waiting_ends_those_that_have_not_answered(tmp_path, monkeypatch, answered):
    scripts = HANGING | dict.fromkeys(list(HANGING)[:answered], "echo 1")
    probe = live(tmp_path, scripts, timeout=60)
    ended: list[int] = []
    end, finish = os.killpg, probe_module._finish

    def counted(group: int, number: int) -> None:
        ended.append(group)
        end(group, number)

    def interrupted(process: Any, deadline: float) -> str | None:
        if process.args[0] == list(HANGING)[answered]:
            signal.raise_signal(signal.SIGINT)
        return finish(process, deadline)

    monkeypatch.setattr(os, "killpg", counted)
    monkeypatch.setattr(probe_module, "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe.ask(SYSCTL, GPU, THERMAL, POWER_MODE)
    assert nothing_is_left(tmp_path)
    assert len(ended) == len(HANGING) - answered, "a number that has ended may be another's"


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    found = facts(live(tmp_path, {"sysctl": r"printf 'hw.ncpu: 8\n\377\376\n\000hw.memsize: 1\n'"}))
    assert found.cpu_count == 8
    assert found.memory_bytes is None


def test_a_variable_replays_a_whole_process(monkeypatch):
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(RECORDED / "m5"))
    assert facts(this_machine()).chip == "Apple M5"


def test_one_answer_of_several_keys_or_one_key_in_each_file(tmp_path):
    (tmp_path / "sysctl_n_hw.memsize.txt").write_text("25769803776\n")
    (tmp_path / "sysctl_n_memsize_ncpu.txt").write_text("68719476736\n24\n")  # whose value is which?
    found = facts(Replay(tmp_path))
    assert (found.memory_bytes, found.cpu_count) == (24 * 2**30, None)
