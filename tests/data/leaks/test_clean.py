"""No alarm where nothing leaks: flights, public tables that models do well on, and honest history."""

from __future__ import annotations

import importlib.util
import sys
import time

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.leaks.find import find_suspects, near_perfect
from runtime_lib.data.leaks.watch import Watch
from runtime_lib.task.kinds import BINARY
from tests.support import planted
from tests.support.depth import DEEP, examples


def find(parts):
    return find_suspects(parts, columns_of(pd.concat(parts.values()), without=KEYS), BINARY)


def load_public(name):
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(as_frame=True)


QUESTIONS = {
    "breast_cancer": [lambda y: y == 1],
    "wine": [lambda y: y == 0, lambda y: y == 1, lambda y: y == 2],
    "iris": [lambda y: y == 0, lambda y: y == 1, lambda y: y == 2],  # the first falls apart by one column
    "diabetes": [lambda y: y > 140],
    "digits": [lambda y: y >= 5, lambda y: y == 3, lambda y: y == 0],
}


def public_parts(name, question, seed):
    public = load_public(name)
    part = np.random.default_rng(seed).choice(3, len(public.target), p=[0.6, 0.2, 0.2])
    table = public.data.assign(
        id=[f"{name}-{row}" for row in range(len(part))],
        time=pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(part * 31, unit="D"),
        label=question(public.target).astype("int8"),
    )
    return {which: table[part == number] for number, which in enumerate(planted.PARTS)}


@pytest.mark.parametrize("name", QUESTIONS)
def test_public_tables_give_no_alarm(name):
    for question in QUESTIONS[name]:
        for seed in range(examples(2, 20)):
            assert find(public_parts(name, question, seed)) == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_good_model_of_a_public_table_is_not_too_good(name):
    from sklearn.ensemble import RandomForestClassifier

    for question in QUESTIONS[name]:
        parts = public_parts(name, question, 0)
        inputs = [column for column in parts["train"] if column not in KEYS]
        forest = RandomForestClassifier(60, random_state=0).fit(
            parts["train"][inputs], parts["train"]["label"]
        )
        answer = forest.predict_proba(parts["test"][inputs])[:, 1]
        assert near_perfect(BINARY.figures(parts["test"]["label"].to_numpy(), answer)) is None


@pytest.fixture(scope="module")
def flights(render):
    """The example's own `load`, `features` and `label`, as a new project gets them."""
    project = render()
    modules = {}
    for name in ("data", "features"):
        [path] = (project / "src").glob(f"*/{name}.py")
        spec = importlib.util.spec_from_file_location(f"flights_{name}", path)
        modules[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    return modules


def test_flights_give_no_alarm(flights):
    from runtime_lib.data.features import Features

    both = Features(flights["features"].features, getattr(flights["features"], "label", None))
    last = 12 if DEEP else 4
    watch, tables = Watch(KEYS), []
    for month in range(1, last + 1):
        raw = flights["data"].load(f"2013-{month:02}")
        table = both.with_outcomes(raw, "here")
        watch.add(raw, table)
        tables.append(both.labelled(table, "here"))
    assert (watch.suspects(), watch.notes()) == ([], [])
    parts = dict(zip(planted.PARTS, (pd.concat(tables[:-2]), tables[-2], tables[-1]), strict=True))
    start = time.process_time()
    assert find(parts) == []
    assert time.process_time() - start < 30


def test_a_rate_that_was_known_before_is_fair():
    """Known of the training rows, of all before the test, last month, yesterday, or the earlier rows."""
    table = planted.customers(20_000, seed=1)
    month, day = table["time"].dt.month, table["time"].dt.date
    train = table["label"][month < 7].groupby(table["city"][month < 7]).mean()
    before_test = table["label"][month < 8].groupby(table["city"][month < 8]).mean()
    by_month = table.groupby(["city", month])["label"].mean()
    earlier = table.groupby("city")["label"]
    fair = {
        "of_training": table["city"].map(train),
        "before_the_test": table["city"].map(before_test),
        "of_last_month": [
            by_month.get((c, m - 1), np.nan) for c, m in zip(table["city"], month, strict=True)
        ],
        "of_yesterday": day.map(table.groupby(day)["label"].mean().shift(1)),
        "of_earlier": (earlier.cumsum() - table["label"]) / earlier.cumcount().clip(lower=1),
    }
    assert find(planted.parted(table.assign(**fair))) == []


def test_a_table_of_few_categories_repeats_its_rows_and_a_panel_its_ids():
    table = planted.customers()[["id", "time", "plan", "label"]]
    assert find(planted.parted(table)) == []
    monthly = table.assign(id=[f"c{row % 700}" for row in range(len(table))])
    assert find(planted.parted(monthly)) == []
