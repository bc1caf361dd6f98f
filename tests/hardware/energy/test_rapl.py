"""Counters of processor packages in Linux' powercap tree."""

from __future__ import annotations

import itertools
import time

import pytest

from runtime_lib.hardware.energy import counters
from runtime_lib.hardware.energy.counters import Rapl
from runtime_lib.hardware.energy.meter import meter
from tests.support.energy import (
    CPU,
    CUDA,
    LINUX,
    RANGE,
    SHOW,
    count,
    needs_driver,
    powercap,
)


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
