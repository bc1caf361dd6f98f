"""A figure of energy is measured, estimated or unknown, says which and from where, and is never invented.

No Apple chip, NVIDIA GPU or RAPL is at hand here. What stands in for them:

- `zeus_apple_silicon`: a module in a folder on PYTHONPATH with the names that version 1.1.0 has in
  bindings/energy_bindings.hpp (`AppleEnergyMonitor()`, `begin_window(key, restart=False)`,
  `end_window(key)`; `cpu_total_mj`, `gpu_mj`, `ane_mj`, `dram_mj` … in millijoules or None) and that
  behaves as apple_energy.hpp does: samples of ever growing counters, the difference of two is a window,
  a key that is open twice or not at all is a RuntimeError, an unknown unit a ValueError.
- NVML: the real `pynvml`, above a small C library in the place of the driver's.
- RAPL: a folder tree of the kernel's shape.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.hardware import Device
from runtime_lib.hardware.energy import counters
from runtime_lib.hardware.energy import meter as metering
from runtime_lib.hardware.energy.counters import Counted, Rapl
from runtime_lib.hardware.energy.estimate import Cost, Energy, Work, cost, estimate, figures
from runtime_lib.hardware.energy.meter import meter
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.settings import Hardware
from tests.support.recorded import RECORDED
from tests.support.releases import REPOSITORY

CPU, CUDA = Device("torch", "cpu", "test"), Device("torch", "cuda", "test")
METAL = Device("mlx", "gpu", "test")


def mac(chip: str, cores: int, **more: Any) -> Facts:
    values = {"memory_bytes": 2**34, "is_virtual": False, "is_translated": False, **more}
    return Facts(platform="darwin", machine="arm64", chip=chip, cpu_count=cores, **values)


M2_MAX, M4 = mac("Apple M2 Max", 12), mac("Apple M4", 10)
LINUX = replace(M4, platform="linux", machine="x86_64", chip="a processor")
# A translated process cannot load Apple's counters: an estimate, on a Mac too.
TRANSLATED = replace(M2_MAX, machine="x86_64", is_translated=True)
# The same in a new interpreter, which imports only what the meter does.
PRELUDE = f"""
import json, sys
from dataclasses import replace
from pathlib import Path
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.energy.meter import meter
from runtime_lib.hardware.read.facts import Facts
CPU, CUDA, METAL, M2_MAX, M4, LINUX = {(CPU, CUDA, METAL, M2_MAX, M4, LINUX)!r}
"""


def run(code: str, folder: Path, **environ: str) -> dict[str, Any]:
    """Run `code` in a new interpreter, stand-ins first on its path; its last line is JSON."""
    path = os.pathsep.join([str(folder), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "500", **environ}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SHOW = "\nprint(json.dumps({'joules': e.joules, 'kind': e.kind, 'source': e.source, 'seconds': e.seconds}))"


# --- Estimated ---


@pytest.mark.parametrize(
    ("machine", "work", "watts"),
    [
        (M2_MAX, Work(100, 0), 9),
        (M2_MAX, Work(100, 600), 77),  # half of 12 cores: 9 + 136 / 2
        (M2_MAX, Work(100, 600, gpu=0.75), 111),  # the GPU is the busier: 9 + 136 * 0.75
        (M2_MAX, Work(100, 600, gpu=0.25), 77),
        (M2_MAX, Work(100, 9999), 145),  # children's time may be older than the block
        (M4, Work(60, 150), 20),  # a quarter of 10 cores: 5 + 60 / 4
        (M4, Work(60, 600), 65),
    ],
)
def test_an_estimate_lies_on_the_line_between_the_tables_watts(machine, work, watts):
    found = estimate(machine, work)
    assert found.joules == pytest.approx(watts * work.seconds)
    assert found.kind == "estimated"
    assert machine.chip in found.source
    assert "wall" in found.source
    assert "chips.csv" in found.source


@given(
    seconds=st.floats(1e-3, 1e6),
    cpu=st.floats(0, 1e7),
    more=st.floats(0, 1e6),
    gpu=st.none() | st.floats(0, 1),
)
def test_an_estimate_stays_between_idle_and_full_and_never_falls_with_the_work(seconds, cpu, more, gpu):
    less, greater = (estimate(M2_MAX, Work(seconds, spent, gpu=gpu)).joules for spent in (cpu, cpu + more))
    assert 9 * seconds * (1 - 1e-9) <= less <= greater <= 145 * seconds * (1 + 1e-9)


@pytest.mark.parametrize(
    ("machine", "work", "reason"),
    [
        (mac("Apple M5", 10), Work(10, 10), "no sourced watts for Apple M5"),
        (mac("Apple M3 Pro", 12), Work(10, 10), "no sourced watts for Apple M3 Pro"),
        (mac("Apple M2 Max (Virtual)", 4, is_virtual=True), Work(10, 10), "virtual machine"),
        (replace(M4, is_virtual=True), Work(10, 10), "virtual machine"),
        (replace(M4, chip=None), Work(10, 10), "without a name"),
        (replace(M4, cpu_count=None), Work(10, 10), "number of cores"),
        (replace(M4, platform="linux"), Work(10, 10), "this is linux"),
        (M4, Work(10, 10, slept_seconds=31), "slept for 31 s"),
        (M4, Work(-1, 10), "clocks"),
        (M4, Work(10, -1), "clocks"),
    ],
)
def test_what_cannot_be_estimated_is_unknown_and_says_why(machine, work, reason):
    found = estimate(machine, work)
    assert (found.joules, found.kind) == (None, "unknown")
    assert reason in found.source


def test_work_on_a_gpu_is_not_estimated_from_the_processor_alone():
    assert estimate(M4, Work(10, 10), part="GPU").kind == "unknown"
    assert estimate(M4, Work(10, 10, gpu=0.5), part="GPU").joules == pytest.approx(35 * 10)
    assert "GPU not counted" in estimate(M4, Work(10, 10), part="CPU").source


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDED.iterdir() if path.is_dir()))
def test_of_recorded_machines_only_real_macs_with_sourced_watts_get_a_figure(name):
    machine = facts(Replay(RECORDED / name))
    found = estimate(machine, Work(10, 10))
    sourced = {"Apple M1", "Apple M1 Max", "Apple M1 Ultra", "Apple M2", "Apple M2 Pro", "Apple M2 Max"} | {
        "Apple M2 Ultra",
        "Apple M4",
        "Apple M4 Max",
    }
    able = machine.platform == "darwin" and not machine.is_virtual and machine.cpu_count
    assert (found.kind == "estimated") == bool(able and machine.chip in sourced)


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_busy_block_costs_more_than_a_sleeping_one_of_the_same_length(tmp_path):
    machine = replace(TRANSLATED, cpu_count=os.cpu_count())
    with meter(machine, device=CPU, powercap=tmp_path) as asleep:
        time.sleep(0.4)
    with meter(machine, device=CPU, powercap=tmp_path) as busy:
        spin(0.4)
    assert asleep.energy.kind == busy.energy.kind == "estimated"
    assert asleep.energy.seconds == pytest.approx(busy.energy.seconds, rel=0.3)
    assert busy.energy.joules / busy.energy.seconds > 1.5 * asleep.energy.joules / asleep.energy.seconds
    assert asleep.energy.joules >= 9 * 0.4


def test_the_time_of_child_processes_counts_when_they_have_ended():
    with meter(replace(TRANSLATED, cpu_count=1), device=CPU) as idle:
        time.sleep(0.3)
    with meter(replace(TRANSLATED, cpu_count=1), device=CPU) as used:
        subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert used.energy.joules / used.energy.seconds > 2 * idle.energy.joules / idle.energy.seconds


def test_an_exception_travels_on_and_leaves_a_figure():
    with pytest.raises(ZeroDivisionError), meter(TRANSLATED, device=CPU) as used:
        1 / 0  # noqa: B018
    assert used.energy.kind == "estimated"
    assert used.energy.joules > 0


def test_until_the_block_ends_the_energy_is_unknown():
    with meter(TRANSLATED, device=CPU) as used:
        assert used.energy == Energy(None, "unknown", "the work is still going on", 0)


@pytest.mark.parametrize("device", ["METAL", "None"])
def test_how_busy_the_gpu_is_comes_from_the_machines_state(tmp_path, device):
    recorded = RECORDED / "m4" / "ioreg_AGXAccelerator.TRUNCATED.txt"
    ioreg = tmp_path / "ioreg"
    ioreg.write_text(f"#!/bin/sh\ncase \"$*\" in *IOAccelerator*) exec cat '{recorded}';; esac\nexit 1\n")
    ioreg.chmod(0o755)
    code = f"""
