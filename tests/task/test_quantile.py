"""How much, and how sure: levels, quantiles that never cross, and the loss that they are judged by."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.task.kinds import from_dict
from runtime_lib.task.quantile import Quantile, pinball_rows

RNG = np.random.default_rng(3)
TASK = Quantile(center=20.0, scale=5.0)


@pytest.mark.parametrize("levels", [[], [0.5, 0.1], [0.1, 0.1], [0, 0.5], [0.5, 1], [10, 50, 90]])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(SettingsError, match=r"task\.levels: .* Give numbers between 0 and 1, ascending"):
        Quantile(levels=tuple(levels))


def test_an_output_has_the_name_of_its_level():
    assert TASK.outputs == ("p10", "p50", "p90")
    assert Quantile(levels=(0.025, 0.975)).outputs == ("p2.5", "p97.5")
    assert TASK.width == 3
    assert TASK.loss_options == {"levels": (0.1, 0.5, 0.9)}


def test_what_is_learned_keeps_the_levels():
    learned = Quantile(levels=(0.2, 0.8)).learn(RNG.normal(30, 4, 5000))
    assert learned.levels == (0.2, 0.8)
    assert learned.center == pytest.approx(30, abs=0.3)
    with pytest.raises(DataError, match="the same label, 2: there is nothing to learn"):
        TASK.learn([2, 2])


def test_quantiles_that_crossed_change_places():
    raw = np.array([[0.5, 0, -1], [-1, 0, 2]], dtype="float32")
    assert TASK.answer(raw).tolist() == [[15, 20, 22.5], [15, 20, 30]]


def test_the_loss_is_the_pinball_loss_of_the_textbook():
    from sklearn.metrics import mean_pinball_loss

    label, answer = RNG.normal(size=200), np.sort(RNG.normal(size=(200, 3)), axis=1)
    wanted = np.mean([mean_pinball_loss(label, answer[:, i], alpha=a) for i, a in enumerate(TASK.levels)])
    assert TASK.figures(label, answer)["pinball"] == pytest.approx(wanted)
    assert pinball_rows(np.array([1.0]), np.array([[3.0]]), (0.9,)) == pytest.approx([0.2])
    assert pinball_rows(np.array([3.0]), np.array([[1.0]]), (0.9,)) == pytest.approx([1.8])


def test_the_loss_is_least_at_the_quantiles_themselves():
    label = RNG.exponential(size=20_000)
    best = np.quantile(label, TASK.levels)
    loss = TASK.figures(label, np.tile(best, (len(label), 1)))["pinball"]
    for shift in ([0.1, 0, 0], [0, -0.1, 0], [0, 0, 0.3], [0, 0, -0.3]):
        assert TASK.figures(label, np.tile(best + shift, (len(label), 1)))["pinball"] > loss


def test_the_figures_say_how_many_labels_lie_between():
    label = np.arange(10.0)
    figures = TASK.figures(label, np.tile([1.5, 4.5, 7.5], (10, 1)))
    assert figures["coverage"] == 0.6
    assert (figures["below.p10"], figures["below.p50"], figures["below.p90"]) == (0.2, 0.5, 0.8)
    assert TASK.curves(label, np.tile([1.5, 4.5, 7.5], (10, 1))) == {
        "coverage": [[0.1, 0.2], [0.5, 0.5], [0.9, 0.8]]
    }


def test_a_row_is_answered_with_its_quantiles():
    answer = np.array([[1.0, 2.0, 3.0]])
    assert TASK.records(answer, None) == [{"p10": 1.0, "p50": 2.0, "p90": 3.0}]
    assert (TASK.from_columns(TASK.columns(answer)) == answer).all()
    assert TASK.decide(answer, {}) is None
    one = Quantile(levels=(0.5,))
    assert one.records(np.array([[2.0]]), None) == [{"p50": 2.0}]
    assert one.from_columns({"p50": np.array([2.0])}).shape == (1, 1)


def test_a_model_of_other_levels_cannot_be_compared():
    with pytest.raises(DataError, match=r"it answers p20, p80, this model p10, p50, p90"):
        TASK.translate(np.zeros((1, 2)), Quantile(levels=(0.2, 0.8)))
    answer = np.zeros((1, 3))
    assert TASK.translate(answer, Quantile(center=3)) is answer


def test_a_group_has_its_quantiles_and_a_group_of_few_those_of_all():
    group, label = np.repeat([0, 1, 3], [101, 5, 60]), RNG.normal(size=166)
    answers = TASK.group_answers(group, label, 4)
    whole = np.quantile(label, TASK.levels)
    assert answers[0] == pytest.approx(np.quantile(label[:101], TASK.levels))
    assert answers[3] == pytest.approx(np.quantile(label[106:], TASK.levels))
    assert answers[1] == pytest.approx(whole)
    assert answers[2] == pytest.approx(whole)


def test_the_linear_baseline_covers_what_its_levels_say():
    inputs = RNG.normal(size=(2000, 2)).astype("float32")
    label = 100 + inputs @ [3, -2] + RNG.normal(size=2000)
    answer = TASK.linear(inputs[:1000], label[:1000], unseen=inputs[1000:])
    figures = TASK.figures(label[1000:], answer)
    assert figures["coverage"] == pytest.approx(0.8, abs=0.05)
    assert (answer[:, 2] - answer[:, 0]).mean() == pytest.approx(2.56, abs=0.3)


def test_it_is_stored_with_its_levels_and_what_it_learned():
    assert from_dict(json.loads(json.dumps(TASK.to_dict()))) == TASK
    other = Quantile(levels=(0.05, 0.95), center=1, scale=2)
    assert from_dict(json.loads(json.dumps(other.to_dict()))) == other
