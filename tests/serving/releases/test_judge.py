"""A canary is judged after every batch: equal ones stay, planted faults are found, and both for hours."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import islice

import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.serving.releases.evidence import Evidence
from runtime_lib.serving.releases.figures import Figures
from runtime_lib.serving.releases.judge import judge
from runtime_lib.serving.releases.rules import Rules
from tests.support.canaries import Canary, Traffic, first, looks
from tests.support.depth import DEEP, examples

RULES = Rules(loss_margin=0.1)
RELEASES = examples(6, 200)
FOUND = 0.9 if DEEP else 0.6  # a few releases leave more to chance

TENTH = Traffic(shares=(0.1,), looks=600, batch=100)
HALF = Traffic(shares=(0.5,), looks=300, batch=100)


def requests(outcome, traffic, canary, rules=RULES):
    """Of each release that came to the outcome, the canary's requests by then, sorted."""
    found = [first(seed, outcome, traffic, canary, rules) for seed in range(RELEASES)]
    return sorted(number for number in found if number is not None)


@pytest.mark.parametrize(
    "traffic",
    [
        pytest.param(Traffic(), id="three steps"),
        pytest.param(Traffic(tide=0.8), id="with a tide"),
        pytest.param(Traffic(batch=5, looks=examples(100, 200)), id="few requests"),
        pytest.param(Traffic(loss=lambda rng, n: rng.lognormal(0, 1.2, n)), id="losses with a long tail"),
        pytest.param(Traffic(loss=lambda rng, n: (rng.random(n) < 0.02) * 1.0), id="rare losses"),
    ],
)
def test_an_equal_canary_stays(traffic):
    traffic = traffic if DEEP else replace(traffic, looks=traffic.looks // 4)
    back = requests("go back", traffic, Canary())
    print(f"equal: {len(back)} of {RELEASES} sent back")
    assert len(back) <= 0.05 * RELEASES


def test_the_ordinary_test_would_send_many_back_when_looked_at_as_often():
    """What this room is for: a z test for 95 % after each batch, in the same releases."""

    def ordinary(evidence):
        one, other = evidence.canary, evidence.champion
        shared = (one.errors + other.errors) / max(one.requests + other.requests, 1)
        variance = shared * (1 - shared) * (1 / max(one.requests, 1) + 1 / max(other.requests, 1))
        gap = one.errors / max(one.requests, 1) - other.errors / max(other.requests, 1)
        return variance > 0 and gap / math.sqrt(variance) > 1.645

    traffic, releases = replace(HALF, looks=150, batch=50), examples(20, 200)
    back = sum(
        any(ordinary(evidence) for _, evidence, _ in looks(seed, traffic, Canary(), RULES))
        for seed in range(releases)
    )
    print(f"ordinary test: {back} of {releases} sent back")
    assert back >= 0.2 * releases


@pytest.mark.parametrize(
    ("traffic", "canary", "within"),
    [
        pytest.param(TENTH, Canary(errors=0.02), 1_500, id="errors, a tenth"),
        pytest.param(HALF, Canary(errors=0.02), 3_000, id="errors, a half"),
        pytest.param(TENTH, Canary(slower=1.5), 1_000, id="latency, a tenth"),
        pytest.param(HALF, Canary(slower=1.5), 3_000, id="latency, a half"),
        pytest.param(replace(TENTH, batch=250), Canary(loss=0.05), 13_000, id="loss, a tenth"),
        pytest.param(replace(HALF, batch=200), Canary(loss=0.05), 20_000, id="loss, a half"),
        pytest.param(TENTH, Canary(errors=0.99, since=300), 60, id="all fail, after 3,000 good ones"),
        pytest.param(HALF, Canary(slower=1.5, since=150), 4_000, id="slower, after 7,500 fast ones"),
    ],
)
def test_a_planted_fault_is_found(traffic, canary, within):
    if canary.since and traffic is HALF:
        traffic = replace(traffic, looks=400)
    found = requests("go back", traffic, canary)
    middle, ninth = found[len(found) // 2], found[math.ceil(0.9 * len(found)) - 1]
    print(f"{canary}: {len(found)} of {RELEASES} found, half by {middle:,}, 90 % by {ninth:,} requests")
    assert sum(number <= within for number in found) >= FOUND * RELEASES


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_a_canary_that_always_fails_goes_back_within_20_requests(share):
    traffic = Traffic(shares=(share,), looks=300, batch=max(2, round(1 / share)))
    found = requests("go back", traffic, Canary(errors=0.99))
    print(f"all fail at {share}: by {found[-1]} requests")
    assert len(found) == RELEASES
    assert found[-1] <= 20


def test_an_equal_canary_is_shown_to_be_no_worse():
    traffic = Traffic(shares=(0.5,), looks=300, batch=200)
    found = requests("go on", traffic, Canary())
    print(f"equal: {len(found)} of {RELEASES} go on, half by {found[len(found) // 2]:,} requests")
    assert len(found) >= 0.9 * RELEASES


@pytest.mark.parametrize(
    "canary",
    [Canary(errors=0.01), Canary(slower=1.25), Canary(loss=0.1)],
    ids=["errors", "latency", "loss"],
)
def test_a_canary_that_is_worse_by_the_margin_does_not_go_on(canary):
    found = requests("go on", replace(HALF, looks=100), canary)
    print(f"{canary}: {len(found)} of {RELEASES} went on")
    assert len(found) <= 0.05 * RELEASES


def test_the_reasons_are_sentences_with_the_figures():
    traffic, fault = replace(HALF, batch=20), Canary(errors=0.3, slower=3.0)
    *_, (_, evidence, verdict) = islice(looks(1, traffic, fault, RULES), 60)
    one, other = evidence.canary, evidence.champion
    assert verdict.outcome == "go back"
    assert verdict.reasons[0] == (
        f"Version 7 failed {one.errors} of {one.requests} requests, version 5 failed {other.errors} of "
        f"{other.requests} requests: worse, with 95 % confidence."
    )
    assert verdict.reasons[1].startswith("Version 7 took 1")
    assert verdict.reasons[1].endswith("percentile: slower by more than 20 %, with 95 % confidence.")


def test_what_is_missing_is_said():
    seen = [verdict for _, _, verdict in looks(1, HALF, Canary(), RULES)]
    assert seen[0].reasons == ("Version 7 was asked 45 times in this step; 100 are needed.",)
    waiting = seen[5].reasons
    assert waiting[0].endswith("too little yet to rule out 1 % of requests.")
    assert waiting[1].endswith("too little yet to rule out 20 %.")
    assert waiting[2].endswith("too little yet to rule out 0.1.")


def test_what_the_rules_do_not_ask_for_is_not_waited_for():
    rules = Rules(latency_margin=None, error_margin=0.1)
    one, other, evidence = Figures(), Figures(), Evidence()
    for _ in range(150):
        one.answered(9.0)
        other.answered(0.1)
        evidence = evidence.look(one, other, rules, step=0)
    verdict = judge(evidence, rules, canary="7", champion="5")
    assert verdict.outcome == "go on"
    assert len(verdict.reasons) == 1


def test_evidence_survives_a_restart_and_the_figures_it_was_given():
    traffic = replace(Traffic(), looks=40, batch=100)
    for look, evidence, _ in looks(3, traffic, Canary(errors=0.01), RULES):
        if look % 30 == 5:
            assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict()))) == evidence
    figures = Figures()
    seen = Evidence().look(figures, figures, RULES, step=0)
    figures.failed()
    assert seen.canary.requests == 0


