"""A canary's way from its first requests to all of them, or back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.judge import Verdict
from runtime_lib.serving.releases.steps import Plan, Progress, advance, begin

ON, WAIT, BACK = (Verdict(outcome, (outcome,)) for outcome in ("go on", "wait", "go back"))
PLAN = Plan(least_seconds=60, longest_seconds=3_600)


def started(plan=PLAN):
    return begin(plan, canary="7", champion="5", now=1_000)


def test_a_good_canary_gets_all_the_traffic_step_by_step():
    state, now, shares = started(), 1_000.0, []
    while state.outcome == "running":
        shares.append(state.weights(PLAN)["7"])
        now += 60
        state = advance(state, PLAN, ON, now)
    assert shares == [10, 100, 500]
    assert (state.outcome, state.weights(PLAN)) == ("released", {"7": 1000, "5": 0})
    assert advance(state, PLAN, BACK, now) is state


def test_a_bad_one_goes_back_at_once():
    state = advance(started(), PLAN, BACK, 1_000)
    assert (state.outcome, state.reasons) == ("returned", ("go back",))
    assert state.weights(PLAN) == {"7": 0, "5": 1000}
    assert advance(state, PLAN, ON, 9_999) is state


def test_a_step_lasts_its_least_time_and_a_clock_set_back_ends_none():
    state = started()
    assert advance(state, PLAN, ON, 1_059) is state
    assert advance(state, PLAN, ON, 0) is state
    assert advance(state, PLAN, WAIT, 4_599) is state
    assert advance(state, PLAN, ON, 1_060).step == 1


def test_after_the_longest_time_the_plan_decides():
    back = advance(started(), PLAN, WAIT, 4_600)
    assert back.outcome == "returned"
    assert back.reasons == ("Nothing was shown within the step's 3,600 seconds.", "wait")
    lenient = Plan(longest_seconds=3_600, unproven="go on")
    assert advance(started(lenient), lenient, WAIT, 4_600).step == 1


def test_a_plan_of_one_step_releases_at_once():
    assert begin(Plan((1000,)), canary="7", champion="5", now=0).outcome == "released"


@given(
    st.lists(st.integers(1, 999), unique=True, max_size=6),
    st.lists(st.tuples(st.sampled_from([ON, WAIT, BACK]), st.floats(0, 5_000)), max_size=20),
)
def test_weights_are_always_whole_and_complete_and_the_state_survives_json(shares, events):
    plan = Plan((*sorted(shares), 1000), least_seconds=10, longest_seconds=3_600)
    state, now, before = started(plan), 1_000.0, 0
    for verdict, seconds in events:
        now += seconds
        state = advance(Progress.from_dict(json.loads(json.dumps(state.to_dict()))), plan, verdict, now)
        weights = state.weights(plan)
        assert sum(weights.values()) == 1000
        assert all(isinstance(weight, int) and weight >= 0 for weight in weights.values())
        assert state.outcome == "returned" or weights["7"] >= before
        before = weights["7"]


@pytest.mark.parametrize("shares", [(), (10, 100), (0, 1000), (100, 10, 1000), (500, 500, 1000)])
def test_a_plan_that_leads_nowhere_is_refused(shares):
    with pytest.raises(SettingsError, match="end with 1000"):
        Plan(shares)


def test_times_that_contradict_each_other_and_a_release_of_the_champion_are_refused():
    with pytest.raises(SettingsError, match="60 s at least, 5 s at most"):
        Plan(longest_seconds=5)
    with pytest.raises(SettingsError, match="Version 5 serves already"):
        begin(PLAN, canary="5", champion="5", now=0)
