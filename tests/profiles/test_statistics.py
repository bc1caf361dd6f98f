"""The statistics, against their definitions, known figures and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.errors import DataError
from runtime_lib.profiles import statistics

cells = st.integers(2, 30).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 10_000), min_size=k, max_size=k).filter(any)] * 2)
)


@given(cells)
def test_effects_are_within_their_ranges_and_know_no_direction(pair):
    reference, live = pair
    assert statistics.psi(reference, live) >= 0
    distances = (statistics.ks_distance, statistics.jensen_shannon, statistics.cramers_v)
    for effect in (*distances, statistics.chi_square_p):
        assert 0 <= effect(reference, live) <= 1 + 1e-9
        assert effect(reference, live) == pytest.approx(effect(live, reference))


@given(cells)
def test_identical_counts_have_no_effect(pair):
    counts, _ = pair
    assert (
        statistics.psi(counts, counts)
        == statistics.ks_distance(counts, counts)
        == statistics.jensen_shannon(counts, counts)
        == statistics.cramers_v(counts, counts)
        == 0
    )
    assert statistics.chi_square_p(counts, counts) == pytest.approx(1)


def test_psi_of_a_known_shift():
    # (0.5 - 0.8) ln(0.5 / 0.8) + (0.5 - 0.2) ln(0.5 / 0.2); the half rows added do not show at this size
    assert statistics.psi([500_000, 500_000], [800_000, 200_000]) == pytest.approx(0.415888, abs=1e-4)


def test_disjoint_samples_are_as_far_apart_as_can_be():
    for distance in (statistics.ks_distance, statistics.jensen_shannon, statistics.cramers_v):
        assert distance([10, 0], [0, 10]) == 1


@given(cells)
def test_jensen_shannon_agrees_with_scipy(pair):
    from scipy.spatial.distance import jensenshannon

    assert statistics.jensen_shannon(*pair) == pytest.approx(jensenshannon(*pair, base=2), abs=1e-7)


def test_cramers_v_does_not_depend_on_the_number_of_training_rows():
    live = [60, 40]
    assert statistics.cramers_v([50, 50], live) == pytest.approx(statistics.cramers_v([50_000, 50_000], live))


def test_chi_square_agrees_with_scipy_when_no_cell_is_small():
    from scipy.stats import chi2_contingency

    reference, live = [400, 300, 300], [90, 60, 50]
    expected = chi2_contingency([reference, live], correction=False).pvalue
    assert statistics.chi_square_p(reference, live) == pytest.approx(expected)


def test_chi_square_pools_small_cells():
    reference, live = [50_000, 50_000, *[1] * 20], [251, 249, *[0] * 19, 1]
    assert statistics.chi_square_p(reference, live) > 0.05


def test_chi_square_keeps_its_level_on_clean_data():
    """Half of many p-values of clean data lie below a half: neither side is taken as exact."""
    rng = np.random.default_rng(3)
    shares = np.full(50, 1 / 50)
    p = [
        statistics.chi_square_p(rng.multinomial(2_000, shares), rng.multinomial(2_000, shares))
        for _ in range(400)
    ]
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(p) < 0.05) < 0.1


def test_benjamini_hochberg_agrees_with_scipy():
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(5).random(40) ** 3
    assert statistics.benjamini_hochberg(list(p)) == pytest.approx(list(false_discovery_control(p)))
    assert statistics.benjamini_hochberg([]) == []


def test_cohen_h_means_the_same_over_the_range():
    assert statistics.cohen_h(0, 0.01) == pytest.approx(0.2, abs=0.01)
    assert statistics.cohen_h(0.30, 0.40) == pytest.approx(0.2, abs=0.02)
    assert statistics.cohen_h(0.4, 0.3) < 0 == statistics.cohen_h(0.3, 0.3)


def test_binomial_excess_is_exact():
    assert statistics.binomial_excess(1, 3, 0.5) == pytest.approx(7 / 8)
    assert statistics.binomial_excess(0, 3, 0.5) == 1


@pytest.mark.parametrize("pair", [([1, 2], [1]), ([0, 0], [1, 1]), ([1, 1], [0, 0]), ([-1, 2], [1, 1])])
def test_counts_that_cannot_be_compared_are_refused(pair):
    with pytest.raises(DataError):
        statistics.psi(*pair)
