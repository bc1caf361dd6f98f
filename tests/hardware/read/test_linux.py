"""Facts of Linux machines, from files that may be cut."""

from __future__ import annotations

import pytest

from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.replay.folder import Replay
from tests.support.facts import as_row, replay

GB = 2**30


def test_the_control_group_bounds_the_memory(tmp_path):
    files = {
        "proc_meminfo.txt": "MemTotal: 16777216 kB\n",
        "proc_self_cgroup.txt": "0::/kubepods/pod7/abc\n",
        "sys_fs_cgroup_kubepods_pod7_abc_memory.max.txt": "max\n",
        "sys_fs_cgroup_kubepods_pod7_memory.max.txt": f"{4 * GB}\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = facts(Replay(tmp_path))
    assert (found.memory_bytes, found.memory_limit_bytes) == (16 * GB, 4 * GB)


def test_a_whole_asahi_linux_has_its_cores_counted(tmp_path):
    part = "processor : {}\nCPU implementer : 0x61\nCPU part : {}\n\n"
    text = "".join(part.format(n, "0x022" if n < 4 else "0x023") for n in range(8))
    found = as_row(replay(tmp_path, proc_cpuinfo_txt=text))
    assert (found["core_levels"], found["cpu_count"]) == ("4 Performance + 4 Efficiency", 8)


def asahi(*parts: str) -> str:
    block = "processor : {}\nCPU implementer : 0x61\nCPU part : {}\n\n"
    return "".join(block.format(number, part) for number, part in enumerate(parts))


MAX, PRO = ["0x038"] * 4 + ["0x039"] * 8, ["0x034"] * 4 + ["0x035"] * 8


@pytest.mark.parametrize(
    ("text", "online", "chip", "cores"),
    [
        (asahi(*MAX), "0-11\n", "Apple M2 Max", 12),
        (asahi(*MAX, *MAX), None, "Apple M2 Ultra", 24),
        (asahi(*MAX), "0-23\n", None, 24),  # half of an Ultra's file
        (asahi(*MAX) + "processor : 12\nCPU impl", None, None, None),
        (asahi(*PRO[:10]), "0-11\n", "Apple M2 Pro", 12),  # sold with ten cores too
        (asahi(*PRO[:10]), None, "Apple M2 Pro", 10),
    ],
)
def test_a_part_of_an_asahi_linux_is_not_a_smaller_chip(tmp_path, text, online, chip, cores):
    if online:
        (tmp_path / "sys_devices_system_cpu_online.txt").write_text(online)
    found = replay(tmp_path, proc_cpuinfo_txt=text)
    assert (found.chip, found.cpu_count) == (chip, cores)
    assert sum(level.count for level in found.core_levels or ()) in (0, cores)


@pytest.mark.parametrize(
    ("text", "chip", "is_virtual", "is_translated"),
    [
        (
            "processor : 0\nmodel name : Intel(R) Xeon(R)\nflags : fpu hypervisor\n\n",
            "Intel(R) Xeon(R)",
            True,
            False,
        ),
        ("processor : 0\nmodel name : Intel(R) Xeon(R)\nflags : fpu hyp", "Intel(R) Xeon(R)", None, False),
        ("processor : 0\nmodel name : Intel(R) Xe", None, None, False),
        ("", None, None, None),
    ],
)
def test_a_cut_cpuinfo_is_read_to_its_last_whole_line(tmp_path, text, chip, is_virtual, is_translated):
    found = replay(tmp_path, proc_meminfo_txt="MemTotal: 16777216 kB\n", proc_cpuinfo_txt=text)
    assert (found.chip, found.is_virtual, found.is_translated) == (chip, is_virtual, is_translated)


def test_cuda_devices_are_named_by_the_kernel_driver(tmp_path):
    (tmp_path / "proc_driver_nvidia_version.txt").write_text("NVRM version: 570\n")
    gpu = tmp_path / "proc_driver_nvidia_gpus_0000:01:00.0_information.txt"
    gpu.write_text("Model: \t\t NVIDIA L4\nIRQ: 24\n")
    assert facts(Replay(tmp_path)).cuda_devices == ("NVIDIA L4",)