import platform, time
platform.system = lambda: "Darwin"
with meter(replace(M4, machine="x86_64"), device={device}) as used: time.sleep(0.1)
e = used.energy{SHOW}"""
    found = run(code, tmp_path, PATH=os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    assert found["kind"] == "estimated"
    assert "GPU 30%" in found["source"]
    assert found["joules"] == pytest.approx((5 + 60 * 0.3) * found["seconds"])


def test_a_gpu_whose_use_cannot_be_read_makes_work_on_it_unknown():
    with meter(TRANSLATED, device=METAL) as used:
        pass
    if sys.platform != "darwin":
        assert used.energy.kind == "unknown"
        assert "how busy" in used.energy.source
    assert not [each for each in threading.enumerate() if each.name == "mlops-energy"]


def test_meters_side_by_side_each_get_a_figure():
    found: list[Energy] = []

    def work() -> None:
        with meter(TRANSLATED, device=CPU) as used:
            time.sleep(0.1)
        found.append(used.energy)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.kind for each in found] == ["estimated"] * 8
    assert not [each for each in threading.enumerate() if each.name == "mlops-energy"]


def test_a_machine_that_slept_gets_no_figure_though_its_counters_moved(tmp_path, monkeypatch):
    clocks = iter([(100.0, 100.0, 0.0), (110.0, 151.0, 5.0)])
    monkeypatch.setattr(metering, "_clocks", lambda: next(clocks))
    tree = powercap(tmp_path, before=0)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        count(tree, 5_000_000)
    assert used.energy == Energy(None, "unknown", "the machine slept for 41 s meanwhile", 10.0)


@pytest.mark.skipif(sys.platform != "linux", reason="about Linux")
def test_this_machine_without_counters_is_unknown(tmp_path):
    with meter(facts(), device=CPU, powercap=tmp_path / "none") as used:
        spin(0.05)
    assert (used.energy.joules, used.energy.kind) == (None, "unknown")
    assert used.energy.source
    assert used.energy.seconds >= 0.05


def test_the_meter_is_light_and_loads_no_package_of_a_maker(tmp_path):
    code = """
