import json

import pytest

from runtime_lib.errors import DataError
from runtime_lib.registry.gate import judge
from runtime_lib.settings import Registry

RULES = Registry(min_gain_over_baseline=0.01, max_loss_to_incumbent=0.005)


def figures(score):
    return {"roc_auc": score, "rows": 53_000.0}


def test_a_candidate_below_the_baseline_is_refused_in_words_with_the_figures():
    decision = judge(figures(0.5), figures(0.61), None, RULES)
    assert not decision.promoted
    assert decision.reasons[0] == (
        "roc_auc 0.5000 on 53,000 held-out rows is not above the naive baseline's 0.6100 by 0.01: refused"
    )


def test_the_first_model_above_the_baseline_is_promoted():
    decision = judge(figures(0.71), figures(0.61), None, RULES)
    assert decision.promoted
    assert "no champion" in decision.reasons[-1]


@pytest.mark.parametrize(
    ("score", "promoted"), [(0.72, True), (0.70, True), (0.695, True), (0.6949, False), (0.62, False)]
)
def test_the_margin_to_the_champion(score, promoted):
    decision = judge(figures(score), figures(0.61), figures(0.70), RULES)
    assert decision.promoted is promoted
    assert "champion's 0.7000" in decision.reasons[-1]
    assert ("refused" in decision.reasons[-1]) is not promoted


@pytest.mark.parametrize(("score", "promoted"), [(0.71, True), (0.7099, False)])
def test_a_gain_of_exactly_the_margin_passes(score, promoted):
    assert judge(figures(score), figures(0.70), None, RULES).promoted is promoted


def test_without_a_margin_a_draw_with_the_baseline_is_still_refused():
    assert not judge(figures(0.61), figures(0.61), None, Registry(min_gain_over_baseline=0)).promoted


def test_better_than_the_champion_but_not_than_the_baseline_is_refused():
    assert not judge(figures(0.55), figures(0.61), figures(0.50), RULES).promoted


def test_a_metric_that_is_not_a_number_is_refused():
    decision = judge(figures(float("nan")), figures(0.61), None, RULES)
    assert not decision.promoted
    assert "cannot be computed" in decision.reasons[0]


@pytest.mark.parametrize("broken", ["baseline", "incumbent"])
def test_a_comparison_with_no_number_is_refused(broken):
    others = {"baseline": figures(0.61), "incumbent": figures(0.6), broken: figures(float("nan"))}
    assert not judge(figures(0.7), others["baseline"], others["incumbent"], RULES).promoted


def test_another_metric_can_be_the_judge():
    candidate = {"roc_auc": 0.9, "average_precision": 0.3, "rate": 0.2, "rows": 10}
    baseline = {"roc_auc": 0.5, "average_precision": 0.4, "rate": 0.2, "rows": 10}
    assert judge(candidate, baseline, None, Registry(metric="roc_auc")).promoted
    assert not judge(candidate, baseline, None, Registry(metric="average_precision")).promoted


def test_a_missing_metric_is_named():
    with pytest.raises(DataError, match=r"baseline's figures hold no roc_auc \(only rows\)"):
        judge(figures(0.7), {"rows": 1}, None, RULES)


def test_the_decision_is_json():
    decision = judge(figures(0.71), figures(0.61), figures(0.7), RULES)
    assert json.loads(json.dumps(decision.to_dict()))["figures"]["incumbent"]["roc_auc"] == 0.7


def test_a_loss_that_refuses_is_never_shown_as_nothing():
    figures = [{"roc_auc": score, "rows": 8000.0} for score in (0.668790, 0.6, 0.668801)]
    decision = judge(*figures, Registry(min_gain_over_baseline=0.01, max_loss_to_incumbent=0.0))
    assert not decision.promoted
    assert "below the champion's 0.6688 by 1e-05 (allowed: 0)" in decision.reasons[-1]


@pytest.mark.parametrize(
    ("metric", "score", "naive", "passes"),
    [
        ("roc_auc", 0.5059, 0.4898, False),
        ("average_precision", 0.2, 0.15, False),
        ("roc_auc", 0.52, 0.4, True),
    ],
)
def test_a_baseline_worse_than_guessing_is_no_measure(metric, score, naive, passes):
    rules = Registry(metric=metric, min_gain_over_baseline=0.01)
    figures = [{metric: value, "rows": 27902.0, "rate": 0.2} for value in (score, naive)]
    decision = judge(*figures, None, rules)
    assert decision.promoted is passes
    assert f"guessing's {0.5 if metric == 'roc_auc' else 0.2:.4f} by 0.0" in decision.reasons[0]
