"""What a release does to the state of a server, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.serving.releases import actions
from runtime_lib.serving.releases.canary import begin_canary
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings.tables import Canary


def held(version: str) -> Held:
    return Held(f"models/{version}", version)


def state(version: str = "5") -> State:
    return State("flights", Policy.all_to(version), {version: held(version)}, (version,), followed=version)


def test_a_new_version_gets_all_and_the_one_before_stays_loaded_to_go_back() -> None:
    after = actions.all_to(state(), "7", held("7"))
    assert after.policy.weights == {"7": 1000, "5": 0}
    assert after.settled == ("5", "7")
    back, version = actions.roll_back(after)
    assert (version, back.policy.weights, back.settled) == ("5", {"5": 1000}, ("5",))


def test_only_two_stay_loaded_but_the_files_of_more_are_known_to_go_back() -> None:
    after = state("1")
    for version in ("2", "3", "4"):
        after = actions.all_to(after, version, held(version))
    assert after.policy.loaded == ("4", "3")
    for version in ("3", "2", "1"):
        after, found = actions.roll_back(after)
        assert found == version
    with pytest.raises(DataError, match="nothing to go back to: all to version 1"):
        actions.roll_back(after)


def test_a_canary_takes_its_first_step_and_a_rollback_ends_it() -> None:
    after = begin_canary(state(), "7", held("7"), Canary())
    assert after.policy.weights == {"7": 10, "5": 990}
    assert (after.plan or {})["kind"] == "canary"
    back, version = actions.roll_back(after)
    assert (version, back.policy.weights, back.plan) == ("5", {"5": 1000}, None)
    with pytest.raises(SettingsError, match="serves already"):
        begin_canary(state("7"), "7", held("7"), Canary())


def test_a_champion_that_is_left_is_no_news_and_one_that_was_not_served_stays() -> None:
    followed = replace(actions.all_to(state(), "7", held("7")), followed="7")
    assert actions.roll_back(followed)[0].followed == "5"
    by_hand = actions.all_to(actions.all_to(state("1"), "5", held("5")), "7", held("7"))
    assert actions.roll_back(by_hand)[0].followed == "1"
    beside = replace(actions.stage(by_hand, "9", held("9")), followed="9")  # it has no traffic to lose
    assert actions.roll_back(beside)[0].followed == "9"


def test_a_division_by_hand_needs_versions_that_are_loaded() -> None:
    staged = actions.stage(state(), "7", held("7"))
    assert staged.policy.weights == {"5": 1000, "7": 0}
    assert actions.stage(staged, "7", held("7")) == staged
    with pytest.raises(SettingsError, match="Version 5 has 100 % of the traffic"):
        actions.stage(staged, "5", held("5"))
    divided = actions.divide(staged, {"7": 300, "5": 700}, {})
    assert divided.settled == ("5",)
    switched = actions.divide(divided, {"7": 1000}, {})
    assert (switched.policy.weights, switched.settled) == ({"7": 1000, "5": 0}, ("5", "7"))
    with pytest.raises(DataError, match=r"Version 9 is not loaded, only 5, 7\. `mlops deploy 9 --stage`"):
        actions.divide(staged, {"9": 300, "5": 700}, {})


def test_a_shadow_answers_nobody_until_it_is_deployed() -> None:
    after = actions.shadow(state(), "7", held("7"))
    assert (after.policy.weights, after.policy.shadows) == ({"5": 1000}, ("7",))
    assert actions.all_to(after, "7", held("7")).policy.shadows == ()
    assert actions.unshadow(after, "7").policy.shadows == ()
    with pytest.raises(SettingsError, match=r"Version 7 is no shadow\. Shadows: none"):
        actions.unshadow(state(), "7")
    with pytest.raises(SettingsError, match="it cannot be a shadow"):
        actions.shadow(state(), "5", held("5"))


SIGNATURE = {
    "task": "binary",
    "outputs": ["probability"],
    "columns": {"hour": "number", "carrier": "category"},
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"task": "regression"}, "Version 7 answers a regression task, version 5 a binary one."),
        ({"outputs": ["a", "b"]}, "Version 7 answers a, b, version 5 probability."),
        (
            {"columns": {**SIGNATURE["columns"], "wind": "number"}},
            "Version 7 takes 'wind', which callers of version 5 do not send.",
        ),
        (
            {"columns": {"hour": "number"}},
            "Version 7 does not take 'carrier', which callers of version 5 send.",
        ),
        (
            {"columns": {"hour": "category", "carrier": "category"}},
            "Version 7 takes 'hour' as a category, version 5 as a number.",
        ),
    ],
)
def test_a_version_that_callers_cannot_be_moved_to_is_told(change: dict[str, object], why: str) -> None:
    assert actions.fits("7", {**SIGNATURE, **change}, "5", SIGNATURE) == why