with meter(M2_MAX, device=CPU): pass
print(json.dumps([name for name in ("pynvml", "numpy", "torch", "mlx") if name in sys.modules]))"""
    assert run(code, tmp_path) == []


# --- Apple's counters ---

STAND_IN = """
import json, os, signal

FIELDS = ("cpu_total_mj", "efficiency_cores_mj", "performance_cores_mj", "efficiency_cluster_mj",
          "performance_cluster_mj", "efficiency_core_manager_mj", "performance_core_manager_mj",
          "dram_mj", "gpu_mj", "gpu_sram_mj", "ane_mj")
samples = json.loads(os.environ["SAMPLES"])
fails = os.environ.get("FAILS")

if fails == "import":
    raise ImportError("dlopen: no suitable image found")
if fails == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)

class AppleEnergyMetrics:
    def __init__(self):
        for field in FIELDS:
            setattr(self, field, None)

class AppleEnergyMonitor:
    def __init__(self):
        if fails == "open":
            raise RuntimeError("Failed to create IOReport subscription.")
        self._begun = {}

    def begin_window(self, key, restart=False):
        if key in self._begun and not restart:
            raise RuntimeError("Measurement with specified key already exists.")
        self._begun[key] = samples.pop(0)

    def end_window(self, key):
        if key not in self._begun:
            raise RuntimeError("No measurement with provided key had been started.")
        if fails == "end":
            raise ValueError("Unsupported or invalid energy unit provided: furlong")
        before, after, metrics = self._begun.pop(key), samples.pop(0), AppleEnergyMetrics()
        for field, value in after.items():
            setattr(metrics, field, value - before[field])
        return metrics
