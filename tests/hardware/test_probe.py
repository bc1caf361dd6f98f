"""Commands that fail, hang, mumble or print logs between the lines: a value or None, in time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from runtime_lib.hardware.facts import facts
from runtime_lib.hardware.probe import GPU, HARDWARE, SYSCTL, Replay, this_machine
from tests.hardware.stubs import live

RECORDED = Path(__file__).parent / "recorded"


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
    log = "2026-04-28 08:52:35.280 system_profiler[29046:41174793] hw.cpufamily: 0x17d5b93a"
    profile = f"echo '{log}' >&2; {cat('m5', 'system_profiler_SPHardwareDataType.json')}; echo '{log}' >&2"
    found = facts(live(tmp_path / "b", {"system_profiler": profile}, slow=True))
    assert (found.chip, found.model) == ("Apple M5", "Mac17,2")


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
    before = set(psutil.pids())
    started = time.monotonic()
    probe = live(
        tmp_path, {"sysctl": f"{hang} # {tmp_path}", "ioreg": "echo '\"gpu-core-count\" = 8'"}, timeout=0.5
    )
    found = facts(probe)
    assert time.monotonic() - started < 3
    assert found.chip is None
    assert found.gpu_cores == 8, "the other command's answer counts"
    time.sleep(0.1)
    ours = [pid for pid in set(psutil.pids()) - before if os.getpid() in parents(pid)]
    assert not ours, "nothing that was started is left"


def parents(pid: int) -> set[int]:
    try:
        return {process.pid for process in psutil.Process(pid).parents()}
    except psutil.Error:
        return set()


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    found = facts(live(tmp_path, {"sysctl": r"printf 'hw.ncpu: 8\n\377\376\n\000hw.memsize: 1\n'"}))
    assert found.cpu_count == 8
    assert found.memory_bytes is None


def test_slow_questions_are_for_recordings(tmp_path):
    scripts = {"system_profiler": cat("m5", "system_profiler_SPHardwareDataType.json")}
    assert live(tmp_path, scripts).ask(HARDWARE) == ((),)
    assert live(tmp_path, scripts, slow=True).ask(HARDWARE) != ((),)


def test_a_variable_replays_a_whole_process(monkeypatch):
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(RECORDED / "m5"))
    assert facts(this_machine()).chip == "Apple M5"


def test_one_answer_of_several_keys_or_one_key_in_each_file(tmp_path):
    (tmp_path / "sysctl_n_hw.memsize.txt").write_text("25769803776\n")
    (tmp_path / "sysctl_n_memsize_ncpu.txt").write_text("68719476736\n24\n")  # whose value is which?
    found = facts(Replay(tmp_path))
    assert (found.memory_bytes, found.cpu_count) == (24 * 2**30, None)
