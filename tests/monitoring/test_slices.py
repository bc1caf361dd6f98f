"""Which values a model is worse for: the planted one, and no other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.slices import find_slices, sliced_columns
from runtime_lib.profiles.table import profile_table
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from tests.support.depth import examples
from tests.support.watched import Watched

TASKS = {
    "binary": BINARY,
    "multiclass": Multiclass(("a", "b", "c")),
    "regression": Regression(),
    "quantile": Quantile(levels=(0.1, 0.5, 0.9)),
}


def answers(kind, count, random, bad=None):
    """Labels, and answers that know them but where it is `bad`."""
    known = random.normal(size=count)
    noise = random.normal(size=count)
    bad = np.zeros(count, bool) if bad is None else bad
    said = np.where(bad, random.normal(size=count), known)
    if kind == "binary":
        return (known + noise > 0).astype(int), 1 / (1 + np.exp(-1.7 * said))
    if kind == "multiclass":
        scores = np.exp(np.column_stack([-2 * said, np.ones(count), 2 * said]))
        return np.digitize(known + 0.5 * noise, [-0.7, 0.7]), scores / scores.sum(axis=1, keepdims=True)
    if kind == "regression":
        return known + 0.5 * noise, said
    return known + 0.5 * noise, said[:, None] + 0.5 * np.array([-1.2816, 0, 1.2816])


def judged(kind, label, answer, parts, max_drop=0.05):
    task = TASKS[kind]
    found = find_slices(task, task.metric, label, answer, parts, max_drop=max_drop)
    return {(each.column, each.value): each for each in found}, [each for each in found if each.worse]


@pytest.mark.parametrize("kind", TASKS)
def test_the_planted_slice_is_found_and_no_other(kind):
    random = np.random.default_rng(3)
    place = random.choice(["A", "B", "C", "D"], 6_000).astype(object)
    day = random.choice(["Mon", "Tue"], 6_000).astype(object)
    label, answer = answers(kind, 6_000, random, bad=place == "C")
    found, worse = judged(kind, label, answer, {"place": place, "day": day})
    assert [(each.column, each.value) for each in worse] == [("place", "C")]
    bad = worse[0]
    assert bad.q < 0.001
    assert bad.rows == (place == "C").sum()
    assert bad.live == pytest.approx(TASKS[kind].metric.value(label[place == "C"], answer[place == "C"]))
    assert bad.lower < bad.live < bad.upper
    assert TASKS[kind].metric.gain(bad.live, bad.others) < 0
    assert next(iter(found)) == ("place", "C")  # the worst first
    assert len(found) == 6


def test_a_missing_value_is_a_slice():
    random = np.random.default_rng(4)
    place = random.choice(["A", "B", None], 6_000)
    label, answer = answers("binary", 6_000, random, bad=np.array([each is None for each in place]))
    _, worse = judged("binary", label, answer, {"place": place})
    assert [(each.value, each.rows) for each in worse] == [(None, sum(each is None for each in place))]


def test_too_few_rows_are_no_slice():
    random = np.random.default_rng(5)
    place = np.array(["A"] * 3_000 + ["rare"] * 25, dtype=object)
    label, answer = answers("binary", place.size, random, bad=place == "rare")
    assert judged("binary", label, answer, {"place": place}) == ({}, [])


def test_what_is_sure_but_small_is_not_worse():
    random = np.random.default_rng(6)
    place = random.choice(["A", "B"], 200_000).astype(object)
    # Of B a twentieth is not known.
    label, answer = answers("binary", 200_000, random, bad=(place == "B") & (random.random(200_000) < 0.05))
    found, worse = judged("binary", label, answer, {"place": place})
    assert found[("place", "B")].q < 0.001
    assert worse == []
    assert judged("binary", label, answer, {"place": place}, max_drop=0.005)[1][0].value == "B"


def test_what_is_large_but_may_be_chance_is_not_worse():
    random = np.random.default_rng(7)
    place = np.array(["A"] * 3_000 + ["B"] * 70, dtype=object)
    label, answer = answers("binary", place.size, random)
    places = np.flatnonzero(place == "B")
    swapped = random.permutation(places)[:20]
    answer[swapped] = 1 - answer[swapped]
    found, worse = judged("binary", label, answer, {"place": place})
    each = found[("place", "B")]
    assert each.live < each.others * 0.95
    assert (each.q > 0.05) == (worse == [])


def test_of_thousands_of_values_the_commonest_are_judged():
    random = np.random.default_rng(8)
    place = np.array([f"new {i % 3_000}" for i in range(120_000)], dtype=object)
    label, answer = answers("regression", place.size, random)
    assert len(judged("regression", label, answer, {"place": place})[0]) <= 31


def test_columns_of_few_values_are_cut():
    table = {
        "speed": np.arange(400.0),
        "place": ["A", "B"] * 200,
        "one": ["A"] * 400,
        "many": [f"v{i % 40}" for i in range(400)],
        "(prediction)": ["late", "early"] * 200,
    }
    assert sliced_columns(profile_table([table])) == ["place"]


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_without_a_bad_slice_none_is_named(kind):
    """At most 5 % of simulated logs without a bad slice name one."""
    runs = examples(60, 200)
    wrong = 0
    for seed in range(runs):
        random = np.random.default_rng(100 + seed)
        label, answer = answers(kind, 2_000, random)
        parts = {
            name: random.choice([f"v{i}" for i in range(2 + 3 * place)], 2_000).astype(object)
            for place, name in enumerate(("x", "y", "z"))
        }
        wrong += bool(judged(kind, label, answer, parts)[1])
    assert wrong <= 0.05 * runs, wrong


def test_report_and_page_name_the_slice(tmp_path):
    watched = Watched.make(tmp_path)
    random = np.random.default_rng(9)
    place = random.choice(["A", "B", "C"], 3_000).astype(object)
    label, probability = answers("binary", 3_000, random, bad=place == "B")
    watched.label(watched.answer(0, 3_000, place=place, label=label, probability=probability))
    verdict = monitor(watched.settings, champion=watched.champion)
    told = json.loads(verdict.report_json.read_text())["slices"]
    assert [(each["column"], each["value"]) for each in told if each["worse"]] == [("place", "B")]
    assert "place = B" in verdict.report_html.read_text()
