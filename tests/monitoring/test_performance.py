"""When retraining is due."""

import numpy as np

from runtime_lib.monitoring.performance import by_period, judge_performance
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.regression import Regression

HELD_OUT = {"roc_auc": 0.80, "rows": 5_000.0}


def answers(rows, skill, seed=0):
    """Labels (30 % ones) and probabilities whose AUC is Φ(skill / √2): 1.19 → 0.80, 0.74 → 0.70, 1 → 0.76."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.3).astype(float)
    return label, 1 / (1 + np.exp(-(rng.normal(size=rows) + skill * label)))


def judge(label, probability, **options):
    return judge_performance(BINARY, label, probability, HELD_OUT, predictions=2 * len(label), **options)


def test_a_real_drop_calls_for_retraining():
    result = judge(*answers(4_000, 0.74))
    assert result.retrain
    assert result.upper < 0.80
    assert result.coverage == 0.5
    assert "upper bound" in result.reason


def test_the_metric_that_is_asked_for_decides():
    """With fewer positives the ranking stays as good, and the average precision falls."""
    label, probability = answers(20_000, 1.19)
    kept = (label == 0) | (np.random.default_rng(1).random(label.size) < 0.5)
    held_out = BINARY.figures(label, probability)
    now = {"label": label[kept], "answer": probability[kept], "held_out": held_out, "predictions": 9}
    by_auc, by_precision = (
        judge_performance(BINARY, **now, metric=BINARY.metrics[name])
        for name in ("roc_auc", "average_precision")
    )
    assert (by_auc.metric, by_auc.retrain) == ("roc_auc", False)
    assert (by_precision.metric, by_precision.retrain) == ("average_precision", True)
    assert by_precision.held_out == held_out["average_precision"]
    assert by_precision.lower < by_precision.live < by_precision.upper < by_precision.held_out
    assert by_precision.reason.startswith("Average precision")
    assert by_auc.reason.startswith("AUC")


def test_the_same_performance_does_not():
    result = judge(*answers(4_000, 1.19))
    assert not result.retrain
    assert result.drop > 0
    assert "less than the drop" in result.reason


def test_a_rise_is_not_called_a_drop():
    result = judge(*answers(4_000, 2.0))
    assert not result.retrain
    assert result.drop < 0
    assert result.reason.endswith(": no drop.")


def test_a_sure_drop_of_less_than_the_limit_does_not():
    result = judge(*answers(40_000, 1.1))
    assert result.upper < 0.80
    assert not result.retrain
    assert judge(*answers(40_000, 1.1), max_drop=0.01).retrain


def test_a_large_drop_that_may_be_chance_does_not():
    label, probability = next(
        pair
        for seed in range(200)
        if (r := judge(*(pair := answers(100, 1.0, seed)), min_rows=50)).live <= 0.76 and r.upper >= 0.80
    )
    result = judge(label, probability, min_rows=50)
    assert not result.retrain
    assert "perhaps by chance" in result.reason


def test_too_few_labels_do_not():
    label, probability = answers(499, 0.0)
    assert not judge(label, probability).retrain
    assert judge(label, probability, min_rows=499).retrain


def test_what_cannot_be_judged_says_why():
    empty = np.empty(0)
    assert "No labels yet" in judge_performance(BINARY, empty, empty, HELD_OUT, predictions=9).reason
    of_others = judge_performance(BINARY, empty, empty, HELD_OUT, predictions=9, unknown=2732).reason
    assert "None of 2,732 labels has the id of one of these predictions" in of_others
    assert "are the same" in judge(np.ones(600), np.full(600, 0.5)).reason
    result = judge_performance(BINARY, *answers(600, 1), None, predictions=600)
    assert "no held-out figure to compare" in result.reason
    assert result.live > 0.5


def test_of_an_error_a_rise_calls_for_retraining():
    rng = np.random.default_rng(0)
    label, task = rng.normal(size=2000), Regression()
    for spread, retrain in ((1.0, False), (1.5, True)):
        answer = label + spread * rng.normal(size=2000)
        held_out = {"mae": np.sqrt(2 / np.pi), "rows": 5_000.0}
        result = judge_performance(task, label, answer, held_out, predictions=2000)
        assert (result.metric, result.best, result.retrain) == ("mae", 0, retrain)
    assert result.drop > 0.4, "positive where it got worse"
    assert result.reason.startswith("Mean absolute error 1.")
    assert "a rise of 5% or more, and its 95 % lower bound" in result.reason
    assert result.limit(0.05) > result.held_out


def test_a_figure_below_0_that_falls_has_dropped():
    label = np.random.default_rng(0).normal(size=2000)
    held_out = {"r2": -0.1, "rows": 5_000.0}
    metric = Regression().metrics["r2"]
    result = judge_performance(
        Regression(), label, np.full(2000, 1.0), held_out, predictions=2000, metric=metric
    )
    assert result.retrain
    assert result.drop > 5
    assert result.limit(0.05) < result.held_out


def test_days_become_weeks_from_monday_in_a_long_log():
    start = np.datetime64("2026-11-04T12:00")  # a Wednesday
    label, probability = answers(400, 1)
    time = start + np.arange(400) // 200 * np.timedelta64(1, "D")
    few = by_period(BINARY, {"2026-11-04": 250, "2026-11-05": 200}, time, probability, label)
    assert [(p.start, p.days, p.predictions, p.labelled) for p in few] == [
        ("2026-11-04", 1, 250, 200),
        ("2026-11-05", 1, 200, 200),
    ]
    counted = {"2026-11-04": 200, "2026-12-14": 200}
    many = by_period(BINARY, counted, time[:200], probability[:200], label[:200])
    assert [(p.start, p.days, p.labelled) for p in many] == [("2026-11-02", 7, 200), ("2026-12-14", 7, 0)]
    assert many[0].lower < many[0].live < many[0].upper
    assert many[1].live is None
