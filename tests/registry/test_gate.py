import json
import math

import pytest

from runtime_lib.errors import DataError
from runtime_lib.registry.gate import Other, judge
from runtime_lib.settings import Registry
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.metric import Z95, Gain
from runtime_lib.task.regression import Regression

RULES = Registry(min_gain_over_baseline=0.01, min_gain_over_incumbent=0.002)
LENIENT = Registry(min_gain_over_baseline=0.01, max_loss_to_incumbent=0.005)
AUC, MAE = BINARY.metric, Regression().metric


def figures(score, metric=AUC, **more):
    return {metric.name: score, "rows": 53_000.0, "rate": 0.2, **more}


def beside(score, other, *, error=1e-6, metric=AUC):
    """Another model's figure next to the candidate's, and how sure the difference is."""
    return Other(figures(other, metric), Gain(metric.margin(score, other), error))


def decide(score, naive, champion=None, *, error=1e-6, rules=RULES, metric=AUC):
    incumbent = None if champion is None else beside(score, champion, error=error, metric=metric)
    return judge(
        metric, figures(score, metric), beside(score, naive, error=error, metric=metric), incumbent, rules
    )


def test_a_candidate_below_the_baseline_is_refused_in_words_with_the_figures():
    decision = decide(0.5, 0.61, error=0.01 / Z95)
    assert not decision.promoted
    assert decision.reasons[0] == (
        "roc_auc 0.5000 on 53,000 held-out rows is not better than the naive baseline's 0.6100 by 0.01 "
        "(90 % interval -0.1200 to -0.1000): refused"
    )


def test_the_first_model_above_the_baseline_is_promoted():
    decision = decide(0.71, 0.61, error=0.01 / Z95)
    assert decision.promoted
    assert decision.reasons[0].endswith("by 0.1000 (90 % interval +0.0900 to +0.1100; asked: 0.01)")
    assert "no champion" in decision.reasons[-1]


def test_a_gain_over_the_baseline_that_may_be_chance_is_refused_and_says_what_would_tell():
    decision = decide(0.63, 0.61, error=0.02)
    assert not decision.promoted
    assert "perhaps by chance" in decision.reasons[0]
    assert "a longer test period (split.test in params.yaml) would tell" in decision.reasons[0]
    assert decide(0.63, 0.61, error=0.012).promoted


@pytest.mark.parametrize(
    ("score", "promoted"), [(0.72, True), (0.702, True), (0.7019, False), (0.70, False), (0.62, False)]
)
def test_a_champion_is_followed_by_a_better_model_alone(score, promoted):
    decision = decide(score, 0.61, 0.70)
    assert decision.promoted is promoted
    assert "champion's 0.7000" in decision.reasons[-1]
    assert ("refused" in decision.reasons[-1]) is not promoted


@pytest.mark.parametrize(
    ("gain", "error", "promoted", "said"),
    [
        (0.004, 0.001, True, "is better than the champion's 0.7000 by 0.0040"),
        (0.004, 0.003, False, "perhaps by chance (90 % interval -0.0009 to +0.0089)"),
        # Whether it reaches what is asked is not known: refusing for that would ask for more than was set.
        (0.0015, 0.0005, True, "asked: 0.002"),
        (0.0015, 0.0001, False, "surely by less than 0.002"),
        (0.0, 0.001, False, "is not better than the champion's 0.7000: +0.0000"),
        (0.1, math.inf, False, "too few rows for an interval"),
    ],
)
def test_a_gain_over_the_champion_is_told_from_chance(gain, error, promoted, said):
    score = 0.7 + gain
    incumbent = Other(figures(0.7), Gain(gain, error))
    decision = judge(AUC, figures(score), beside(score, 0.61), incumbent, RULES)
    assert decision.promoted is promoted
    assert said in decision.reasons[-1]


@pytest.mark.parametrize(
    ("score", "promoted"), [(0.72, True), (0.70, True), (0.695, True), (0.6949, False), (0.62, False)]
)
def test_where_a_loss_is_allowed_the_champion_need_not_be_beaten(score, promoted):
    decision = decide(score, 0.61, 0.70, error=0, rules=LENIENT)
    assert decision.promoted is promoted
    assert "champion's 0.7000" in decision.reasons[-1]
    assert ("refused" in decision.reasons[-1]) is not promoted


def test_a_loss_within_what_is_allowed_that_may_be_larger_is_refused():
    decision = decide(0.699, 0.61, 0.70, error=0.01, rules=LENIENT)
    assert not decision.promoted
    assert "perhaps worse by more than 0.005" in decision.reasons[-1]


