"""Distances of profiles, next to those of the values: never further off than they say."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import kstwobign

from runtime_lib.profiles.distances import ks, ks_p, wasserstein
from tests.support.depth import examples
from tests.support.samples import HARD, KINDS, exact_ks, exact_wasserstein, profile_of, sample

PRESENT = sorted({*KINDS} - {"empty", "all missing"})
FINITE = sorted({*KINDS} - {*HARD})
kinds, seeds = st.sampled_from(PRESENT), st.integers(0, 999)
rows = st.sampled_from([30, 500, 4_000])
small = arrays.arrays(float, st.integers(1, 60), elements=st.floats(allow_nan=False, allow_subnormal=False))


def pair(kind, other, rows, seed):
    return sample(kind, rows, seed), sample(other, rows, seed + 1)


@settings(max_examples=examples(200, 5_000), deadline=None)
@given(st.builds(pair, kinds, kinds, rows, seeds) | st.tuples(small, small))
def test_ks_is_off_by_no_more_than_its_bound(samples):
    reference, live = samples
    like = profile_of(reference)
    found, exact = ks(like, profile_of(live, like)), exact_ks(reference, live)
    assert found.value - 1e-9 <= exact <= found.value + found.bound + 1e-9


@settings(max_examples=examples(150, 3_000), deadline=None)
@given(st.sampled_from(FINITE), st.sampled_from(FINITE), rows, seeds)
def test_wasserstein_is_off_by_no_more_than_its_bound(kind, other, rows, seed):
    reference, live = pair(kind, other, rows, seed)
    like = profile_of(reference)
    found = wasserstein(like, profile_of(live, like))
    if kind in ("constant", "one value"):
        assert found == (0, 0)
        return
    exact = exact_wasserstein(reference, live)
    assume(np.isfinite(exact))  # further apart than a float can hold
    assert found.value == pytest.approx(exact, rel=1e-5, abs=found.bound * (1 + 1e-6) + 1e-9)


# Of every size: between 1e-300 and 1e300 a bin is wide, and the bound says so.
@pytest.mark.parametrize("kind", sorted({*FINITE} - {"every size"}))
def test_the_bounds_are_small_where_both_are_of_one_kind(kind):
    reference, live = pair(kind, kind, 50_000, 0)
    like = profile_of(reference)
    moved = profile_of(live + 0.1 * like.sd, like)
    for found, most in ((profile_of(live, like), 0.02), (moved, 0.1)):
        assert ks(like, found).bound <= 0.005
        assert wasserstein(like, found).bound <= most


def test_both_zeros_are_one_value():
    like = profile_of(np.zeros(400))
    assert ks(like, profile_of(-np.zeros(400), like)) == (0, 0)


def test_two_samples_that_hide_in_one_cell_are_not_called_equal():
    """The live values lie between values of the reference that no grid tells apart."""
    reference = np.where(np.arange(4_000) % 10, 0.0, 1.0 + np.arange(4_000))
    live = np.full(4_000, 1e-300)
    like = profile_of(reference)
    found = ks(like, profile_of(live, like))
    assert found.value + found.bound >= exact_ks(reference, live) > 0.1


def test_equal_samples_are_not_apart_and_others_as_far_as_can_be():
    like = profile_of(sample("normal", 5_000))
    assert ks(like, like).value == wasserstein(like, like).value == 0
    apart = profile_of(sample("normal", 5_000) + 100, like)
    assert ks(like, apart).value == 1
    assert wasserstein(like, apart).value == pytest.approx(100 / like.sd, rel=1e-6)


def test_p_of_ks_is_that_of_its_limit():
    assert ks_p(0.02, 10_000, 5_000) == pytest.approx(kstwobign.sf(0.02 * np.sqrt(5e7 / 15_000)))
