"""A recording replays to the same machine, and does not say whose it is."""

from __future__ import annotations

import ast
import os
import platform
import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest

from runtime_lib.errors import DataError
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import SYSCTL_KEYS, Live, Probe, Question
from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay import recording
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.hardware.replay.recording import record
from tests.support.identifiable import SECRETS, mac
from tests.support.recorded import RECORDED
from tests.support.stubs import live


@pytest.fixture(autouse=True)
def anna(monkeypatch, tmp_path):  # the temporary folder is named after the real one
    monkeypatch.setenv("LOGNAME", "anna.kowalski")


def both(probe: Probe) -> tuple[Facts, State]:
    machine = facts(probe)
    return machine, state(probe, facts=machine)


def test_a_recording_replays_to_the_same_facts_and_state(tmp_path):
    probe = mac(tmp_path)
    files = record(tmp_path / "new", probe)
    assert len(files) == 6
    machine, now = both(Replay(tmp_path / "new"))
    assert (machine, now) == both(probe)
    assert (machine.chip, machine.gpu_cores, machine.metal) == ("Apple M5", 10, "AGXMetalG17G")
    assert (now.thermal, now.power_mode, now.on_battery) == ("Moderate", "low", True)


def test_a_recording_holds_what_a_live_look_asks_and_what_metal_recommends(tmp_path, monkeypatch):
    """MLX answers in-process: stood in for by the dictionary of a real M4 Pro."""
    said = (RECORDED / "m4-pro" / "mlx_device_info_48GB.txt").read_text()
    told = {**ast.literal_eval(said), "owner": "anna.kowalski"}
    monkeypatch.setitem(sys.modules, "mlx", SimpleNamespace(core=SimpleNamespace(device_info=lambda: told)))
    monkeypatch.setitem(sys.modules, "mlx.core", sys.modules["mlx"].core)
    monkeypatch.setattr(recording, "find_spec", lambda name: True)
    monkeypatch.setattr(recording, "Live", lambda: mac(tmp_path))
    files = record(tmp_path / "new")
    assert {path.name for path in files} > {"mlx_device_info.txt"}
    assert "anna" not in (tmp_path / "new" / "mlx_device_info.txt").read_text()
    machine = facts(Replay(tmp_path / "new"))
    assert machine.working_set_bytes is None, "the M5 has 24 GiB: that working set is another machine's"
    (tmp_path / "new" / "sysctl.txt").write_text(f"hw.memsize: {told['memory_size']}\n")
    machine = facts(Replay(tmp_path / "new"))
    assert machine.working_set_bytes == told["max_recommended_working_set_size"]


def test_a_recording_does_not_say_whose_machine_it_is(tmp_path):
    files = record(tmp_path / "new", mac(tmp_path))
    for path in files:
        text = path.read_text()
        for secret in SECRETS:
            assert secret not in text, path.name


def test_the_planted_identifiers_are_in_what_the_commands_print(tmp_path):
    """Else the test above would show nothing."""
    probe = mac(tmp_path)
    said = "".join(text for texts in probe.ask(*questions()) for text in texts)
    for secret in SECRETS:
        assert secret in said


def questions() -> tuple[Question, ...]:
    from runtime_lib.hardware.replay.redact import COMMANDS

    return tuple(question for question, _ in COMMANDS.values())


@pytest.mark.parametrize("folder", sorted(path.name for path in RECORDED.iterdir() if path.is_dir()))
def test_a_recorded_machine_recorded_again_is_the_same_machine(tmp_path, folder):
    """Each question has one answer then: folders with several of one kind stay as their first says."""
    probe = First(RECORDED / folder)
    try:
        record(tmp_path / "new", probe)
    except DataError:
        assert not both(probe)[1].sources
        return
    machine, now = both(Replay(tmp_path / "new"))
    assert (machine, now) == both(probe)


class First(Replay):
    """As a live machine answers: once. Bare values are one answer of `sysctl`."""

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        answers = super().ask(*questions)
        return tuple(
            ("".join(texts),)
            if question.argv[:1] == ("sysctl",) and texts and is_one_key_each(texts)
            else texts[:1]
            for question, texts in zip(questions, answers, strict=True)
        )


def is_one_key_each(texts: tuple[str, ...]) -> bool:
    return all(
        text.count("\n") == 1 and text.partition(":")[0] in (*SYSCTL_KEYS, "hw.target") for text in texts
    )


