"""Estimates lie on the line between a chip's sourced watts, or are unknown for a reason; the cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.hardware.energy.estimate import Cost, Energy, Work, cost, estimate, figures
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.settings import Hardware
from tests.support.energy import (
    M2_MAX,
    M4,
    mac,
)
from tests.support.recorded import RECORDED


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
