"""Profiles as JSON: what is read is what was stored, in few bytes; damage is said."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime_lib.errors import DataError
from runtime_lib.profiles.category import CategoryFold, CategoryProfile
from runtime_lib.profiles.number import NumberProfile
from runtime_lib.profiles.packed import pack
from runtime_lib.profiles.stored import counts_from_dict, counts_to_dict, from_dict, to_dict
from tests.support.depth import examples
from tests.support.samples import KINDS, profile_of, sample

anything = arrays.arrays(float, st.integers(0, 200), elements=st.floats())
names = st.dictionaries(st.text(max_size=5), st.integers(1, 10**12), max_size=20)


def through_json(document):
    return json.loads(json.dumps(document, allow_nan=False))


def assert_equal(one, other):
    assert one.bins.agree(other.bins)
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.strays, other.strays)
    assert (one.moments, one.nulls, one.infinite) == (other.moments, other.nulls, other.infinite)


@settings(max_examples=examples(60, 2_000), deadline=None)
@given(anything)
def test_any_profile_of_numbers_comes_back(values):
    profile = profile_of(values)
    assert_equal(from_dict(through_json(to_dict(profile))), profile)
    assert_equal(counts_from_dict(through_json(counts_to_dict(profile)), profile), profile)


@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_of_each_kind_comes_back(kind):
    profile = profile_of(sample(kind, 30_000))
    assert_equal(from_dict(through_json(to_dict(profile))), profile)


@settings(deadline=None)
@given(names, st.integers(0, 10**9), st.integers(0, 9), st.integers(0, 9))
def test_any_profile_of_names_comes_back(counts, nulls, other, slack):
    profile = CategoryProfile(counts, other, nulls, slack)
    assert from_dict(through_json(to_dict(profile))) == profile
    known = CategoryProfile(counts, other, nulls, slack, known=frozenset(counts))
    assert counts_from_dict(through_json(counts_to_dict(profile)), profile) == known


def test_twenty_columns_of_a_million_rows_are_small():
    """15 numbers of different kinds and 5 columns of 10 to 50 names."""
    chosen = ["normal", "heavy-tailed", "lognormal", "tied", "zero-inflated", "seconds", "bimodal"]
    rows = examples(100_000, 1_000_000)
    documents = [to_dict(profile_of(sample(chosen[seed % len(chosen)], rows, seed))) for seed in range(15)]
    for size in range(10, 60, 10):
        fold = CategoryFold()
        fold.add({f"name {each}": rows // size for each in range(size)}, nulls=3)
        documents.append(to_dict(fold.profile()))
    assert len(json.dumps(documents)) <= 100_000


def change(document, path, value):
    changed = copy.deepcopy(document)
    at = changed
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


NUMBER = through_json(to_dict(profile_of(sample("zero-inflated", 2_000))))
EDGES = through_json(to_dict(profile_of(sample("bimodal", 2_000))))
NAMES = through_json(to_dict(CategoryProfile({"a": 2, "b": 1}, nulls=1)))


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (NUMBER, ["kind"], None),
        (NUMBER, ["nulls"], "many"),
        (NUMBER, ["nulls"], -1),
        (NUMBER, ["infinite"], [1]),
        (NUMBER, ["fine", "counts"], None),
        (NUMBER, ["fine", "counts"], "i1notbase85\\"),
        (NUMBER, ["fine", "counts"], NUMBER["fine"]["counts"][:-6]),
        (NUMBER, ["fine", "counts"], "x9" + NUMBER["fine"]["counts"][2:]),
        (NUMBER, ["fine", "counts"], NUMBER["fine"]["starts"]),
        (NUMBER, ["fine", "counts"], NUMBER["fine"]["strays"][:2] + EDGES["fine"]["strays"][2:]),
        (NUMBER, ["fine", "strays"], EDGES["fine"]["strays"]),
        (NUMBER, ["fine", "strays"], pack(from_dict(NUMBER).counts + 1)),
        (NUMBER, ["fine", "strays"], pack(from_dict(NUMBER).strays - 1)),
        (NUMBER, ["fine", "starts"], EDGES["fine"]["counts"]),
        (NUMBER, ["fine", "centre"], "here"),
        (NUMBER, ["fine", "scale"], 0.0),
        (NUMBER, ["fine", "scale"], -1.0),
        (NUMBER, ["fine", "squares"], "large"),
        (NUMBER, ["fine", "atoms"], [EDGES["fine"]["counts"], NUMBER["fine"]["atoms"][1]]),
        (NUMBER, ["fine"], "none"),
        (EDGES, ["fine", "edges"], EDGES["fine"]["edges"][:-5]),
        (EDGES, ["fine", "edges"], None),
        (NAMES, ["counts"], ["a", "b"]),
        (NAMES, ["counts"], {"a": "two"}),
        (NAMES, ["counts"], {"a": -2}),
        (NAMES, ["other"], None),
        (NAMES, ["kind"], "other"),
    ],
)
def test_damage_is_said(document, path, value):
    with pytest.raises(DataError, match=r"Profile of 'x' is damaged: .+\. Train again\."):
        from_dict(change(document, path, value), "Profile of 'x'")


@settings(max_examples=examples(200, 5_000), deadline=None)
@given(st.data())
def test_text_that_was_cut_or_changed_is_read_rightly_or_refused(data):
    """A flipped character of packed numbers: an error, or a profile whose parts agree."""
    document = copy.deepcopy(data.draw(st.sampled_from([NUMBER, EDGES])))
    key = data.draw(st.sampled_from(sorted(k for k, v in document["fine"].items() if isinstance(v, str))))
    text = document["fine"][key]
    at = data.draw(st.integers(0, len(text) - 1))
    document["fine"][key] = text[:at] + data.draw(st.sampled_from("0aZ~é\0")) + text[at + 1 :]
    try:
        found = from_dict(document)
    except DataError:
        return
    assert isinstance(found, NumberProfile)
    assert found.counts.size == found.strays.size == found.bins.atoms.size
    assert (found.counts >= 0).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("counts", EDGES["fine"]["counts"]),
        ("strays", None),
        ("moments", [1]),
        ("infinite", 3),
        ("nulls", "x"),
    ],
)
def test_damaged_counts_are_said(key, value):
    like = from_dict(NUMBER)
    document = change(through_json(counts_to_dict(like)), [key], value)
    with pytest.raises(DataError, match="A stored profile is damaged: "):
        counts_from_dict(document, like)
