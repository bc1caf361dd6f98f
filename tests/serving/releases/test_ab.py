"""A/B tests: sizes hold what they promise, and looking at any time deceives no more often than said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.ab import compare, size_of_means, size_of_shares
from runtime_lib.serving.releases.figures import Moments
from tests.support.canaries import moments
from tests.support.depth import DEEP, examples

TESTS = examples(40, 200)
FOUND = 0.9 if DEEP else 0.8  # a few tests leave more to chance


def shares(rate):
    return lambda rng, n: (rng.random(n) < rate) * 1.0


def exponential(mean):
    return lambda rng, n: rng.exponential(1, n) + mean - 1


def long_tailed(mean):
    return lambda rng, n: (rng.lognormal(0, 1, n) - math.exp(0.5)) / 2.1612 + mean


CASES = [
    pytest.param(shares(0.01), shares(0.02), size_of_shares, 0.01, 0.01, id="1 % to 2 %"),
    pytest.param(shares(0.1), shares(0.12), size_of_shares, 0.1, 0.02, id="10 % to 12 %"),
    pytest.param(exponential(1), exponential(1.1), size_of_means, 1.0, 0.1, id="a mean by 0.1 sd"),
    pytest.param(long_tailed(1), long_tailed(1.1), size_of_means, 1.0, 0.1, id="with a long tail"),
]


def stopped(seed, draw_a, draw_b, total, effect, *, share, looks=100):
    """The requests after which a test that is looked at `looks` times found a difference, or None."""
    rng = np.random.default_rng(seed)
    a, b = Moments(), Moments()
    for _ in range(looks):
        number = math.ceil(total / looks)
        to_b = int(rng.binomial(number, share))
        a, b = a + moments(draw_a(rng, number - to_b)), b + moments(draw_b(rng, to_b))
        if compare(a, b, effect=effect).finding in ("higher", "lower"):
            return a.count + b.count
    return None


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize(("draw_a", "draw_b", "size_of", "known", "effect"), CASES)
def test_equal_versions_are_seldom_told_apart_and_others_at_the_stated_size(
    draw_a, draw_b, size_of, known, effect, share
):
    size = size_of(known, effect, share=share)
    # Three times as long as planned: an end that was put off must not deceive either.
    total = 3 * size.any_time
    false = [stopped(seed, draw_a, draw_a, total, effect, share=share, looks=300) for seed in range(TESTS)]
    ends = [stopped(seed, draw_a, draw_b, size.any_time, effect, share=share) for seed in range(TESTS)]
    false, ends = ([end for end in of if end is not None] for of in (false, ends))
    print(f"{size}: {len(false)} of {TESTS} false, {len(ends)} found, half by {np.median(ends):,.0f}")
    assert len(false) <= 0.05 * TESTS
    assert len(ends) >= FOUND * TESTS


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_a_single_look_has_the_power_that_was_asked_for(share):
    size = size_of_shares(0.1, 0.02, power=0.8, share=share)
    of_b = round(share * size.once)
    of_a = size.once - of_b
    rng = np.random.default_rng(4)
    a, b = rng.binomial(of_a, 0.1, 20_000) / of_a, rng.binomial(of_b, 0.12, 20_000) / of_b
    z = (b - a) / np.sqrt(a * (1 - a) / of_a + b * (1 - b) / of_b)
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.015)


def test_a_size_of_means_is_that_of_the_t_test():
    each = size_of_means(2.0, 0.5, power=0.9).once / 2
    shift = 0.5 / 2.0 * math.sqrt(each / 2)
    freedom = 2 * each - 2
    power = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, shift)
    assert power == pytest.approx(0.9, abs=0.003)


def test_days_follow_from_the_rate():
    size = size_of_shares(0.1, 0.02)
    assert size.once < size.any_time < 2 * size.once
    assert size.days(1_000) == size.any_time / 1_000


def test_a_difference_that_does_not_matter_ends_the_test_too():
    alike = compare(Moments.of_hits(10_000, 100_000), Moments.of_hits(10_050, 100_000), effect=0.02)
    assert alike.finding == "same"
    assert alike.difference == pytest.approx(0.0005)
    assert -0.02 < alike.low < 0 < alike.high < 0.02
    lower = compare(Moments.of_hits(900, 1_000), Moments.of_hits(500, 1_000), effect=0.02)
    assert lower.finding == "lower"
    early = compare(Moments.of_hits(9, 10), Moments.of_hits(1, 10), effect=0.02)
    assert (early.finding, early.difference) == ("open", None)


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(SettingsError, match="base \\+ effect is"):
        size_of_shares(0.99, 0.02)
    with pytest.raises(SettingsError, match="standard deviation is 0"):
        size_of_means(0, 0.1)
    with pytest.raises(SettingsError, match="difference that matters is 0"):
        size_of_means(1, 0)
    with pytest.raises(SettingsError, match="power is 1"):
        size_of_means(1, 0.1, power=1)
    with pytest.raises(SettingsError, match="never ends at 0"):
        size_of_means(1, 0.1).days(0)
