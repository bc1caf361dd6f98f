"""What each recorded machine is, field by field, from its files alone; what they do not say is None."""

from __future__ import annotations

import csv
from dataclasses import fields

import psutil
import pytest

from runtime_lib.hardware.read.chips import chip, chips
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import Live
from runtime_lib.hardware.replay.folder import Replay
from tests.support.facts import as_row, levels, replay
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
