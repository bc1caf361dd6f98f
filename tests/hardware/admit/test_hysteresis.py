"""After a wait, work starts again with a margin: it does not stop and go."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from runtime_lib.hardware.admit.admission import Demand, decide
from runtime_lib.settings import Hardware
from tests.support.admission import GB, LEVELS, MAC, PRESSURES, WELL


def switches(trace, policy, *, remember, **about) -> int:
    """How often work would start or stop along a trace of states."""
    answers, previous = [], None
    for state in trace:
        decision = decide(state, policy, previous=previous, **about)
        previous = decision if remember else None
        answers.append(decision.action != "wait")
    return sum(one != other for one, other in pairwise(answers))


def noisy(low: float, middle: float, high: float, spread: float):
    """A climb over a threshold and back, with noise upon it."""
    dice = random.Random(7)
    climb = [low, *[middle] * 120, high, *[middle] * 120, low]
    return [value + dice.uniform(-spread, spread) for value in climb]


@pytest.mark.parametrize(
    ("trace", "about"),
    [
        (
            [replace(WELL, thermal=LEVELS[max(0, round(heat))]) for heat in noisy(0, 1.5, 3, 0.4)],
            {},
        ),
        (
            [replace(WELL, free_memory_bytes=int(free * GB)) for free in noisy(20, 10, 4, 0.9)],
            {"demand": Demand(10 * GB), "facts": MAC},
        ),
        ([replace(WELL, on_battery=True, battery=charge) for charge in noisy(0.5, 0.2, 0.1, 0.04)], {}),
        (
            [replace(WELL, memory_pressure=PRESSURES[round(level)]) for level in noisy(0, 1.5, 2, 0.4)],
            {"demand": Demand(10 * GB, 5 * GB), "facts": MAC},
        ),
    ],
    ids=["heat", "memory", "battery", "pressure"],
)
def test_a_reading_that_hovers_at_its_threshold_does_not_start_and_stop_work(trace, about):
    with_memory = switches(trace, Hardware(), remember=True, **about)
    assert 2 <= with_memory <= 4
    assert switches(trace, Hardware(), remember=False, **about) > 10 * with_memory


def test_a_wait_ends_where_it_can_end():
    """Above the margin that memory allows there is nothing: the bar is never out of reach."""
    demand = Demand(memory_bytes=int(63.9 * GB))
    waiting = decide(WELL, Hardware(), demand=demand, facts=MAC)
    assert waiting.waiting_for == ("free_memory_bytes",)
    free = replace(WELL, free_memory_bytes=64 * GB)
    assert decide(free, Hardware(), demand=demand, facts=MAC, previous=waiting).action == "run"
    hot = decide(replace(WELL, thermal="Heavy"), Hardware(max_thermal="Nominal"))
    assert decide(WELL, Hardware(max_thermal="Nominal"), previous=hot).action == "run"


def test_a_wait_is_remembered_while_its_reading_is_gone():
    hot = decide(replace(WELL, thermal="Heavy"), Hardware())
    blind = decide(replace(WELL, thermal=None), Hardware(), previous=hot)
    assert (blind.action, blind.waiting_for) == ("wait", ("thermal",))
    assert decide(replace(WELL, thermal="Moderate"), Hardware(), previous=blind).action == "wait"
