"""NVIDIA's counters, by a stand-in for the driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime_lib.hardware.energy.meter import meter
from tests.support.energy import (
    CUDA,
    LINUX,
    ON_CUDA,
    needs_driver,
)


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
