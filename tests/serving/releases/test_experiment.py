"""An A/B test and a bandit as releases: their state, their words, their weights."""

from __future__ import annotations

import random

import pytest

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.experiment import (
    begin_ab,
    begin_bandit,
    verdict_of_ab,
    weights_of_bandit,
)
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.traffic import Policy

STATE = State("flights", Policy.all_to("5"), {"5": Held("five", "")}, ("5",))


def rows(mean: float, count: int, seed: int = 1) -> Moments:
    draw, found = random.Random(seed), Moments()
    for _ in range(count):
        found.add(draw.gauss(mean, 1.0))
    return found


def test_an_ab_test_says_what_it_needs_and_divides_the_traffic() -> None:
    after, size = begin_ab(STATE, "7", Held("seven", ""), share=500, effect=0.1, spread=1.0)
    assert after.policy.weights == {"7": 500, "5": 500}
    assert (size.once, size.any_time) == (4203, 7614)
    assert State.from_dict(after.to_dict()) == after
    with pytest.raises(SettingsError, match="Version 5 serves already"):
        begin_ab(STATE, "5", Held("five", ""), share=500, effect=0.1, spread=1.0)
    with pytest.raises(SettingsError, match="smallest difference that matters is 0"):
        begin_ab(STATE, "7", Held("seven", ""), share=500, effect=0, spread=1.0)


@pytest.mark.parametrize(
    ("mean", "count", "outcome", "words"),
    [
        (1.0, 50, "wait", "at least 100 of each version"),
        (1.0, 500, "wait", "nothing is shown yet"),
        (0.8, 6000, "go on", "it is better, and the test may stop"),
        (1.2, 6000, "go back", "it is worse, and the test may stop"),
        (1.0, 40_000, "go on", "no difference that matters, and the test may stop"),
    ],
)
def test_an_ab_test_says_when_it_may_stop(mean: float, count: int, outcome: str, words: str) -> None:
    plan = begin_ab(STATE, "7", Held("seven", ""), share=500, effect=0.1, spread=1.0)[0].plan or {}
    found = verdict_of_ab(plan, {"5": rows(1.0, count), "7": rows(mean, count, seed=2)})
    assert found.outcome == outcome
    assert words in found.reasons[0]
    assert f"{2 * count:,} labelled rows of about 7,614" in found.reasons[0]
    assert verdict_of_ab(plan, {}).outcome == "wait"


def test_a_bandit_begins_equal_and_moves_to_who_loses_less() -> None:
    after = begin_bandit(STATE, "7", Held("seven", ""))
    plan, weights = after.plan or {}, after.policy.weights
    assert weights == {"7": 500, "5": 500}
    assert weights_of_bandit(plan, weights, {}, seed=1) is None
    moved = weights_of_bandit(plan, weights, {"5": rows(1.0, 900), "7": rows(0.8, 900, seed=2)}, seed=1)
    assert moved is not None
    assert moved["7"] > 900
    assert sum(moved.values()) == 1000
    assert moved["5"] >= 50
