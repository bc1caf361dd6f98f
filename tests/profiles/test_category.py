"""Counts of names: bounded, and never further off than they say."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.profiles import category
from runtime_lib.profiles.category import MOST_VALUES, CategoryFold, CategoryProfile
from tests.support.depth import examples

batches = st.lists(st.lists(st.integers(0, 60), max_size=120), max_size=12)


def fold(batches, like=None):
    found = CategoryFold(like)
    for batch in batches:
        found.add(Counter(str(each) for each in batch), nulls=1)
    return found.profile()


@pytest.fixture
def few(monkeypatch):
    """A profile that keeps 8 names, and 16 while it counts: what holds for these holds for 1,000."""
    monkeypatch.setattr(category, "MOST_VALUES", 8)
    monkeypatch.setattr(category, "_WHILE", 16)


@settings(max_examples=examples(200, 5_000), deadline=None)
@given(batches, batches, st.sets(st.integers(0, 60), max_size=20))
def test_no_count_is_too_low_by_more_than_the_slack(batches, more, known):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(category, "MOST_VALUES", 8)
        patch.setattr(category, "_WHILE", 16)
        like = CategoryProfile({str(each): 1 for each in known})
        merged = fold(batches, like).merge(fold(more, like))
        once = fold([*batches, *more], like)
    true = Counter(str(each) for batch in [*batches, *more] for each in batch)
    for found in (merged, once):
        assert found.present == true.total()
        assert found.rows == true.total() + len(batches) + len(more)
        for name, rows in true.items():
            kept = found.counts.get(name, 0)
            assert rows - found.slack <= kept <= rows
            if name in like.counts:
                assert kept == rows
        assert len(set(found.counts) - set(like.counts)) <= 8


@settings(deadline=None)
@given(batches, batches)
def test_while_no_name_is_left_out_merging_equals_one_pass(batches, more):
    assert fold(batches).merge(fold(more)) == fold([*batches, *more])


def test_names_in_batches_of_their_own_are_bounded():
    """Identifiers: each batch brings names that none had before, and a common one goes on."""
    found, largest = CategoryFold(), 0
    rows, size = examples(200_000, 10_000_000), 20_000
    for start in range(0, rows, size):
        found.add({**{f"id-{i}": 1 for i in range(start, start + size)}, "usual": 500}, 0)
        largest = max(largest, len(found._found.counts))
    profile = found.profile()
    assert largest <= 2 * category._WHILE + size
    assert len(profile.counts) == MOST_VALUES
    assert profile.counts["usual"] == rows // size * 500
    assert profile.slack <= rows // size + 1
    assert not profile.complete


def test_the_slack_is_small_where_names_are_few_but_long_tailed():
    rng = np.random.default_rng(0)
    names = [f"k{each}" for each in rng.zipf(1.3, 200_000)]
    profile = fold([names[start : start + 10_000] for start in range(0, len(names), 10_000)])
    true = Counter(f"{each}" for each in names)
    worst = max(true[name] - profile.counts.get(name, 0) for name in true)
    assert worst <= profile.slack < 200
