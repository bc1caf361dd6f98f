"""Answers that contradict each other, say little, or are of a kind that is easily taken for another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime_lib.hardware.read.chips import CoreLevel, chip
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import GPU, SYSCTL, Live
from runtime_lib.hardware.replay.folder import Replay
from tests.support.stubs import live

GB = 2**30
M4_MAX = """machdep.cpu.brand_string: Apple M4 Max
hw.optional.arm64: 1
hw.memsize: 68719476736
hw.ncpu: 16
hw.physicalcpu: 16
hw.nperflevels: 2
hw.perflevel0.physicalcpu: 12
hw.perflevel0.name: Performance
hw.perflevel1.physicalcpu: 4
hw.perflevel1.name: Efficiency
"""


def replay(folder: Path, files: dict[str, str]) -> Facts:
    for name, text in files.items():
        (folder / name).write_text(text)
    return facts(Replay(folder))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hw.ncpu: 16", "hw.ncpu: 1"),
        ("hw.physicalcpu: 16", "hw.physicalcpu: 14"),
        ("hw.nperflevels: 2", "hw.nperflevels: 3"),
        ("perflevel1.physicalcpu: 4", "perflevel1.physicalcpu: 44"),
        ("perflevel1.physicalcpu: 4", "perflevel1.physicalcpu: 0"),
        ("perflevel1.physicalcpu: 4", "perflevel1.physicalcpu: 4,0"),
        ("perflevel1", "perflevel2"),
    ],
)
def test_one_number_that_contradicts_leaves_no_levels(tmp_path, old, new):
    whole = replay(tmp_path, {"sysctl.txt": M4_MAX})
    assert whole.core_levels == (CoreLevel("Performance", 12), CoreLevel("Efficiency", 4))
    assert replay(tmp_path, {"sysctl.txt": M4_MAX.replace(old, new)}).core_levels is None


def test_a_size_that_lost_a_digit_is_unknown(tmp_path):
    for size in ("6871947673", "687194767360000000000", "68719476737"):
        assert replay(tmp_path, {"sysctl.txt": f"hw.memsize: {size}\n"}).memory_bytes is None
    assert replay(tmp_path, {"sysctl.txt": f"hw.memsize: {14 * GB}\n"}).memory_bytes == 14 * GB


def test_a_virtual_machine_has_not_what_the_whole_chip_has(tmp_path):
    guest = M4_MAX + "kern.hv_vmm_present: 1\n"
    found = replay(tmp_path, {"sysctl.txt": guest})
    assert found.is_virtual is True
    assert (found.neural_engine_cores, found.memory_bandwidth_gbs) == (None, None)


def test_a_paravirtual_gpu_is_of_a_virtual_machine(tmp_path):
    gpu = (
        "+-o AppleParavirtGPU  <class AppleParavirtGPU, id 0x1000002c6, registered, matched>\n    {\n    }\n"
    )
    assert replay(tmp_path, {"ioreg.txt": gpu}).is_virtual is True


def test_the_variant_decides_the_bandwidth(tmp_path):
    row = chip("Apple M3 Max")
    assert row.bandwidth(gpu_cores=30, cpu_count=14) == row.bandwidth(gpu_cores=None, cpu_count=14) == 300
    assert row.bandwidth(gpu_cores=40, cpu_count=None) == 400
    assert row.bandwidth(gpu_cores=None, cpu_count=None) is None
    assert row.bandwidth(gpu_cores=30, cpu_count=16) is None, "no such variant"
    assert chip("Apple M6").bandwidth(gpu_cores=12, cpu_count=12) is None
    found = replay(tmp_path, {"sysctl.txt": M4_MAX, "ioreg.txt": '      "gpu-core-count" = 40\n'})
    assert found.memory_bandwidth_gbs == 546
    assert "16 cores, 40 GPU cores" in found.sources["memory_bandwidth_gbs"]


def cpuinfo(*parts: str) -> str:
    entry = "processor\t: {}\nCPU implementer\t: 0x61\nCPU part\t: {}\n\n"
    return "".join(entry.format(number, part) for number, part in enumerate(parts))


@pytest.mark.parametrize(
    ("parts", "name", "cpus"),
    [
        (["0x028"] * 2 + ["0x029"] * 8, "Apple M1 Max", 10),
        (["0x028"] * 4 + ["0x029"] * 16, "Apple M1 Ultra", 20),
        (["0x038"] * 8 + ["0x039"] * 16, "Apple M2 Ultra", 24),
        (["0x028"] * 2 + ["0x029"] * 7, None, None),  # cut: of a Max, or of an Ultra?
        (["0x034"] * 4 + ["0x035"] * 5, "Apple M2 Pro", None),
        (["0x022", "0x033"], None, None),
        (["0x000"] * 4, None, None),  # a virtual machine on a Mac
    ],
)
def test_linux_on_an_apple_chip_is_named_by_its_parts_and_their_number(tmp_path, parts, name, cpus):
    found = replay(tmp_path, {"proc_cpuinfo.txt": cpuinfo(*parts)})
    assert (found.chip, found.cpu_count) == (name, cpus)
    assert sum(level.count for level in found.core_levels or ()) == (cpus or 0)


def test_rosetta_in_a_linux_guest_is_a_translated_virtual_machine(tmp_path):
    text = "processor\t: 0\nvendor_id\t: VirtualApple\nmodel name\t: VirtualApple @ 2.50GHz processor\n"
    found = replay(tmp_path, {"proc_cpuinfo.txt": text})
    assert (found.chip, found.is_virtual, found.is_translated) == (None, True, True)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc_self_cgroup.txt": "0::/\n", "sys_fs_cgroup_memory.max.txt": "max\n"}, None),
        ({"proc_self_cgroup.txt": "0::/\n", "sys_fs_cgroup_memory.max.txt": f"{64 * GB}\n"}, None),
        (
            {
                "proc_self_cgroup.txt": "9:cpu:/a\n8:memory:/a/b\n",
                "sys_fs_cgroup_memory_a_b_memory.limit_in_bytes.txt": "9223372036854771712\n",
                "sys_fs_cgroup_memory_a_memory.limit_in_bytes.txt": f"{2 * GB}\n",
            },
            2 * GB,
        ),
        *(
            (
                {
                    "proc_self_cgroup.txt": "0::/a/b\n",
                    "sys_fs_cgroup_a_b_memory.max.txt": f"{inner * GB}\n",
                    "sys_fs_cgroup_a_memory.max.txt": f"{outer * GB}\n",
                },
                2 * GB,
            )
            for inner, outer in ((2, 4), (4, 2))
        ),
        (
            {
                "proc_self_cgroup.txt": "8:memory:/\n",
                "sys_fs_cgroup_memory_memory.limit_in_bytes.txt": "9223372036854771712\n",
            },
            None,
        ),
        ({"proc_self_cgroup.txt": "0::/a\0/b\n"}, None),
    ],
)
def test_only_a_limit_below_the_memory_is_one(tmp_path, files, limit):
    found = replay(tmp_path, {"proc_meminfo.txt": "MemTotal: 16777216 kB\n", **files})
    assert found.memory_limit_bytes == limit


def test_no_limit_is_none_also_where_the_memory_is_unknown(tmp_path):
    files = {"proc_self_cgroup.txt": "8:memory:/\n"}
    files["sys_fs_cgroup_memory_memory.limit_in_bytes.txt"] = "9223372036854771712\n"
    assert replay(tmp_path, files).memory_limit_bytes is None


def test_a_service_with_a_bare_path_finds_the_commands(tmp_path, monkeypatch):
    """The PATH of cron is /usr/bin:/bin; `sysctl` and `ioreg` are in /usr/sbin."""
    monkeypatch.setattr(
        "runtime_lib.hardware.read.probe._SYSTEM_FOLDERS", (str(tmp_path), "/usr/bin", "/bin")
    )
    monkeypatch.setenv("PATH", "/nowhere")
    live(tmp_path, {"sysctl": "echo 'hw.ncpu: 8'"})
    assert Live(system="darwin").ask(SYSCTL) == (("hw.ncpu: 8\n",),)


def test_what_python_says_of_this_machine_is_not_said_of_another(tmp_path):
    found = facts(live(tmp_path, {}))
    assert (found.machine, found.cpu_count) == (None, None)
    assert facts(Live()).cpu_count == os.cpu_count()


def test_no_command_is_started_where_there_is_no_mac(tmp_path):
    left = tmp_path / "started"
    path = live(tmp_path, {"sysctl": f"touch '{left}'", "ioreg": f"touch '{left}'"})._path
    assert Live(system="linux", path=path).ask(SYSCTL, GPU) == ((), ())
    assert not left.exists()


def test_a_process_that_is_translated_knows_it_without_the_commands(tmp_path, monkeypatch):
    (tmp_path / "sysctl.txt").write_text(M4_MAX)
    probe = Live()
    monkeypatch.setattr(probe, "_system", "darwin")
    monkeypatch.setattr(probe, "_path", str(tmp_path))
    live(tmp_path, {"sysctl": f"/bin/cat '{tmp_path / 'sysctl.txt'}'"})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found = facts(probe)
    assert (found.machine, found.is_translated) == ("arm64", True)


def test_a_working_set_without_a_memory_to_compare_is_unknown(tmp_path):
    text = "{'max_recommended_working_set_size': 223338299392, 'device_name': 'Apple M3 Ultra'}\n"
    found = replay(tmp_path, {"mlx_device_info.txt": text})
    assert (found.memory_bytes, found.working_set_bytes) == (None, None)


@pytest.mark.parametrize(
    ("files", "chip_name"),
    [
        ({"sysctl.txt": "machdep.cpu.brand_string: Apple M4 Max (Virtual)\n"}, "Apple M4 Max (Virtual)"),
        ({"sysctl.txt": "machdep.cpu.brand_string: Apple M7 Ultra (Virtual)\n"}, "Apple M7 Ultra (Virtual)"),
        ({"sysctl.txt": "hw.model: VirtualMac2,1\nmachdep.cpu.brand_string: Apple processor\n"}, None),
    ],
)
def test_a_virtual_mac_tells_by_either_name(tmp_path, files, chip_name):
    found = replay(tmp_path, files)
    assert (found.is_virtual, found.chip, found.machine) == (True, chip_name, "arm64")


def test_a_processor_that_does_not_exist_is_rosettas(tmp_path):
    found = replay(tmp_path, {"sysctl.txt": "machdep.cpu.brand_string: VirtualApple @ 2.50GHz\n"})
    assert (found.chip, found.is_translated) == (None, True)


def test_a_level_that_lost_its_name_leaves_no_levels(tmp_path):
    text = M4_MAX.replace("hw.perflevel0.name: Performance\n", "")
    assert replay(tmp_path, {"sysctl.txt": text}).core_levels is None


def test_numbers_of_thousands_of_digits_do_no_harm(tmp_path):
    endless = "9" * 5000
    text = f"hw.ncpu: {endless}\nhw.memsize: {endless}\nhw.nperflevels: {endless}\n"
    files = {"sysctl.txt": text}
    files["ioreg.txt"] = f'"gpu-core-count" = {endless}\n'
    files["mlx_device_info.txt"] = f"{{'memory_size': {endless}}}"
    found = replay(tmp_path, files)
    assert (found.cpu_count, found.memory_bytes, found.gpu_cores) == (None, None, None)


def test_commands_answer_in_no_language(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    probe = live(tmp_path, {"sysctl": 'echo "said.in: $LC_ALL"'})
    assert probe.ask(SYSCTL) == (("said.in: C\n",),)


def test_a_torn_path_is_no_file(tmp_path):
    assert Live().read("/proc/a\0b") is None
    assert Replay(tmp_path).read("/proc/a\0b") is None
