"""Traffic goes to the better version, and no version starves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.bandit import by_losses, by_rewards
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.shares import divide
from tests.support.canaries import moments
from tests.support.depth import examples

RUNS = examples(2, 200)
RATES = {"5": 0.10, "6": 0.11, "7": 0.14}
MEANS = {"5": 1.0, "6": 0.98, "7": 0.9}


def rewarded(seed, rounds=60, batch=500):
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(RATES, (0, 0))
    for number in range(rounds):
        weights = by_rewards(held, floor=50, seed=1_000 * seed + number)
        yield weights
        for version, trials in zip(
            held, rng.multinomial(batch, np.array([*weights.values()]) / 1000), strict=True
        ):
            had, of = held[version]
            held[version] = (had + int(rng.binomial(trials, RATES[version])), of + int(trials))


def lost(seed, rounds=60, batch=500):
    rng = np.random.default_rng(seed)
    held = {version: Moments() for version in MEANS}
    for number in range(rounds):
        weights = by_losses(held, floor=50, seed=1_000 * seed + number)
        yield weights
        for version, rows in zip(
            held, rng.multinomial(batch, np.array([*weights.values()]) / 1000), strict=True
        ):
            held[version] += moments(MEANS[version] + rng.exponential(1, rows) - 1)


@pytest.mark.parametrize("play", [rewarded, lost])
def test_traffic_goes_to_the_best_and_none_starves(play):
    runs = [list(play(seed)) for seed in range(RUNS)]
    assert all(sum(w.values()) == 1000 and min(w.values()) >= 50 for run in runs for w in run)
    ends = [np.mean([w["7"] for w in run[-10:]]) for run in runs]
    print(
        f"{play.__name__}: best has {np.mean(ends) / 10:.1f} % at the end, worst run {min(ends) / 10:.1f} %"
    )
    assert np.mean([end >= 800 for end in ends]) >= 0.9


def test_the_first_weights_are_equal_and_the_seed_decides():
    assert by_losses({v: Moments() for v in "abc"}) == {"a": 334, "b": 333, "c": 333}
    held = {"a": (30, 100), "b": (35, 100)}
    assert by_rewards(held, seed=3) == by_rewards(held, seed=3) != by_rewards(held, seed=4)


def test_a_weight_is_the_chance_to_be_the_best():
    weights = by_rewards({"a": (30, 100), "b": (35, 100)}, floor=0)
    rng = np.random.default_rng(0)
    chance = np.mean(rng.beta(36, 66, 200_000) > rng.beta(31, 71, 200_000))
    assert weights["b"] / 1000 == pytest.approx(chance, abs=0.035)


def test_losses_without_a_spread_are_known():
    constant = {"a": Moments(50, 1.0, 0.0), "b": Moments(50, 0.9, 0.0), "c": Moments(50, 0.9, 0.0)}
    assert by_losses(constant, floor=10) == {"a": 10, "b": 495, "c": 495}


@settings(max_examples=200)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1e9), min_size=1, max_size=12).filter(
        lambda parts: sum(parts.values()) > 0
    ),
    st.integers(0, 83),
)
def test_what_is_divided_is_whole_complete_and_above_the_floor(parts, floor):
    shares = divide(parts, floor=floor)
    assert sum(shares.values()) == 1000
    assert min(shares.values()) >= floor
    largest, smallest = max(parts, key=parts.get), min(parts, key=parts.get)
    assert shares[largest] >= shares[smallest] - 1


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(SettingsError, match="3 versions cannot have 40 %"):
        divide({"a": 1, "b": 1, "c": 1}, floor=400)
    for parts in ({}, {"a": 0.0}, {"a": 2.0, "b": -1.0}):
        with pytest.raises(SettingsError, match="cannot be divided"):
            divide(parts)
    with pytest.raises(SettingsError, match="3 rewards of 2 trials"):
        by_rewards({"a": (3, 2)})
