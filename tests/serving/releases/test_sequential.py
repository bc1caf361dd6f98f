"""The bets themselves: by exact sums over every outcome, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.sequential import (
    Counts,
    Information,
    bet,
    half_width,
    information,
    log_add,
    one_sided,
)

rate = st.floats(0.001, 0.999)
trials = st.integers(1, 12)
margin = st.sampled_from([0.0, 0.01, 0.2])


def expected(e_value, n_a, n_b, a, b):
    """The mean of an e-value over all outcomes of a block, when the true rates are `a` and `b`."""
    return sum(
        stats.binom.pmf(x, n_a, a) * stats.binom.pmf(y, n_b, b) * math.exp(e_value(Counts(x, n_a, y, n_b)))
        for x in range(n_a + 1)
        for y in range(n_b + 1)
    )


@settings(max_examples=60, deadline=None)
@given(rate, rate, rate, st.floats(0, 1), trials, trials, margin)
def test_no_bet_wins_on_average_while_its_hypothesis_holds(a, b, true_b, part, n_a, n_b, margin):
    if b + margin >= 1:
        return
    # Any pair on the other side of the line a = b + margin from the bet.
    line = min(true_b + margin, 1.0)
    true_a = line * part if a > b + margin else line + (1 - line) * part
    if true_b + margin > 1:
        return
    assert expected(lambda block: bet(block, (a, b), margin=margin), n_a, n_b, true_a, true_b) <= 1 + 1e-6


def test_a_bet_wins_where_it_is_right():
    grown = expected(lambda block: bet(block, (0.5, 0.1)), 10, 10, 0.5, 0.1)
    assert grown > 2


def test_the_hypothesis_is_met_at_its_nearest_point():
    block, rates, margin = Counts(0, 7, 0, 30), (0.4, 0.02), 0.1

    def divergence(b):
        pairs = ((7, rates[0], b + margin), (30, rates[1], b))
        return sum(n * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) for n, p, q in pairs)

    b = optimize.minimize_scalar(
        divergence, bounds=(1e-6, 0.89), method="bounded", options={"xatol": 1e-12}
    ).x
    by_scipy = 7 * math.log(0.6 / (0.9 - b)) + 30 * math.log(0.98 / (1 - b))
    assert bet(block, rates, margin=margin) == pytest.approx(by_scipy, abs=1e-5)


def test_one_version_alone_tells_nothing():
    assert bet(Counts(9, 9, 0, 0), (0.9, 0.1)) == bet(Counts(0, 0, 9, 9), (0.9, 0.1)) == 0


@pytest.mark.parametrize("z", [-50.0, -29.9, -30.1, -3.0, 0.0, 2.5, 8.0])
def test_a_one_sided_e_value_is_the_mixture_over_half_a_normal_distribution(z):
    amount, effect = 40.0, 0.3
    difference = z / math.sqrt(amount)

    def integrand(theta):
        return math.exp(theta * difference * amount - theta**2 * amount / 2) * stats.halfnorm.pdf(
            theta, scale=effect
        )

    by_scipy = math.log(integrate.quad(integrand, 0, 6, points=[0.02, 0.2, 1], limit=200)[0])
    found = one_sided(Information(difference, amount, 1.0), effect=effect)
    assert found == pytest.approx(by_scipy, abs=5e-3)


def test_the_interval_ends_where_the_two_sided_mixture_reaches_its_level():
    amount, effect, alpha = 200.0, 0.1, 0.05
    half = half_width(amount, effect=effect, alpha=alpha)
    mixed = integrate.quad(
        lambda t: math.exp(t * half * amount - t**2 * amount / 2) * stats.norm.pdf(t, scale=effect), -2, 2
    )[0]
    assert mixed == pytest.approx(1 / alpha, rel=1e-6)


def test_the_information_is_that_of_welch_and_never_too_much():
    rng = np.random.default_rng(3)
    a, b = Moments(), Moments()
    for value in rng.normal(0, 1, 4_000):
        a.add(value)
    for value in rng.normal(0, 1, 400):
        b.add(value)
    assert 1 / information(a, b).amount == pytest.approx(1 / 4_000 + 1 / 400, rel=0.1)
    assert information(a, Moments(99, 0, 99)) is None
    assert information(Moments(500, 1.0, 0), Moments(500, 1.0, 0)) is None
    # No row of the few has the rare value: they still say little.
    assert information(Moments.of_hits(0, 100), Moments.of_hits(100, 10_000)).amount < 11_000


def test_logarithms_are_added():
    assert log_add(math.log(3), math.log(4)) == pytest.approx(math.log(7))
    assert log_add(1_000, -1_000) == 1_000