@pytest.mark.parametrize(("score", "promoted"), [(0.71, True), (0.7099, False)])
def test_a_gain_of_exactly_the_margin_passes(score, promoted):
    assert decide(score, 0.70).promoted is promoted


def test_without_a_margin_a_draw_with_the_baseline_is_still_refused():
    assert not decide(0.61, 0.61, error=0, rules=Registry(min_gain_over_baseline=0)).promoted


def test_better_than_the_champion_but_not_than_the_baseline_is_refused():
    assert not decide(0.55, 0.61, 0.50).promoted


def test_a_metric_that_is_not_a_number_is_refused():
    decision = decide(float("nan"), 0.61)
    assert not decision.promoted
    assert "cannot be computed" in decision.reasons[0]


@pytest.mark.parametrize("rules", [RULES, LENIENT])
@pytest.mark.parametrize("broken", ["naive", "champion"])
def test_a_comparison_with_no_number_is_refused(broken, rules):
    assert not decide(0.7, **{"naive": 0.61, "champion": 0.6, broken: float("nan")}, rules=rules).promoted


@pytest.mark.parametrize("rules", [RULES, LENIENT])
def test_a_gain_whose_error_is_no_number_is_refused(rules):
    sure, unknown = (Other(figures(0.6), Gain(0.1, error)) for error in (0.01, math.nan))
    assert not judge(AUC, figures(0.7), unknown, None, rules).promoted
    assert not judge(AUC, figures(0.7), sure, unknown, rules).promoted
    assert judge(AUC, figures(0.7), sure, sure, rules).promoted


def test_another_metric_can_be_the_judge():
    candidate, baseline = (figures(auc, average_precision=ap) for auc, ap in ((0.9, 0.3), (0.5, 0.4)))
    for metric, gain in ((AUC, 0.4), (BINARY.metrics["average_precision"], -0.1)):
        decision = judge(metric, candidate, Other(baseline, Gain(gain, 0.01)), None, RULES)
        assert decision.promoted is (gain > 0)
        assert decision.reasons[0].startswith(metric.name)


def test_of_an_error_less_is_better_and_margins_are_shares_of_it():
    """Minutes, euros or metres: 0.01 is a hundredth of the other's error."""
    decision = decide(9.0, 10.0, 9.5, metric=MAE, error=0.001)
    assert decision.promoted, decision.reasons
    said = (
        "better than the naive baseline's 10.0000 by 10.00% (90 % interval +9.84% to +10.16%; asked: 1.00%)"
    )
    assert decision.reasons[0].endswith(said)
    assert not decide(9.95, 10.0, metric=MAE).promoted, "half a hundredth"
    assert not decide(9.6, 10.0, 9.5, metric=MAE).promoted
    assert decide(9.5 * 1.004, 10.0, 9.5, metric=MAE, rules=LENIENT).promoted


def test_a_missing_metric_is_named():
    with pytest.raises(DataError, match=r"baseline's figures hold no roc_auc \(only rows\)"):
        judge(AUC, figures(0.7), Other({"rows": 1}, Gain(0.1, 0.01)), None, RULES)


def test_the_decision_is_json():
    told = json.loads(json.dumps(decide(0.71, 0.61, 0.7, error=0.001).to_dict()))
    assert told["figures"]["incumbent"]["roc_auc"] == 0.7
    lower, upper = told["figures"]["intervals"]["incumbent"]
    assert (lower, upper) == pytest.approx((0.01 - Z95 * 0.001, 0.01 + Z95 * 0.001))


def test_a_difference_that_refuses_is_never_shown_as_nothing():
    decision = decide(0.668790, 0.6, 0.668801)
    assert not decision.promoted
    assert "is not better than the champion's 0.6688: -1e-05" in decision.reasons[-1]


@pytest.mark.parametrize(
    ("metric", "score", "naive", "passes"),
    [
        ("roc_auc", 0.5059, 0.4898, False),
        ("average_precision", 0.2, 0.15, False),
        ("roc_auc", 0.52, 0.4, True),
    ],
)
def test_a_baseline_worse_than_guessing_is_no_measure(metric, score, naive, passes):
    decision = decide(score, naive, metric=BINARY.metrics[metric])
    assert decision.promoted is passes
    assert f"guessing's {0.5 if metric == 'roc_auc' else 0.2:.4f} by 0.0" in decision.reasons[0]
