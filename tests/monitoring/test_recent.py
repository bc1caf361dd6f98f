"""Which labelled predictions a figure is taken of, and which wait for their labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.monitoring import recent as module
from runtime_lib.monitoring.daily import read_days
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.recent import known_labels, recent, waiting
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.regression import Regression
from tests.support.watched import START, Watched


def found(watched, slices=(), **options):
    source = watched.source(**options)
    return recent(source, read_days(source), slices)


def test_labels_come_with_their_answers_and_slices(tmp_path):
    watched = Watched.make(tmp_path)
    table = pd.concat([watched.answer(day, 200) for day in range(2)])
    table.loc[table["id"] == "1-7", "place"] = "B"
    watched.label(table.sample(frac=0.5, random_state=0))
    known = found(watched, ["place"])
    assert known.label.size == known.answer.size == known.time.size == known.parts["place"].size == 200
    assert set(known.parts["place"]) == {"A", "B", "C"}
    assert {str(day) for day in np.unique(known.time.astype("datetime64[D]"))} == {"2026-03-02", "2026-03-03"}
    assert (known.strange, known.unknown) == ([], 0)
    # Each answer beside its own label: a model whose probabilities are right is far from a guess.
    assert BINARY.metrics["roc_auc"].value(known.label, known.answer) > 0.6


def test_where_the_newest_have_no_labels_those_before_are_judged(tmp_path):
    watched = Watched.make(tmp_path, period_days=5)
    old = pd.concat([watched.answer(day, 300) for day in (2, 3)])
    for day in (6, 7, 8):
        watched.answer(day, 300)
    watched.label(old)
    known = found(watched)
    assert known.label.size == 600
    assert known.time.max() < np.datetime64("2026-03-08")
    verdict = monitor(watched.settings, champion=watched.champion)
    assert verdict.performance.labelled == 600
    assert [(period.start, period.labelled) for period in verdict.periods][:2] == [
        ("2026-03-04", 300),
        ("2026-03-05", 300),
    ]
    newest = watched.answer(8, 50, hour=9, prefix="told")
    watched.label(newest)
    assert found(watched).label.size == 50  # as soon as there are some, they alone


def test_labels_are_not_looked_for_before_since(tmp_path):
    watched = Watched.make(tmp_path)
    watched.label(watched.answer(0, 300))
    watched.answer(5, 300)
    assert found(watched, since=START.replace(day=5)).label.size == 0


def test_unknown_labels_are_counted_while_the_whole_log_is_judged(tmp_path):
    watched = Watched.make(tmp_path, period_days=2)
    table = watched.answer(3, 100)
    strangers = pd.DataFrame({"id": [f"stranger-{i}" for i in range(30)], "label": 1})
    watched.label(pd.concat([table, strangers]))
    assert found(watched).unknown == 30
    watched.answer(0, 10)  # an older day may hold them
    assert found(watched).unknown == 0


def test_strange_labels_are_named_and_left_out():
    task = Multiclass(("early", "late"))
    known, label = known_labels(task, ["late", "lat", None, "early", "never"])
    assert known.tolist() == [True, False, False, True, False]
    assert label[known].tolist() == [1, 0]


def test_a_label_that_a_number_task_cannot_read_is_missing():
    known, label = known_labels(Regression(), [1.5, None, float("nan"), -2.0])
    assert known.tolist() == [True, False, False, True]
    assert label[known].tolist() == [1.5, -2.0]


def test_strange_labels_of_a_log_are_told(tmp_path):
    watched = Watched.make(tmp_path)
    table = watched.answer(0, 600)
    watched.label(table)
    assert found(watched).strange == []
    assert found(watched).label.sum() == table["label"].sum()


def test_the_newest_are_taken_where_there_are_too_many(tmp_path, monkeypatch):
    watched = Watched.make(tmp_path)
    watched.label(pd.concat([watched.answer(day, 300) for day in range(4)]))
    monkeypatch.setattr(module, "_MOST", 500)  # a million
    known = found(watched)
    assert known.label.size == 600
    assert known.time.min() > np.datetime64("2026-03-04")
    assert known.unknown == 0  # not all labels were looked for


def test_what_waits_for_a_label(tmp_path, monkeypatch):
    watched = Watched.make(tmp_path)
    table = pd.concat([watched.answer(day, 300, probability=np.full(300, day / 10)) for day in range(3)])
    watched.label(table[table["id"].str.startswith("0-")])
    source = watched.source()
    answers = waiting(source, read_days(source))
    assert np.unique(answers, return_counts=True)[1].tolist() == [300, 300]
    assert answers.min() == 0.1
    monkeypatch.setattr(module, "_MOST_WAITING", 200)
    assert waiting(source, read_days(source)).tolist() == [0.2] * 200  # the newest


@pytest.mark.parametrize("labelled", [0, 1])
def test_a_log_without_labels_is_no_error(tmp_path, labelled):
    watched = Watched.make(tmp_path)
    table = watched.answer(0, 600)
    if labelled:
        watched.label(table.head(1))
    known = found(watched, ["place"])
    assert known.label.size == labelled
    verdict = monitor(watched.settings, champion=watched.champion)
    assert verdict.performance.live is None
    assert verdict.slices == ()
