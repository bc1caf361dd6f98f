"""What each recorded machine is, field by field, from its files alone; what they do not say is None."""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path

import psutil
import pytest

from runtime_lib.hardware.read.chips import chip, chips
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import Live
from runtime_lib.hardware.replay.folder import Replay
from tests.support.recorded import RECORDED

FOLDERS = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
GB = 2**30
# A field that is not named here must be None. Some folders hold what several machines of one chip printed:
# the first file that answers a question counts.
EXPECTED = {
    "any": {"platform": "darwin"},
    "intel": {
        "platform": "darwin",
        "machine": "x86_64",
        "chip": "Intel(R) Core(TM) i7-4980HQ CPU @ 2.80GHz",
        "is_translated": False,
    },
    "linux-asahi-m1": {
        "platform": "linux",
        "machine": "arm64",
        "chip": "Apple M1",
        "generation": 1,
        "variant": "base",
        "neural_engine_cores": 16,
        "is_translated": False,
    },
    "linux-asahi-m2": {
        "platform": "linux",
        "machine": "arm64",
        "chip": "Apple M2",
        "generation": 2,
        "variant": "base",
        "neural_engine_cores": 16,
        "is_translated": False,
    },
    "m-series-32gb-mini": {"platform": "darwin"},
    "m1": {
        "platform": "darwin",
        "machine": "arm64",
        "cpu_count": 8,
        "memory_bytes": 16 * GB,
        "core_levels": "4 None + 4 None",
    },
    "m1-max": {"platform": "darwin"},
    "m1-pro": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M1 Pro",
        "generation": 1,
        "variant": "Pro",
        "core_levels": "8 Performance + 2 Efficiency",
        "cpu_count": 10,
        "memory_bytes": 16 * GB,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 200.0,
        "is_translated": False,
    },
    "m2": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M2",
        "generation": 2,
        "variant": "base",
        "core_levels": "4 Performance + 4 Efficiency",
        "cpu_count": 8,
        "memory_bytes": 16 * GB,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 100.0,
        "is_translated": False,
    },
    "m2-ultra": {"platform": "darwin"},
    "m3-max": {
        "platform": "darwin",
        "machine": "arm64",
        "core_levels": "12 Performance + 4 Efficiency",
        "cpu_count": 16,
        "memory_bytes": 128 * GB,
    },
    "m3-ultra": {
        "platform": "darwin",
        "memory_bytes": 256 * GB,
        "working_set_bytes": 223338299392,
    },
    "m4": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M4",
        "generation": 4,
        "variant": "base",
        "gpu_cores": 10,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 120.0,
    },
    "m4-max": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M4 Max",
        "generation": 4,
        "variant": "Max",
        "core_levels": "12 Performance + 4 Efficiency",
        "cpu_count": 16,
        "memory_bytes": 64 * GB,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 546.0,
        "is_translated": False,
    },
    "m4-pro": {
        "platform": "darwin",
        "machine": "arm64",
        "core_levels": "10 Performance + 4 Efficiency",
        "cpu_count": 14,
        "memory_bytes": 64 * GB,
    },
    "m5": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M5",
        "generation": 5,
        "variant": "base",
        "model": "Mac17,2",
        "core_levels": "4 Super + 6 Efficiency",
        "cpu_count": 10,
        "memory_bytes": 24 * GB,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 153.0,
        "is_virtual": False,
        "is_translated": False,
    },
    "m5-max": {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M5 Max",
        "generation": 5,
        "variant": "Max",
        "core_levels": "6 Super + 12 Performance",
        "cpu_count": 18,
        "gpu_cores": 40,
        "neural_engine_cores": 16,
        "memory_bandwidth_gbs": 614.0,
    },
    "vm-intel-github-macos15": {
        "platform": "darwin",
        "machine": "x86_64",
        "chip": "Intel(R) Core(TM) i7-8700B CPU @ 3.20GHz",
        "model": "Macmini6,2",
        "core_levels": "4 Standard",
        "memory_bytes": 14 * GB,
        "is_translated": False,
    },
}


