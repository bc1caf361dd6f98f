"""What is expected before labels come: near the real figure while probabilities are right."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runtime_lib.monitoring.estimate import estimate
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from tests.support.watched import Watched

CLASSES = Multiclass(("a", "b", "c"))


def calibrated(task, count, random):
    """Answers, and labels that follow them."""
    if task is BINARY:
        answer = random.beta(1.5, 3, count)
        return answer, (random.random(count) < answer).astype(int)
    answer = random.dirichlet([1.0, 2.0, 0.7], count)
    return answer, (random.random((count, 1)) > answer.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("task", [BINARY, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize("figure", [0, -1])
def test_the_real_figure_lies_within_about_nine_times_in_ten(task, figure):
    metric = list(task.metrics.values())[figure]
    random = np.random.default_rng(1)
    inside, away = [], []
    for _ in range(50):
        answer, label = calibrated(task, 1_000, random)
        found = estimate(task, metric, answer)
        real = metric.value(label, answer)
        inside.append(found.lower <= real <= found.upper)
        away.append(real - found.value)
    assert 0.78 <= np.mean(inside) <= 1, np.mean(inside)
    width = found.upper - found.lower
    assert abs(np.mean(away)) < width / 4
    assert np.std(away) < width  # no wider than it must be: of a normal distribution it is 3.3 times that
    assert np.std(away) > width / 6


def test_overconfident_answers_are_expected_to_be_better_than_they_are():
    """What the estimate cannot see, and why it is shown with its assumption."""
    random = np.random.default_rng(2)
    answer, label = calibrated(BINARY, 5_000, random)
    bold = 1 / (1 + np.exp(-3 * np.log(answer / (1 - answer))))
    found = estimate(BINARY, BINARY.metric, bold)
    assert BINARY.metric.value(label, bold) < found.lower


def test_fewer_clear_cases_are_seen():
    random = np.random.default_rng(3)
    clear, dull = random.beta(0.4, 0.8, 2_000), random.beta(8, 16, 2_000)
    assert estimate(BINARY, BINARY.metric, dull).upper < estimate(BINARY, BINARY.metric, clear).lower


@pytest.mark.parametrize("answer", [np.full(500, 0.3), np.zeros(500), np.ones(500)])
def test_answers_that_are_all_alike_are_no_error(answer):
    found = estimate(BINARY, BINARY.metric, answer)
    assert found is None or 0 <= found.lower <= found.value <= found.upper <= 1


def test_numbers_and_few_rows_have_no_estimate():
    numbers = np.random.default_rng(4).normal(size=(1_000, 3))
    assert estimate(Regression(), Regression().metric, numbers[:, 0]) is None
    task = Quantile(levels=(0.1, 0.5, 0.9))
    assert estimate(task, task.metric, numbers) is None
    assert estimate(BINARY, BINARY.metric, np.full(199, 0.5)) is None
    assert estimate(BINARY, BINARY.metric, np.linspace(0.1, 0.9, 200)) is not None


def test_it_is_the_same_each_time():
    answer = np.random.default_rng(5).beta(2, 3, 1_000)
    assert estimate(BINARY, BINARY.metric, answer) == estimate(BINARY, BINARY.metric, answer)


def test_report_and_page_say_that_it_is_estimated_and_on_what_it_rests(tmp_path):
    watched = Watched.make(tmp_path)
    watched.label(watched.answer(0, 600))
    watched.answer(1, 600)
    verdict = monitor(watched.settings, champion=watched.champion)
    told = json.loads(verdict.report_json.read_text())["estimated"]
    assumption = "the probabilities are as right as they were on held-out data"
    assert (told["metric"], told["rows"], told["assumption"]) == ("roc_auc", 600, assumption)
    page = verdict.report_html.read_text()
    assert "<b>Estimated</b> for the newest 600 predictions without a label" in page
    assert f"if {assumption}." in page
    assert f"{told['value']:.3f}" in page
    watched.label(watched.answer(1, 600))  # the labels of the rest
    again = monitor(watched.settings, champion=watched.champion)
    assert again.estimated is None
    assert "Estimated" not in again.report_html.read_text()
