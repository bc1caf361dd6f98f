"""Profiles of numbers: parts that are merged equal one pass, and nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime_lib.errors import DataError
from tests.support.depth import examples
from tests.support.samples import KINDS, profile_of, sample

anything = arrays.arrays(float, st.integers(0, 200), elements=st.floats(allow_subnormal=True))
some = st.builds(
    lambda kind, rows, seed: sample(kind, rows, seed),
    st.sampled_from(KINDS),
    st.sampled_from([20, 500, 3_000, 40_000]),
    st.integers(0, 99),
)
cuts = st.lists(st.integers(0, 1_000), max_size=4)


@settings(max_examples=examples(150, 3_000), deadline=None)
@given(anything | some, anything | some, cuts)
def test_any_parts_that_are_merged_equal_one_pass(reference, live, cuts):
    like = profile_of(reference)
    cuts = sorted(min(cut, live.size) for cut in cuts)
    merged = profile_of(np.empty(0), like)
    for part in np.split(live, cuts):
        merged = merged.merge(profile_of(part, like))
    whole = profile_of(live, like, cuts)
    for found in (merged, whole):
        once = profile_of(live, like)
        assert np.array_equal(found.counts, once.counts)
        assert np.array_equal(found.strays, once.strays)
        assert (found.nulls, found.infinite, found.rows) == (once.nulls, once.infinite, live.size)
        ours, theirs = found.moments, once.moments
        assert (ours.n, ours.least, ours.most) == (theirs.n, theirs.least, theirs.most)
        # Of numbers that differ in their last digit alone, nothing is known of the spread.
        known = 1e-300 + 1e-12 * theirs.n * theirs.mean**2
        assert ours.squares == pytest.approx(theirs.squares, rel=1e-9, abs=known)
        spread = abs(theirs.mean) + np.sqrt(theirs.squares / max(theirs.n, 1))
        assert ours.mean == pytest.approx(theirs.mean, abs=1e-9 * spread)


@settings(max_examples=examples(100, 2_000), deadline=None)
@given(anything | some)
def test_every_value_is_counted_once(values):
    profile = profile_of(values)
    finite = values[np.isfinite(values)]
    assert profile.counts.sum() == profile.moments.n == finite.size
    assert (profile.strays <= profile.counts).all()
    assert profile.nulls == np.isnan(values).sum()
    assert profile.infinite == (np.isneginf(values).sum(), np.isposinf(values).sum())


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("empty", "all missing", "all infinite")]
)
def test_quantiles_are_in_the_bin_of_the_true_one(kind):
    values = sample(kind, 20_000)
    finite = np.sort(values[np.isfinite(values)])
    profile = profile_of(values)
    borders = profile.bins.borders(profile.least, profile.most)
    for share in (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0):
        true = np.quantile(finite, share, method="inverted_cdf")
        place = int(np.searchsorted(profile.shares, share - 1e-12))
        near = 1e-9 * abs(true)
        assert borders[place] - near <= true <= borders[place + 1] + near
        assert borders[place] - near <= profile.quantile(share) <= borders[place + 1] + near


@pytest.mark.parametrize("kind", ["normal", "bimodal", "seconds", "tiny", "huge", "tied", "every size"])
def test_mean_and_spread_are_those_of_the_values(kind):
    values = sample(kind, 20_000)
    profile, largest = profile_of(values), np.abs(values).max()
    scaled = values / largest
    assert profile.mean / largest == pytest.approx(scaled.mean(), rel=1e-9, abs=1e-12)
    assert profile.sd / largest == pytest.approx(scaled.std(ddof=1), rel=1e-6)
    assert profile.least == pytest.approx(values.min())
    assert profile.most == pytest.approx(values.max())


def test_spread_far_from_the_reference_is_kept():
    """A sum of squares less that of the mean would have nothing left of it."""
    reference, rng = profile_of(sample("normal", 10_000)), np.random.default_rng(1)
    assert profile_of(1e9 + rng.normal(size=10_000), reference).sd == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_bins_are_few(kind):
    assert profile_of(sample(kind, 100_000)).counts.size <= 3_500


def test_counts_in_other_bins_are_not_added_up():
    one, other = (profile_of(sample(kind, 1_000)) for kind in ("normal", "tied"))
    with pytest.raises(DataError, match="counted in different bins: fold both `like` one of them"):
        one.merge(other)
