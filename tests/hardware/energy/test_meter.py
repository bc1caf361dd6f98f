"""A meter gives each block a figure with its kind and source, and changes nothing of the block."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from runtime_lib.hardware.energy import meter as metering
from runtime_lib.hardware.energy.estimate import Energy
from runtime_lib.hardware.energy.meter import meter
from runtime_lib.hardware.read.facts import facts
from tests.support.energy import (
    CPU,
    LINUX,
    METAL,
    SHOW,
    TRANSLATED,
    count,
    powercap,
    run,
)
from tests.support.recorded import RECORDED


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