def test_a_block_is_judged_by_what_was_known_before_it():
    bad, good = Figures(1_000, 1_000), Figures(1_000)
    seen = Evidence().look(bad, good, RULES, step=0)
    assert seen.worse("errors") == pytest.approx(Evidence().worse("errors"))
    assert seen.look(bad + bad, good + good, RULES, step=0).worse("errors") > 500


def test_each_step_has_to_be_passed_anew():
    traffic = Traffic(shares=(0.4, 0.5), looks=150, batch=200)
    seen = {look: verdict.outcome for look, _, verdict in looks(2, traffic, Canary(), RULES)}
    assert seen[149] == "go on"
    assert seen[151] == "wait"
    assert seen[299] == "go on"


def test_going_back_in_time_is_refused():
    figures = Figures(requests=1)
    seen = Evidence().look(figures, figures, RULES, step=1)
    with pytest.raises(DataError, match="Step 0 comes after step 1"):
        seen.look(figures, figures, RULES, step=0)
    with pytest.raises(DataError, match="fewer requests now"):
        seen.look(Figures(), figures, RULES, step=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 95},
        {"error_margin": 0},
        {"latency_margin": -1},
        {"loss_margin": math.inf},
        {"min_requests": 0},
    ],
    ids=str,
)
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        Rules(**wrong)
