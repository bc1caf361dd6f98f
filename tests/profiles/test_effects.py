"""Effects of profiles, by their definitions in the cells that they name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from runtime_lib.profiles import statistics
from runtime_lib.profiles.blocks import block_effects, count_blocks, places_of_numbers
from runtime_lib.profiles.category import CategoryProfile
from runtime_lib.profiles.coarse import FEW, coarse
from runtime_lib.profiles.effects import MOST_CELLS, category_effects, cells_of, number_effects
from tests.support.depth import examples
from tests.support.samples import HARD, KINDS, profile_of, sample

FINITE = sorted({*KINDS} - {*HARD, "one value", "constant"})
counts = st.integers(2, 30).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(20, 5_000), min_size=k, max_size=k)] * 2)
)


def definition(reference, live):
    """PSI of counts, half a row added to each."""
    p, q = ((np.asarray(each) + 0.5) / (np.asarray(each) + 0.5).sum() for each in (reference, live))
    return float(((p - q) * np.log(p / q)).sum())


@settings(max_examples=examples(60, 1_000), deadline=None)
@given(st.sampled_from(FINITE), st.sampled_from(FINITE), st.integers(0, 99))
def test_psi_is_that_of_the_values_between_the_same_edges(kind, other, seed):
    reference, live = sample(kind, 3_000, seed), sample(other, 3_000, seed + 1)
    like = profile_of(reference)
    found = number_effects(like, profile_of(live, like))["psi"].value
    # Each value falls into the fine bin that it is counted in, and with it into a coarse one.
    starts, places = coarse(like), []
    for values in (reference, live):
        place = places_of_numbers(like, values[np.isfinite(values)])
        places.append(np.bincount(np.searchsorted(starts, place, side="right") - 1, minlength=starts.size))
    used = (places[0] + places[1]) > 0
    assert found == pytest.approx(definition(places[0][used], places[1][used]), abs=1e-9)


@pytest.mark.parametrize("kind", FINITE)
def test_coarse_bins_are_few_and_of_about_equal_mass(kind):
    profile = profile_of(sample(kind, 20_000))
    starts = coarse(profile)
    held = np.add.reduceat(profile.counts, starts)
    assert starts.size <= FEW + 2 + 2 * FEW
    heavy = held > 2 * held.sum() / FEW
    # Only a value by itself may weigh more.
    assert all(
        np.count_nonzero(part) == 1
        for part, h in zip(np.split(profile.counts, starts[1:]), heavy, strict=True)
        if h
    )


@given(counts)
@settings(deadline=None)
def test_chi_square_and_cramers_v_agree_with_scipy_without_small_cells(pair):
    reference, live = pair
    table = np.array(pair)
    if (np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()).min() < 5:
        return
    assert statistics.chi_square_p(reference, live) == pytest.approx(
        chi2_contingency(table, correction=False).pvalue, rel=1e-9, abs=1e-300
    )
    # Both samples weigh alike: as if they had as many rows.
    even = np.round(table / table.sum(axis=1, keepdims=True) * 10**9).astype(np.int64)
    assert statistics.cramers_v(reference, live) == pytest.approx(
        association(even, method="cramer"), abs=1e-4
    )


def test_cells_are_the_commonest_names_the_others_and_those_never_seen():
    reference = CategoryProfile({f"n{i}": 100 - i for i in range(60)})
    live = CategoryProfile({"n0": 5, "n59": 2, "new": 3}, other=1, known=frozenset(reference.counts))
    cells = cells_of(reference, live)
    assert len(cells.labels) == MOST_CELLS + 2
    assert dict(zip(cells.labels, cells.live.tolist(), strict=True)) | {
        "n0": 5,
        "(other)": 2,
        "(unseen)": 4,
    } == dict(zip(cells.labels, cells.live.tolist(), strict=True))
    assert cells.reference.sum() == reference.present
    assert cells.live.sum() == live.present == 11


def test_errors_are_the_spread_of_many_samples():
    rng = np.random.default_rng(0)
    like = profile_of(rng.normal(size=200_000))
    found = [number_effects(like, profile_of(rng.normal(0.3, 1.2, size=3_000), like)) for _ in range(200)]
    for name in ("psi", "ks", "wasserstein"):
        values = np.array([each[name].value for each in found])
        assert np.mean([each[name].error for each in found]) == pytest.approx(values.std(), rel=0.35)


def test_errors_of_categories_are_the_spread_of_many_samples():
    rng = np.random.default_rng(1)
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.3, 0.3, 0.2, 0.2])
    reference = CategoryProfile(dict(zip("abcd", (p * 200_000).astype(int).tolist(), strict=True)))
    found = [
        category_effects(
            cells_of(
                reference, CategoryProfile(dict(zip("abcd", rng.multinomial(3_000, q).tolist(), strict=True)))
            )
        )
        for _ in range(200)
    ]
    for name in ("psi", "cramers_v"):
        values = np.array([each[name].value for each in found])
        assert np.mean([each[name].error for each in found]) == pytest.approx(values.std(), rel=0.35)


@pytest.mark.parametrize("kind", [kind for kind in FINITE if kind not in ("with infinities",)])
def test_effects_of_blocks_are_those_of_profiles(kind):
    """The reference is held against its own blocks in one go: the same figures as one by one."""
    values = sample(kind, 8_000, 3)
    profile = profile_of(values)
    places, starts = places_of_numbers(profile, values), np.arange(0, 8_000, 1_000)
    blocks = count_blocks(places, starts, 1_000, profile.counts.size)
    whole = np.append(profile.counts, profile.nulls)
    found = block_effects(profile, whole, blocks)
    for place, start in enumerate(starts):
        live = profile_of(values[start : start + 1_000], profile)
        assert np.array_equal(blocks[place], np.append(live.counts, live.nulls))
        one = number_effects(profile, live)
        assert found["ks"][place] == pytest.approx(one["ks"].value, abs=1e-9)
        assert found["psi"][place] == pytest.approx(one["psi"].value, abs=0.02)
        near = one["wasserstein"]
        assert found["wasserstein"][place] == pytest.approx(near.value, abs=near.bound + 1e-4)
        assert found["nulls"][place] == pytest.approx(
            abs(statistics.cohen_h(profile.nulls / profile.rows, live.nulls / live.rows)), abs=1e-9
        )