"""


def apple(folder: Path, code: str, *samples: dict[str, int], fails: str = "") -> dict[str, Any]:
    (folder / "zeus_apple_silicon.py").write_text(STAND_IN)
    return run(code, folder, SAMPLES=json.dumps(samples), FAILS=fails)


ONE = "with meter(M2_MAX, device=CPU) as used: pass\ne = used.energy" + SHOW
ON_GPU = ONE.replace("CPU", "METAL")
START = {"cpu_total_mj": 1000, "gpu_mj": 500, "ane_mj": 7, "dram_mj": 90, "gpu_sram_mj": 1}


def after(**more: int) -> dict[str, int]:
    return {**START, **{name: START[name] + value for name, value in more.items()}}


def test_apples_counters_are_summed_in_joules(tmp_path):
    end = after(cpu_total_mj=12_500, gpu_mj=30_000, ane_mj=0, dram_mj=1_250, gpu_sram_mj=99)
    found = apple(tmp_path, ONE, START, end)
    assert found["joules"] == pytest.approx(43.75)
    assert found["kind"] == "measured"
    assert "zeus-apple-silicon" in found["source"]
    assert "CPU + GPU + ANE + DRAM" in found["source"]
    assert "without its GPU SRAM counter" in found["source"]


def test_a_counter_that_the_chip_lacks_is_named_and_not_invented(tmp_path):
    found = apple(tmp_path, ONE, {"cpu_total_mj": 10, "gpu_mj": 10}, {"cpu_total_mj": 2010, "gpu_mj": 1010})
    assert (found["joules"], found["kind"]) == (3.0, "measured")
    assert "CPU + GPU; no counter for ANE, DRAM" in found["source"]
    assert "SRAM" not in found["source"]


@pytest.mark.parametrize(
    ("samples", "fails", "reason"),
    [
        ([], "import", "no suitable image"),
        ([], "open", "IOReport subscription"),
        ([START], "end", "furlong"),
        ([START, {}], "", "nothing counts the CPU"),
        ([{"gpu_mj": 0}, {"gpu_mj": 5}], "", "nothing counts the CPU"),
        ([START, START], "", "did not move"),
        ([START, after(gpu_mj=5)], "", "did not move"),
    ],
)
def test_counters_that_fail_leave_an_estimate_that_says_why(tmp_path, samples, fails, reason):
    found = apple(tmp_path, ONE, *samples, fails=fails)
    assert found["kind"] == "estimated"
    assert 9 <= found["joules"] / found["seconds"] <= 145
    assert "Apple M2 Max" in found["source"]
    assert reason in found["source"]


def test_without_the_package_the_estimate_names_the_extra(tmp_path):
    if sys.platform == "darwin":
        pytest.skip("the package is there")
    found = run(ONE, tmp_path)
    assert found["kind"] == "estimated"
    assert "extra 'apple'" in found["source"]


def test_work_on_the_gpu_is_measured_only_where_the_gpu_is_counted(tmp_path):
    counted = apple(tmp_path, ON_GPU, START, after(cpu_total_mj=1000, gpu_mj=4000))
    assert (counted["joules"], counted["kind"]) == (5.0, "measured")
    alone = apple(tmp_path, ON_GPU, {"cpu_total_mj": 0}, {"cpu_total_mj": 1000})
    assert (alone["joules"], alone["kind"]) == (None, "unknown")
    assert "nothing counts the GPU" in alone["source"]


def test_a_counter_that_ran_backwards_makes_the_energy_unknown(tmp_path):
    found = apple(tmp_path, ONE, START, after(cpu_total_mj=9000, gpu_mj=-400))
    assert (found["joules"], found["kind"]) == (None, "unknown")
    assert "reset meanwhile: GPU -0.4 J" in found["source"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("device", [CPU, METAL, None])
def test_a_counter_that_gives_no_number_makes_the_energy_unknown(monkeypatch, value, device):
    counted = SimpleNamespace(stop=lambda: Counted({"CPU": 1.0, "GPU": value}, "test"))
    monkeypatch.setattr(metering, "Apple", lambda: counted)
    with meter(M2_MAX, device=device) as used:
        pass
    assert (used.energy.joules, used.energy.kind) == (None, "unknown")
    assert f"gave no number: GPU {value} J" in used.energy.source


def test_windows_that_overlap_keep_to_themselves(tmp_path):
    code = """
with meter(M2_MAX, device=CPU) as outer:
    with meter(M2_MAX, device=CPU) as inner: pass