def as_row(found: Facts) -> dict[str, object]:
    """The fields that are known, core levels in short."""
    row = {name: value for name, value in found.to_dict().items() if value not in (None, ())}
    row.pop("sources")
    if found.core_levels:
        row["core_levels"] = " + ".join(f"{level.count} {level.name}" for level in found.core_levels)
    return row


def replay(folder: Path, **files: str) -> Facts:
    """The facts of a machine that answers with these texts; `_txt` ends a file's name."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem}.{ending}").write_text(text)
    return facts(Replay(folder))


def levels(*counts: tuple[str | None, int], total: int | None = None, announced: int | None = None) -> str:
    lines = [f"hw.ncpu: {total}"] if total else []
    lines += [f"hw.nperflevels: {announced}"] if announced else []
    for number, (name, count) in enumerate(counts):
        lines += [f"hw.perflevel{number}.physicalcpu: {count}"]
        lines += [f"hw.perflevel{number}.name: {name}"] if name else []
    return "\n".join(lines)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_recorded_machine_is_what_its_files_say(folder):
    found = facts(Replay(RECORDED / folder))
    assert as_row(found) == EXPECTED[folder]
    known = {field.name for field in fields(Facts) if getattr(found, field.name) not in (None, (), {})}
    assert set(found.sources) == known - {"platform", "sources"}, "each known field names its source"


def test_a_machine_of_tomorrow_passes(tmp_path):
    text = "machdep.cpu.brand_string: Apple M17 Colossal\nhw.memsize: 2199023255552\n"
    named = levels(("Hyper", 8), ("Super", 16), ("Calm", 4), total=28, announced=3)
    assert as_row(replay(tmp_path, sysctl_txt=text + named)) == {
        "platform": "darwin",
        "machine": "arm64",
        "chip": "Apple M17 Colossal",
        "generation": 17,
        "variant": "Colossal",
        "core_levels": "8 Hyper + 16 Super + 4 Calm",
        "cpu_count": 28,
        "memory_bytes": 2048 * GB,
        "is_translated": False,
    }


def test_three_levels_of_an_m6(tmp_path):
    three = levels(("Super", 2), ("Performance", 4), ("Efficiency", 6), total=12, announced=3)
    found = replay(tmp_path, sysctl_txt=f"machdep.cpu.brand_string: Apple M6\n{three}")
    assert as_row(found)["core_levels"] == "2 Super + 4 Performance + 6 Efficiency"


@pytest.mark.parametrize(
    "text",
    [
        levels(("Performance", 8), total=10),  # the second level was cut off
        levels(("Performance", 8), announced=2),
        levels(("Performance", 8), ("Efficiency", 2)),  # nothing to check it against
        levels(("Performance", 8), ("Efficiency", 2), total=9),
        levels(("Performance", 8), ("Efficiency", 99999), total=100007),
        "hw.ncpu: 10\nhw.perflevel1.physicalcpu: 10\n",
    ],
)
def test_levels_that_are_not_whole_are_unknown(tmp_path, text):
    assert replay(tmp_path, sysctl_txt=text).core_levels is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Names in another order than that of speed, on a later system.
        (levels(("Efficiency", 4), ("Super", 6), total=10), "6 Super + 4 Efficiency"),
        (levels(("Performance", 4), ("Performance", 6), total=10), None),
        (levels(("Performance", 4), ("Effi", 6), total=10), None),
        (levels(("Performance", 8), ("Efficiency", 2), total=1) + "\nhw.physicalcpu: 1", None),
        # Without names the table's count only in the table's order: 2 + 8 is not how this chip is sold.
        (
            "machdep.cpu.brand_string: Apple M1 Pro\n" + levels((None, 2), (None, 8), total=10),
            "2 None + 8 None",
        ),
        (
            "machdep.cpu.brand_string: Apple M1 Pro\n" + levels((None, 8), (None, 2), total=10),
            "8 Performance + 2 Efficiency",
        ),
    ],
)
def test_levels_are_named_and_ordered_by_what_is_known(tmp_path, text, expected):
    assert as_row(replay(tmp_path, sysctl_txt=text)).get("core_levels") == expected


NAMES = "hw.perflevel0.name: Super\nhw.perflevel1.name: Efficiency\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"hw.nperflevels: 2\n{NAMES}", [("Super", None), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\n{NAMES}hw.perflevel0.physicalcpu: 4\n", [("Super", 4), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\nhw.ncpu: 10\n{NAMES}", [("Super", None), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\nhw.ncpu: 1\n{NAMES}", None),  # two levels have two cores at least
        (f"hw.nperflevels: 2\nhw.ncpu: 4\n{NAMES}hw.perflevel0.physicalcpu: 4\n", None),
        (f"hw.nperflevels: 2\n{NAMES}hw.perflevel0.physicalcpu: 4,0\n", None),  # damaged
        (f"hw.nperflevels: 3\n{NAMES}", None),  # one was cut off
        (f"hw.ncpu: 10\n{NAMES}", None),  # one may have been
        ("hw.nperflevels: 2\nhw.perflevel0.name: Super\n", None),
    ],
)
def test_levels_that_are_named_are_kept_without_their_counts(tmp_path, text, expected):
    """`count: null` in JSON."""
    found = replay(tmp_path, sysctl_txt=f"hw.optional.arm64: 1\n{text}")
    assert [(level.name, level.count) for level in found.core_levels or ()] == (expected or [])
    assert found.cpu_count in (1, 4, 10, None), "never the sum of some levels"
    assert ("hw.ncpu" in text) == (found.cpu_count is not None)


def test_a_whole_answer_counts_before_one_without_counts(tmp_path):
    (tmp_path / "sysctl_a.txt").write_text(f"hw.nperflevels: 2\n{NAMES}")
    (tmp_path / "sysctl_b.txt").write_text(levels(("Super", 4), ("Efficiency", 6), total=10) + "\n")
    assert as_row(facts(Replay(tmp_path)))["core_levels"] == "4 Super + 6 Efficiency"


@pytest.mark.parametrize(
    ("text", "count", "source"),
    [
        ("hw.ncpu: 16\nhw.logicalcpu: 12\nhw.physicalcpu: 8\n", 16, "sysctl hw.ncpu"),
        ("hw.logicalcpu: 12\nhw.physicalcpu: 8\n", 12, "sysctl hw.logicalcpu"),
        ("hw.physicalcpu: 8\n", 8, "sysctl hw.physicalcpu"),
        ("hw.physicalcpu: 8\nmachdep.cpu.brand_string: Intel(R) Core(TM) i9\n", None, None),  # or 16
        ("hw.logicalcpu: 0\n", None, None),
        ("hw.memsize: 1\nhw.logicalcpu: 1", None, None),  # cut: of 16?
    ],
)
def test_the_cpus_are_counted_by_the_key_that_there_is(tmp_path, text, count, source):
    found = replay(tmp_path, sysctl_txt=text)
    assert (found.cpu_count, found.sources.get("cpu_count")) == (count, source)


def test_more_cores_in_the_levels_than_cpus_is_a_contradiction(tmp_path):
    text = levels(("Super", 4), ("Efficiency", 6), announced=2)
    assert replay(tmp_path, sysctl_txt=f"hw.logicalcpu: 9\n{text}\n").core_levels is None


@pytest.mark.parametrize("answer", ["", "sysctl: unknown oid 'hw.target'\n"])
def test_one_failed_question_leaves_the_others_their_answers(tmp_path, answer):
    for path in (RECORDED / "m5").glob("sysctl_n_*"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "sysctl_n_hw.target.txt").write_text(answer)
    assert as_row(facts(Replay(tmp_path)))["core_levels"] == "4 Super + 6 Efficiency"


@pytest.mark.parametrize(
    "brand",
    ["Apple M4 Masysctl: unknown oid", "Appl", "Apple processor", "VirtualApple @ 2.50GHz", "Apple M"],
)
def test_what_is_no_chip_is_unknown(tmp_path, brand):
    assert replay(tmp_path, sysctl_txt=f"machdep.cpu.brand_string: {brand}\n").chip is None


@pytest.mark.parametrize("model", ["VMware20,1", "Parallels-ARM Virtual Machine", "QEMU Virtual Machine"])
def test_models_of_virtual_machines(tmp_path, model):
    text = f"hw.model: {model}\nmachdep.cpu.brand_string: Apple M5 Pro\n"
    assert replay(tmp_path / "a", sysctl_txt=text).is_virtual is True


@pytest.mark.parametrize("name", ["ioreg", "ioreg_r_c_IOAccelerator.log", "ioreg_l.txt"])
def test_any_file_named_after_ioreg_answers(tmp_path, name):
    (tmp_path / name).write_text('"model" = "Apple M4"\n"gpu-core-count" = 10\n')
    found = facts(Replay(tmp_path))
    assert (found.platform, found.chip, found.gpu_cores) == ("darwin", "Apple M4", 10)


@pytest.mark.filterwarnings("error")
def test_damaged_text_of_mlx_warns_nobody(tmp_path):
    assert replay(tmp_path, mlx_device_info_txt="{'memory_size': 1 is 1, 'a': '\\d'}").memory_bytes is None


def test_levels_of_two_machines_are_not_mixed(tmp_path):
    one = levels(("Performance", 8), total=10)  # cut
    other = "hw.perflevel1.physicalcpu: 2\nhw.perflevel1.name: Efficiency\nhw.nperflevels: 2\n"
    assert replay(tmp_path, sysctl_a_txt=one, sysctl_b_txt=other).core_levels is None


def test_rosetta_is_not_intel(tmp_path):
    text = (
        "machdep.cpu.brand_string: VirtualApple @ 2.50GHz\nsysctl.proc_translated: 1\nhw.optional.arm64: 1\n"
    )
    gpu = '"model" = "Apple M1"\n"gpu-core-count" = 8\n'
    found = as_row(replay(tmp_path, sysctl_txt=text, ioreg_txt=gpu))
    assert (found["is_translated"], found["chip"], found["machine"]) == (True, "Apple M1", "arm64")


def test_the_working_set_is_of_the_machine_with_that_memory(tmp_path):
    info = "{{'memory_size': {}, 'max_recommended_working_set_size': {}}}"
    files = {
        "mlx_device_info_a_txt": info.format(48 * GB, 37 * GB),
        "mlx_device_info_b_txt": info.format(64 * GB, 48 * GB),
    }
    assert replay(tmp_path, sysctl_txt=f"hw.memsize: {64 * GB}", **files).working_set_bytes == 48 * GB
    (tmp_path / "mlx_device_info_b.txt").write_text(info.format(64 * GB, 65 * GB))
    assert facts(Replay(tmp_path)).working_set_bytes is None


def test_this_machine_is_asked_without_starting_a_process(monkeypatch):
    found = facts()
    assert found.cpu_count == psutil.cpu_count()
    assert found.memory_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    if found.platform == "linux":
        monkeypatch.setattr("subprocess.Popen", None)  # a start would fail loudly
        assert facts(Live()) == found


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


def test_the_table_of_chips_is_whole():
    for name, row in chips().items():
        assert row.name == name
        assert row.sources, f"{name} has no source"
        assert len({tuple(level.name for level in each) for each in row.cores}) <= 1
        assert chip(name) is row
    with (RECORDED.parents[2] / "runtime_lib/hardware/read/chips.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(chips()) == 20
    assert chip("Apple M4 Max (Virtual)") is chip(None) is None


def test_a_replay_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        Replay(tmp_path / "nowhere")
