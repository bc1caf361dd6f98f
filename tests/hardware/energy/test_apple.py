"""Apple's counters, by a stand-in for zeus-apple-silicon."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime_lib.hardware.energy import meter as metering
from runtime_lib.hardware.energy.counters import Counted
from runtime_lib.hardware.energy.meter import meter
from tests.support.energy import (
    CPU,
    M2_MAX,
    METAL,
    SHOW,
    run,
)

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