@pytest.mark.parametrize(
    "line",
    [
        "+-o AppleParavirtGPU  <class AppleParavirtGPU, id 0x1000002c6, registered, matched>",
        '    | "owner"="c0ffee","IOClass"="AppleParavirtGPU","IOPlatformSerialNumber"="H7QX92LM3V"',
    ],
)
def test_a_mac_that_only_its_gpu_shows_to_be_virtual_stays_so(tmp_path, line):
    probe = mac(tmp_path, ioreg=f"printf '%s\\n' '{line}'")
    (tmp_path / "sysctl.out").write_text("machdep.cpu.brand_string: Apple M4\nhw.memsize: 17179869184\n")
    files = record(tmp_path / "new", probe)
    assert facts(Replay(tmp_path / "new")).is_virtual is True
    assert both(Replay(tmp_path / "new")) == both(probe)
    said = "".join(path.read_text() for path in files)
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("m1", "pmset_g.txt"),
        ("m4-max", "sysctl_a_sequoia.txt"),
        ("m4", "ioreg_AGXAccelerator.TRUNCATED.txt"),
        ("linux-asahi-m1", "proc_cpuinfo.txt"),
    ],
)
def test_an_answer_that_was_cut_anywhere_does_not_become_whole(tmp_path, folder, name):
    text = (RECORDED / folder / name).read_text()
    for end in range(1, len(text), max(7, len(text) // 80)):
        old, new = tmp_path / f"{end} old", tmp_path / f"{end} new"
        old.mkdir()
        (old / name).write_text(text[:end])
        with suppress(DataError):  # nothing to record
            record(new, Replay(old))
            assert both(Replay(new)) == both(Replay(old)), text[:end][-40:]


def test_a_cut_line_that_alone_is_kept_does_not_become_whole(tmp_path):
    probe = live(tmp_path / "bin", {"sysctl": r"printf 'kern.hostname: annas-macbook\nhw.ncpu: 1'"})
    record(tmp_path / "new", probe)
    assert facts(probe).cpu_count is None, "it may be the beginning of 16"
    assert both(Replay(tmp_path / "new")) == both(probe)


def test_a_user_whose_name_is_a_word_of_the_answers_loses_no_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "Max")
    brand = r"printf 'machdep.cpu.brand_string: Apple M4 Max\nhw.model: Mac16,9\n'"
    record(tmp_path / "new", live(tmp_path / "bin", {"sysctl": brand}))
    assert facts(Replay(tmp_path / "new")).chip == "Apple M4 Max"


def test_answers_that_cannot_be_parsed_are_left_out(tmp_path):
    probe = mac(tmp_path, ioreg="echo '<plist><array><dict>C02XK1ZQK7Q2'", vm_stat="exit 1")
    names = {path.name for path in record(tmp_path / "new", probe)}
    assert "sysctl.txt" in names
    assert not {name for name in names if name.startswith(("ioreg", "vm_stat"))}
    assert both(Replay(tmp_path / "new")) == both(probe)


# Linux


@pytest.mark.skipif(platform.system() != "Linux", reason="records this machine")
def test_this_linux_machine_is_recorded_and_replayed(tmp_path):
    record(tmp_path / "new")
    machine, now = both(Replay(tmp_path / "new"))
    here, there = both(Live())[1], now
    assert replace(machine, sources={}) == replace(facts(Live()), sources={})
    assert machine.cpu_count == os.cpu_count()
    assert there.free_memory_bytes == pytest.approx(here.free_memory_bytes, rel=0.5)  # it moves
    assert replace(there, free_memory_bytes=0) == replace(here, free_memory_bytes=0)


def test_on_linux_names_of_groups_and_devices_become_numbers(tmp_path):
    texts = {
        "proc_cpuinfo.txt": "model name\t: ARMv8\nSerial\t\t: 10000000a1b2c3d4\nflags\t\t: fpu\n",
        "proc_meminfo.txt": "MemTotal:       4096 kB\nMemAvailable:    2048 kB\n",
        "proc_self_cgroup.txt": "12:pids:/anna\n0::/user.slice/user-1000.slice/anna.kowalski.scope\n",
        "sys_fs_cgroup_user.slice_user-1000.slice_memory.max.txt": "1048576\n",
        "sys_fs_cgroup_user.slice_user-1000.slice_memory.current.txt": "8192\n",
        "sys_fs_cgroup_user.slice_user-1000.slice_memory.stat.txt": "anon 1\ninactive_file 4096\n",
        "proc_driver_nvidia_version.txt": "NVRM version: NVIDIA 570.1  (anna.kowalski@builder)\nGCC: x\n",
        "proc_driver_nvidia_gpus_0000:01:00.0_information.txt": "Model: \t\t NVIDIA RTX 4090\n"
        "GPU UUID: \t GPU-1F2E3D4C-5B6A-4789-8ABC-DEF012345678\n",
    }
    (tmp_path / "old").mkdir()
    for name, text in texts.items():
        (tmp_path / "old" / name).write_text(text)
    files = record(tmp_path / "new", Replay(tmp_path / "old"))
    assert both(Replay(tmp_path / "new")) == both(Replay(tmp_path / "old"))
    assert facts(Replay(tmp_path / "new")).memory_limit_bytes == 1048576
    assert facts(Replay(tmp_path / "new")).cuda_devices == ("NVIDIA RTX 4090",)
    said = "".join(f"{path.name}\n{path.read_text()}" for path in files)
    for secret in (*SECRETS, "anna", "user-1000", "10000000a1b2c3d4"):
        assert secret not in said
