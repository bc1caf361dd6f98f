"""Profiles and the decision per column: no false alarms, no change missed."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import jensenshannon

from runtime_lib.data.columns import Column
from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift import PREDICTION, drift, read_reference
from runtime_lib.settings import Monitoring
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.profile import build_profile

NUMBERS = [f"n{i}" for i in range(15)]
CATEGORIES = [f"c{i}" for i in range(5)]
COLUMNS = [Column(n, "number", True) for n in NUMBERS] + [Column(c, "category", True) for c in CATEGORIES]


def sample(rows, seed):
    """15 numbers (normal, heavy-tailed, whole, mostly zero), 5 categories of 3 to 43 values; 5 % missing."""
    rng = np.random.default_rng(seed)
    table = {name: rng.normal(i, 1 + i, rows) for i, name in enumerate(NUMBERS)}
    table["n12"] = rng.standard_cauchy(rows)
    table["n13"] = rng.integers(1, 8, rows).astype(float)
    table["n14"] = np.where(rng.random(rows) < 0.9, 0, rng.exponential(1, rows))
    for i, name in enumerate(CATEGORIES):
        share = 1 / np.arange(1, 4 + 10 * i)
        table[name] = rng.choice([f"v{j}" for j in range(3 + 10 * i)], rows, p=share / share.sum()).astype(
            object
        )
    for name, values in table.items():
        values[rng.random(rows) < 0.05] = np.nan if name[0] == "n" else None
    return table


@pytest.fixture(scope="module")
def profile():
    rng = np.random.default_rng(0)
    return build_profile(sample(50_000, 0), COLUMNS, task=BINARY, answer=rng.beta(2, 5, 5_000))


def judge(profile, live, answers=None, **rules):
    """Of one window, in which all of the live rows are."""
    reference = read_reference(profile)
    fold = reference.fold(answers=answers is not None)
    fold.add(reference.columns(live, answers))
    return drift(reference, [fold.profile()], Monitoring(**rules))


def found(profile, live, **options):
    return {c.name: c for c in judge(profile, live, **options)}


@pytest.mark.parametrize("rows", [500, 2_000, 20_000])
def test_clean_data_raises_no_alarm(profile, rows):
    flagged = [
        (seed, c.name, c.reasons)
        for seed in range(1, 9)
        for c in judge(profile, sample(rows, seed))
        if c.drifted
    ]
    assert flagged == []


def test_a_shift_is_flagged_and_only_there(profile):
    live = sample(2_000, 1)
    live["n3"] = live["n3"] + 0.6 * 4
    columns = found(profile, live)
    assert [name for name, c in columns.items() if c.drifted] == ["n3"]
    assert columns["n3"].effect > 0.2
    assert columns["n3"].second == pytest.approx(0.236, abs=0.04)  # of two normals 0.6 sd apart: 2 Φ(0.3) - 1
    assert "median" in columns["n3"].reasons[0]


def test_jensen_shannon_is_shown_of_numbers_and_names_and_decides_nothing(profile):
    live = sample(2_000, 1)
    live["c0"][:900] = "v2"
    columns = found(profile, live, drift_threshold=99, cramers_threshold=0.99)
    for name in ("n0", "c1"):
        assert 0 < columns[name].jensen_shannon < 0.1
    moved = columns["c0"]
    shares = np.array([(cell.reference, cell.live) for cell in moved.cells]).T
    assert moved.jensen_shannon > 0.2
    assert moved.jensen_shannon == pytest.approx(jensenshannon(*shares, base=2))
    assert moved.to_dict()["jensen_shannon"] == moved.jensen_shannon
    assert not moved.drifted
    assert "jensen_shannon" not in [each.name for each in moved.evidence]


def test_a_sure_but_tiny_shift_is_not_flagged(profile):
    live = sample(200_000, 1)
    live["n0"] = live["n0"] + 0.05
    column = found(profile, live)["n0"]
    assert column.q < 0.001
    assert not column.drifted


def test_too_few_rows_flag_nothing(profile):
    live = {name: values[:400] for name, values in sample(2_000, 1).items()}
    live["n3"] = live["n3"] + 10
    assert not found(profile, live)["n3"].drifted
    assert found(profile, live, min_rows=300)["n3"].drifted


def test_an_effect_that_may_be_chance_is_not_flagged():
    """Forty training rows spread over twenty bins give a large PSI without any drift."""
    rng = np.random.default_rng(6)
    profile = build_profile({"x": rng.normal(size=40)}, [Column("x", "number", False)], task=BINARY)
    [judged] = judge(profile, {"x": rng.normal(size=600)}, drift_threshold=0.05)
    assert judged.effect > 0.05
    assert judged.q > 0.05
    assert not judged.drifted


def test_a_changed_mix_of_categories_is_flagged(profile):
    live = sample(2_000, 1)
    live["c0"][:900] = "v2"
    column = found(profile, live)["c0"]
    assert column.drifted
    assert column.change.startswith("v2 ")
    assert column.second_name == "cramers_v"


def test_risen_missing_values_are_flagged_and_nothing_else(profile):
    live = sample(2_000, 1)
    live["n5"][:300] = np.nan
    column = found(profile, live)["n5"]
    assert column.nulls.flagged
    assert column.nulls.live == pytest.approx(0.19, abs=0.02)
    assert [r for r in column.reasons if "PSI" in r] == []


def test_a_column_gone_missing_altogether_is_flagged(profile):
    live = sample(1_000, 1) | {"n5": np.full(1_000, np.nan), "c1": np.full(1_000, None)}
    columns = found(profile, live)
    assert columns["n5"].drifted
    assert columns["c1"].drifted
    assert columns["n5"].effect is columns["n5"].jensen_shannon is None


def test_an_unseen_category_of_two_percent_is_flagged(profile):
    live = sample(2_000, 1)
    live["c4"][:40] = "brand new"
    column = found(profile, live)["c4"]
    assert column.unseen.flagged
    assert column.unseen.live == pytest.approx(0.02, abs=0.002)
    assert any("never seen" in reason for reason in column.reasons)


def test_rare_values_keep_turning_up_without_alarm():
    """Where many training values were met once, live data brings new ones: that is no news."""
    rng = np.random.default_rng(2)
    column = [Column("code", "category", False)]
    train, live = ([f"k{v}" for v in rng.zipf(1.9, rows) if v < 3_000] for rows in (3_000, 1_000))
    [judged] = judge(build_profile({"code": train}, column, task=BINARY), {"code": live})
    assert judged.unseen.live > 0.01
    assert not judged.drifted


def test_an_identifier_does_not_swell_the_profile():
    ids = [f"id-{i}" for i in range(5_000)]
    profile = build_profile({"id": ids}, [Column("id", "category", False)], task=BINARY)
    assert len(profile["columns"]["id"]["counts"]) == 1_000
    [judged] = judge(profile, {"id": [f"other-{i}" for i in range(1_000)]})
    assert judged.unseen is None
    assert [cell.label for cell in judged.cells if cell.live] == ["(other)"]


def test_a_constant_that_changes_is_flagged_on_either_side():
    profile = build_profile({"x": np.full(1_000, 3.0)}, [Column("x", "number", False)], task=BINARY)
    for value, drifted in ((3.0, False), (2.9, True), (3.1, True)):
        [judged] = judge(profile, {"x": np.full(600, value)})
        assert judged.drifted is drifted


def test_the_prediction_is_compared_too(profile):
    live = sample(1_000, 1)
    rng = np.random.default_rng(4)
    steady, shifted = rng.beta(2, 5, 1_000), rng.beta(4, 5, 1_000)
    assert not found(profile, live, answers=BINARY.watched(steady))[PREDICTION].drifted
    assert found(profile, live, answers=BINARY.watched(shifted))[PREDICTION].drifted


@given(arrays.arrays(float, st.integers(1, 300), elements=st.floats(-1e300, 1e300) | st.just(np.nan)))
def test_any_number_column_meets_itself_without_effect(values):
    profile = json.loads(
        json.dumps(build_profile({"x": values}, [Column("x", "number", True)], task=BINARY), allow_nan=False)
    )
    about = profile["columns"]["x"]
    assert sum(about["counts"]) + about["nulls"] == values.size
    [judged] = judge(profile, {"x": values}, min_rows=1)
    assert judged.effect in (None, 0.0)
    assert not judged.drifted


def test_pandas_types_are_understood():
    table = pd.DataFrame(
        {
            "x": pd.array([1, None, 3], dtype="Int64"),
            "y": pd.Categorical(["a", None, "b"]),
            "z": pd.array(["a", pd.NA, "b"], dtype="string"),
        }
    )
    columns = [Column("x", "number", True), Column("y", "category", True), Column("z", "category", True)]
    profile = build_profile(table, columns, task=BINARY)
    assert [profile["columns"][name]["nulls"] for name in "xyz"] == [1, 1, 1]
    assert profile["columns"]["z"]["counts"] == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"y": [1.0]}, "lacks x"),
        ({"x": []}, "empty"),
        ({"x": ["much"]}, "Column 'x' is to hold numbers"),
        ({"x": [1.0, np.inf]}, "Column 'x', row 1 is infinite"),
    ],
)
def test_a_bad_training_table_is_refused(table, message):
    with pytest.raises(DataError, match=message):
        build_profile(table, [Column("x", "number", True)], task=BINARY)


def test_a_profile_of_another_format_or_model_is_refused(profile):
    with pytest.raises(DataError, match=r"format 3; this library reads 1 to 2\. Update runtime-lib"):
        judge({**profile, "format": 3}, {})
    with pytest.raises(DataError, match="lack the column"):
        judge(profile, {"n0": [1.0]})
