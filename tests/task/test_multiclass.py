"""One of several classes: what a label is, what an answer means, and how it is judged."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.task.kinds import from_dict
from runtime_lib.task.multiclass import Multiclass

TASK = Multiclass(("bus", "car", "train"))
ANSWER = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]])
LABEL = np.array([1, 0, 2, 2])


def test_a_label_is_the_name_of_a_class():
    values = ["car", "", None, np.nan, 1, 1.5, True, "1"]
    assert TASK.wrong_labels(values).tolist() == [False, True, True, True, True, True, True, False]
    assert TASK.wrong_labels(pd.Series(["car", pd.NA], dtype="string")).tolist() == [False, True]
    assert TASK.wrong_labels(pd.Series([1, 2])).all(), "numbers have an order"
    assert "task.kind is regression" in TASK.labels


def test_the_classes_are_those_of_the_training_rows_in_order():
    assert Multiclass().learn(["train", "bus", "car", "bus"]) == TASK
    assert TASK.outputs == ("probability.bus", "probability.car", "probability.train")
    assert TASK.width == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["car", "car"], "All training rows have the class car: nothing can be learned"),
        ([], r"have the class \(none\)"),
        ([f"id-{row}" for row in range(1001)], "1,001 classes, for instance 'id-0'.*Is the label an id"),
    ],
)
def test_labels_that_teach_nothing_are_refused(values, said):
    with pytest.raises(DataError, match=said):
        Multiclass().learn(values)


def test_a_class_that_training_never_saw_is_named_with_its_row():
    with pytest.raises(
        DataError, match=r"row 2 is 'ship', a class that the training months do not have \(bus,"
    ):
        TASK.read(["car", "bus", "ship", "plane"])
    assert TASK.known(["car", "ship", "bus"]).tolist() == [True, False, True]
    assert TASK.read(pd.Series(["train", "car"], index=[7, 9])).tolist() == [2, 1]


@pytest.mark.filterwarnings("error")
def test_logits_become_probabilities_at_any_size():
    raw = np.array([[0, 0, 0], [1000, -1000, 0], [1, 2, 3]], dtype="float32")
    answer = TASK.answer(raw)
    assert answer.dtype == np.float64
    assert answer.sum(axis=1) == pytest.approx([1, 1, 1])
    assert answer[0] == pytest.approx([1 / 3] * 3)
    assert answer[1] == pytest.approx([1, 0, 0])
    assert np.log(answer[2, 1:] / answer[2, :-1]) == pytest.approx([1, 1])


def test_the_figures_are_those_of_the_textbook():
    figures = TASK.figures(LABEL, ANSWER)
    assert figures["log_loss"] == pytest.approx(-np.log([0.7, 0.6, 0.4, 0.9]).mean())
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert (figures["recall.bus"], figures["recall.train"], figures["rows"]) == (1, 0.5, 4)
    rare = TASK.figures(LABEL[:2], ANSWER[:2])
    assert "recall.train" not in rare, "no row, no share"
    assert rare["balanced_accuracy"] == 1
    with pytest.raises(DataError, match="no rows"):
        TASK.figures(LABEL[:0], ANSWER[:0])


def test_figures_are_those_of_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    label, answer = rng.choice(3, 500, p=[0.7, 0.2, 0.1]), TASK.answer(rng.normal(size=(500, 3)))
    figures = TASK.figures(label, answer)
    assert figures["log_loss"] == pytest.approx(metrics.log_loss(label, answer))
    decided = answer.argmax(axis=1)
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(label, decided))
    assert figures["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(label, decided))
    assert TASK.confusion(label, answer, {}) == metrics.confusion_matrix(label, decided).tolist()


def test_a_row_is_answered_with_its_class_and_all_probabilities():
    first, *_ = records = TASK.records(ANSWER, TASK.decide(ANSWER, {}))
    assert first == {"label": "car", "probability": {"bus": 0.2, "car": 0.7, "train": 0.1}}
    assert records == TASK.records(ANSWER, None) == json.loads(json.dumps(records))
    assert TASK.decide(ANSWER, {}).tolist() == ["car", "bus", "car", "train"]


def test_an_answer_is_the_same_from_its_columns():
    columns = TASK.columns(ANSWER)
    assert list(columns) == list(TASK.outputs)
    assert (TASK.from_columns(dict(reversed(columns.items()))) == ANSWER).all()


def test_a_model_with_other_classes_is_not_compared():
    answer = np.array([[0.5, 0.3, 0.2]])
    with pytest.raises(DataError, match="its classes are car, ship, train, this model's bus, car, train"):
        TASK.translate(answer, Multiclass(("car", "ship", "train")))
    assert TASK.translate(answer, TASK) is answer


def test_what_columns_add_is_the_same_whatever_all_classes_gain_alike():
    scores = np.array([[1.0, -2.0, 0.5]])
    shares, base = np.array([[[0.25, 0.5], [-1.0, 0.0], [0.5, 0.5]]]), np.array([[0.25, -1.0, -0.5]])
    for more in (0.0, 7.0):
        told, start, _ = TASK.in_its_unit(shares + more, base)
        logs = np.log(TASK.answer(scores))
        assert told.sum(axis=2) + start == pytest.approx(logs - logs.mean())


def test_a_group_has_the_shares_of_its_classes():
    group, label = np.repeat([0, 1], [100, 2]), np.array([0] * 90 + [1] * 10 + [2] * 2)
    shares = TASK.group_answers(group, label, 3)
    assert shares.sum(axis=1) == pytest.approx([1, 1, 1])
    assert shares[0] == pytest.approx([0.9, 0.1, 0], abs=0.01)
    assert 0.6 < shares[1, 2] < 1, "two rows are not certain"
    assert shares[2] == pytest.approx(np.bincount(label) / 102), "an empty group: as all rows"


def test_a_logistic_regression_follows_a_line_and_knows_all_classes():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(600, 2)).astype("float32")
    label = np.digitize(inputs @ [1, -2], [-1, 1])
    answer = TASK.linear(inputs, label, unseen=inputs)
    assert TASK.figures(label, answer)["accuracy"] > 0.9
    two = TASK.linear(inputs, np.where(label == 2, 0, label), unseen=inputs[:5])
    assert two.shape == (5, 3)
    assert (two[:, 2] == 0).all()


def test_leaks_are_looked_for_class_by_class():
    asked = TASK.questions(np.array([2, 2, 0, 1, 2, 0]))
    assert list(asked) == ["the class train", "the class bus", "the class car"]
    assert asked["the class bus"].tolist() == [0, 0, 1, 0, 0, 1]
    many = Multiclass(tuple(f"c{number:02}" for number in range(40)))
    assert len(many.questions(np.arange(40))) == 10


def test_monitoring_watches_the_class_alone():
    [(name, (kind, values))] = TASK.watched(ANSWER).items()
    assert (name, kind, list(values)) == ("label", "category", ["car", "bus", "car", "train"])
    assert TASK.constant(LABEL) == 0.5


def test_it_is_stored_with_its_classes():
    assert from_dict(json.loads(json.dumps(TASK.to_dict()))) == TASK


def test_curves_are_drawn_of_how_sure_the_answer_was():
    [(name, points)] = TASK.curves(LABEL, ANSWER).items()
    assert name == "calibration"
    assert [rows for *_, rows in points] == [1] * 4