print(json.dumps([[each.energy.joules, each.energy.kind] for each in (outer, inner)]))"""
    samples = [{"cpu_total_mj": value} for value in (10_000, 20_000, 50_000, 80_000)]
    assert apple(tmp_path, code, *samples) == [[70.0, "measured"], [30.0, "measured"]]


@pytest.mark.parametrize("virtual", [True, None])
def test_in_what_may_be_a_virtual_machine_the_counters_are_not_touched(tmp_path, virtual):
    machine = f"replace(M2_MAX, is_virtual={virtual})"
    found = apple(tmp_path, ONE.replace("M2_MAX", machine), START, fails="crash")
    assert found["kind"] == ("unknown" if virtual else "estimated")


def test_an_exception_in_the_block_still_closes_the_window(tmp_path):
    code = """
try:
    with meter(M2_MAX, device=CPU) as used: raise KeyboardInterrupt
except KeyboardInterrupt: e = used.energy"""
    found = apple(tmp_path, code + SHOW, START, after(cpu_total_mj=2000))
    assert (found["joules"], found["kind"]) == (2.0, "measured")


# --- NVIDIA's counters ---

DRIVER = r"""
#include <stdlib.h>
static int sessions = 0, reads = 0;
int nvmlInitWithFlags(unsigned flags) { sessions++; return 0; }
int nvmlShutdown(void) { sessions--; return 0; }
int open_sessions(void) { return sessions; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = atoi(getenv("GPUS")); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}
/* The next figure of MILLIJOULES; a negative one is a device without the counter. */
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    char *at = getenv("MILLIJOULES");
    for (int skip = reads++; skip > 0; skip--) strtoll(at, &at, 10);
    long long value = strtoll(at, &at, 10);
    *millijoules = value;
    return value < 0 ? 3 : 0;
}
"""
needs_driver = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="stands in for the driver with a C compiler"
)
ON_CUDA = (
    """
