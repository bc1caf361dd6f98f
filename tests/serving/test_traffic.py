"""The policy alone: who gets which share, who stays where, and which words of a person are weights."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.errors import SettingsError
from runtime_lib.serving.traffic import SLOTS, Policy, Turns, parse_weights, said

SHARES = st.lists(st.integers(0, SLOTS), min_size=1, max_size=4)


@given(SHARES, st.sampled_from(["", "one", "another"]))
def test_each_version_has_exactly_its_slots_whatever_the_salt(parts: list[int], salt: str) -> None:
    cuts = sorted(min(part, SLOTS) for part in parts)
    edges = [0, *cuts, SLOTS]
    weights = {str(number): b - a for number, (a, b) in enumerate(pairwise(edges))}
    policy = Policy(weights, salt=salt)
    found = Counter(policy.at(slot) for slot in range(SLOTS))
    assert {version: found[version] for version in weights} == weights
    assert Policy.from_dict(policy.to_dict()) == policy


def test_requests_in_turn_keep_the_shares_in_every_thousand_and_nearly_in_every_hundred() -> None:
    policy, turns = Policy({"5": 900, "7": 100}), Turns(123)
    seen = [policy.at(turns.next()) for _ in range(5000)]
    for start in range(0, 4000, 250):
        assert seen[start : start + 1000].count("7") == 100
        assert 6 <= seen[start : start + 100].count("7") <= 14


@given(
    st.lists(st.integers(1, SLOTS), min_size=2, max_size=6, unique=True), st.sampled_from(["", "canary 7"])
)
def test_whoever_a_canary_has_answered_stays_with_it_while_it_grows(steps: list[int], salt: str) -> None:
    keys = [b"user-%d" % number for number in range(300)]
    taken: set[bytes] = set()
    for share in sorted(steps):
        policy = Policy({"7": share, "5": SLOTS - share}, salt=salt)
        now = {key for key in keys if policy.of_key(key) == "7"}
        assert taken <= now
        taken = now


def test_of_many_keys_the_shares_are_the_weights_and_another_salt_mixes_them_anew() -> None:
    keys = [f"customer/{number}".encode() for number in range(20_000)]
    weights = {"5": 500, "7": 500}
    one, other = Policy(weights, salt="a"), Policy(weights, salt="b")
    first = {key for key in keys if one.of_key(key) == "7"}
    second = {key for key in keys if other.of_key(key) == "7"}
    assert abs(len(first) - 10_000) < 200
    # Two halves of 1,000 slots have 250 in common, and the standard deviation of that is 8.
    assert abs(len(first & second) - 5_000) < 800


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        (["7=10", "5"], {"7": 100, "5": 900}),
        (["7=0.5%", "5=99.5%"], {"7": 5, "5": 995}),
        (["7"], {"7": 1000}),
        (["7=0", "5=100"], {"7": 0, "5": 1000}),
    ],
)
def test_words_that_are_weights(words: list[str], weights: dict[str, int]) -> None:
    assert parse_weights(words) == weights


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["7=ten"], "'7=ten' is not VERSION=PERCENT"),
        (["7=", "5=90"], "'7=' is not VERSION=PERCENT"),
        (["=10", "5"], "'=10' is not VERSION=PERCENT"),
        (["7=10", "7=90"], "Version 7 is given twice"),
        (["7=10", "5=80"], "90 % together, not 100 %"),
        (["7=110"], "from 0 to 100 % in steps of 0.1"),
        (["7=0.05", "5"], "from 0 to 100 % in steps of 0.1"),
        (["7=nan", "5"], "from 0 to 100 % in steps of 0.1"),
        (["7", "5"], "Only one version may go without a share"),
        (["7=60", "5=60", "3"], "120 % together"),
    ],
)
def test_words_that_are_none(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace(".", r"\.")):
        parse_weights(words)


def test_a_policy_that_is_none_is_refused() -> None:
    for weights in ({"5": 900}, {"5": 1100, "7": -100}, {}):
        with pytest.raises(SettingsError, match="1000 tenths of a percent"):
            Policy(weights)
    with pytest.raises(SettingsError, match="it cannot be a shadow at the same time"):
        Policy({"5": 1000}, shadows=("5",))


def test_weights_in_words() -> None:
    assert said({"5": 1000}) == "all to version 5"
    assert said({"5": 1000, "7": 0}) == "all to version 5, version 7 loaded"
    assert said({"7": 5, "5": 995}) == "99.5 % to version 5, 0.5 % to version 7"