with meter(replace(LINUX, cuda_devices=("a", "b")), device=CUDA, powercap=Path("none")) as used: pass
import ctypes
assert ctypes.CDLL("libnvidia-ml.so.1").open_sessions() == 0
e = used.energy"""
    + SHOW
)


@pytest.fixture
def driver(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    path = os.pathsep.join([str(tmp_path), os.environ.get("LD_LIBRARY_PATH", "")])

    def call(millijoules: str, *, gpus: int = 2, code: str = ON_CUDA) -> dict[str, Any]:
        return run(code, tmp_path, LD_LIBRARY_PATH=path, GPUS=str(gpus), MILLIJOULES=millijoules)

    return call


@needs_driver
def test_the_energy_of_all_nvidia_gpus_is_measured_and_said_to_be_theirs_alone(driver):
    found = driver("1000 900000000000 4500 900000012000")
    assert (found["joules"], found["kind"]) == (15.5, "measured")
    assert "NVML (whole GPUs), all processes: GPU 0 + GPU 1" in found["source"]
    assert "the processor is not counted" in found["source"]


@needs_driver
@pytest.mark.parametrize(
    ("millijoules", "gpus", "reason"),
    [
        ("-1", 2, "Not Supported"),
        ("1000 1000 5000 -1", 2, "Not Supported"),
        ("", 0, "nothing counts the GPU"),
        ("7 7 7 7", 2, "did not move"),
        ("9000 1000 10 90000", 2, "reset meanwhile: GPU 0 -8.99 J"),
    ],
)
def test_nvidia_gpus_that_cannot_be_measured_are_unknown(driver, millijoules, gpus, reason):
    found = driver(millijoules, gpus=gpus)
    assert (found["joules"], found["kind"]) == (None, "unknown")
    assert reason in found["source"]


@needs_driver
def test_an_idle_gpu_does_not_stand_for_work_on_the_processor(driver):
    found = driver("1000 1000 5000 5000", code=ON_CUDA.replace("device=CUDA", "device=CPU"))
    assert (found["joules"], found["kind"]) == (None, "unknown")


def test_without_a_driver_the_reason_is_nvmls_own(tmp_path):
    pytest.importorskip("pynvml")
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("there is a driver")
    with meter(replace(LINUX, cuda_devices=("a",)), device=CUDA, powercap=tmp_path / "none") as used:
        pass
    assert used.energy.kind == "unknown"
    assert "NVML Shared Library Not Found" in used.energy.source


# --- RAPL ---

RANGE = 262_143_328_850


def powercap(folder: Path, *, before: int, packages: int = 1) -> Path:
    """The kernel's tree: packages, a domain inside one, and others that count the same energy again."""
    domains = {f"intel-rapl:{number}": f"package-{number}" for number in range(packages)}
    others = {"intel-rapl:0:0": "core", "intel-rapl:9": "psys", "intel-rapl-mmio:0": "package-0"}
    for domain, name in {**domains, **others}.items():
        (folder / domain).mkdir(parents=True)
        (folder / domain / "name").write_text(f"{name}\n")
        (folder / domain / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (folder / domain / "energy_uj").write_text(f"{before}\n")
    return folder


def count(tree: Path, microjoules: int, *, domain: str = "intel-rapl:0") -> None:
    """Set a counter at once, as the kernel does: a reader never sees half a number."""
    new = tree / "new"
    new.write_text(f"{microjoules}\n")
    new.replace(tree / domain / "energy_uj")


def test_packages_of_processors_are_measured_and_nothing_twice(tmp_path):
    tree = powercap(tmp_path, before=7_000_000, packages=2)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        for domain in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:9", "intel-rapl-mmio:0"):
            count(tree, 12_500_000, domain=domain)
        count(tree, 8_000_000, domain="intel-rapl:1")
    assert (used.energy.joules, used.energy.kind) == (6.5, "measured")
    assert used.energy.source == "RAPL (processor packages), all processes: CPU package-0 + CPU package-1"


def test_a_counter_that_started_again_from_zero_goes_on(tmp_path):
    tree = powercap(tmp_path, before=RANGE - 1_000_000)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        count(tree, 2_000_000)
    assert used.energy.joules == pytest.approx(3.0)


def looks(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so many seconds pass from each look at RAPL's counters to the next."""
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(counters, "monotonic", lambda: next(clock))


def test_a_counter_that_started_again_many_times_is_followed(tmp_path, monkeypatch):
    looks(monkeypatch, 200)
    tree = powercap(tmp_path, before=0)
    rapl = Rapl(tree, seconds=0.005)
    for value in [RANGE // 2, 5, RANGE - 5, 1_000_000] * 3:
        count(tree, value)
        deadline = time.monotonic() + 20
        while rapl._last["package-0"] != value and time.monotonic() < deadline:
            time.sleep(0.001)
    assert rapl.stop().parts == {"CPU package-0": pytest.approx((6 * RANGE + 1_000_000) / 1e6)}


@pytest.mark.parametrize(("before", "after"), [(5_000_000, 4_999_999), (5_000_000, 0), (RANGE, RANGE - 1)])
def test_a_counter_that_steps_back_was_reset_and_did_not_count_to_its_end(tmp_path, before, after):
    tree = powercap(tmp_path, before=before)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        count(tree, after)
    assert (used.energy.joules, used.energy.kind) == (None, "unknown")
    assert f"reset meanwhile: CPU package-0 {(after - before) / 1e6:g} J" in used.energy.source


def test_a_counter_that_was_reset_on_the_way_stays_unknown(tmp_path):
    tree = powercap(tmp_path, before=RANGE // 2)
    rapl = Rapl(tree)
    for value in (1_000_000, 9_000_000):
        count(tree, value)
        rapl._advance()
    assert rapl.stop().parts["CPU package-0"] < 0


@pytest.mark.parametrize(
    ("seconds", "joules"),
    [(130, None), (132, 131.071664), (262, 131.071664), (263, None)],
    ids=["too much for the time", "a kilowatt", "at most once", "maybe twice"],
)
def test_whether_a_counter_started_again_is_a_question_of_time(tmp_path, monkeypatch, seconds, joules):
    """At a kilowatt, half of the range, 131 kJ, takes 131 seconds, and the whole range 262."""
    looks(monkeypatch, seconds)
    tree = powercap(tmp_path, before=RANGE // 2)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        count(tree, 0)
    assert used.energy.joules == (None if joules is None else pytest.approx(joules * 1000, rel=1e-6))
    assert used.energy.kind == ("unknown" if joules is None else "measured")


@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda tree: (tree / "intel-rapl:0" / "energy_uj").unlink(), id="file gone"),
        pytest.param(lambda tree: count(tree, "not a number"), id="no number"),
    ],
)
def test_a_counter_that_fails_on_the_way_measures_nothing(tmp_path, breaks):
    tree = powercap(tmp_path, before=0)
    with meter(LINUX, device=CPU, powercap=tree) as used:
        breaks(tree)
    assert (used.energy.joules, used.energy.kind) == (None, "unknown")
    assert "not metered" in used.energy.source
    rapl = Rapl(powercap(tmp_path / "again", before=0), seconds=0.001)
    breaks(tmp_path / "again")
    time.sleep(0.05)
    with pytest.raises((OSError, ValueError)):
        rapl.stop()


def test_a_counter_that_could_not_be_followed_for_a_while_measures_nothing(tmp_path):
    tree = powercap(tmp_path, before=0)
    rapl = Rapl(tree, seconds=0.001)
    count(tree, "not a number")
    rapl._ticker._thread.join(timeout=20)
    count(tree, 5_000_000)
    with pytest.raises(ValueError, match="not a number"):
        rapl.stop()


def test_a_tree_without_packages_is_no_meter(tmp_path):
    with meter(LINUX, device=CPU, powercap=tmp_path) as used:
        pass
    assert used.energy.kind == "unknown"
    assert "no package domain" in used.energy.source


def test_the_processor_alone_does_not_stand_for_work_on_a_gpu(tmp_path):
    tree = powercap(tmp_path, before=0)
    with meter(LINUX, device=CUDA, powercap=tree) as used:
        count(tree, 5_000_000)
    assert used.energy.kind == "unknown"
    assert "nothing counts the GPU" in used.energy.source


@needs_driver
@pytest.mark.parametrize(("device", "joules"), [("CUDA", 11.0), ("None", 11.0), ("CPU", 3.0)])
def test_processor_and_gpu_add_up_unless_the_gpu_is_left_alone(tmp_path, driver, device, joules):
    tree = powercap(tmp_path / "powercap", before=0)
    code = f"""
with meter(replace(LINUX, cuda_devices=("a", "b")), device={device}, powercap=Path({str(tree)!r})) as used:
    Path({str(tree / "intel-rapl:0" / "energy_uj")!r}).write_text("3000000")
e = used.energy{SHOW}"""
    found = driver("1000 1000 5000 5000", code=code)
    assert (found["joules"], found["kind"]) == (joules, "measured")
    assert ("GPU 0" in found["source"]) == (device != "CPU")


# --- What it costs ---


@pytest.mark.parametrize(
    ("joules", "price", "intensity", "money", "grams"),
    [
        (3.6e6, 0.32, 381.0, 0.32, 381.0),  # a kilowatt-hour
        (1.8e6, 0.30, 100.0, 0.15, 50.0),
        (54e6, 0.2749, None, 4.1235, None),
        (3.6e6, None, 381.0, None, 381.0),
        (3.6e6, 0.0, 0.0, 0.0, 0.0),
        (None, 0.32, 381.0, None, None),
    ],
)
def test_money_and_co2_come_from_the_price_and_the_grid(joules, price, intensity, money, grams):
    used = Energy(joules, "unknown" if joules is None else "measured", "test", 1)
    found = cost(used, Hardware(price_per_kwh=price, currency="CHF", grid_intensity=intensity))
    assert found == Cost(
        money if money is None else pytest.approx(money, abs=1e-9),
        "CHF",
        grams if grams is None else pytest.approx(grams, abs=1e-9),
    )


def test_a_run_gets_the_known_figures_and_always_their_kind():
    used = Energy(43_200.0, "estimated", "the table", 60)
    metrics, tags = figures(used, cost(used, Hardware(price_per_kwh=0.1, grid_intensity=400)))
    assert metrics == pytest.approx({"energy_joules": 43_200, "energy_cost": 0.0012, "energy_co2_grams": 4.8})
    assert tags == {
        "mlops.energy_kind": "estimated",
        "mlops.energy_source": "the table",
        "mlops.energy_cost": "0.0012 EUR",
    }


def test_an_unknown_energy_leaves_no_figure_in_the_run():
    used = Energy(None, "unknown", "no counter", 60)
    metrics, tags = figures(used, cost(used, Hardware(price_per_kwh=0.1, grid_intensity=400)))
    assert metrics == {}
    assert tags == {"mlops.energy_kind": "unknown", "mlops.energy_source": "no counter"}


@pytest.mark.parametrize(
    ("money", "text"), [(0.0, "0.0000 EUR"), (0.00004, "4.0e-05 EUR"), (12.34567, "12.3457 EUR")]
)
def test_small_costs_are_not_rounded_to_nothing(money, text):
    used = Energy(1.0, "measured", "test", 1)
    assert figures(used, Cost(money, "EUR", None))[1]["mlops.energy_cost"] == text
