"""`features` and `label` of a project: every row has inputs, only known outcomes train."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from runtime_lib.data.features import Features
from runtime_lib.data.functions import find_features, find_function, find_label, load_month
from runtime_lib.data.months import make_features
from runtime_lib.errors import DataError
from runtime_lib.settings import Settings, load
from runtime_lib.task.regression import Regression


def raw_month() -> pd.DataFrame:
    days = pd.date_range("2025-01-01", periods=6, tz="UTC")
    outcome = ["yes", None, "no", "yes", None, "no"]
    return pd.DataFrame({"key": [f"k{n}" for n in range(6)], "day": days, "price": range(6), "back": outcome})


def features(raw: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"id": raw["key"], "time": raw["day"], "price": raw["price"].astype(float)})


def label(raw: pd.DataFrame) -> pd.Series:
    return raw["back"].map({"yes": 1, "no": 0})


BOTH = Features(features, label)


def test_every_row_has_inputs_and_only_known_outcomes_train(tmp_path: Path) -> None:
    raw = raw_month()
    assert len(BOTH.inputs(raw, "here")) == 6
    (tmp_path / "raw").mkdir()
    raw.to_parquet(tmp_path / "raw" / "2025-01.parquet")
    make_features(features, tmp_path / "raw", tmp_path / "features", label)
    written = pd.read_parquet(tmp_path / "features" / "2025-01.parquet")
    assert written["id"].tolist() == ["k0", "k2", "k3", "k5"]
    assert written["label"].tolist() == [1, 0, 1, 0]
    inputs = BOTH.inputs(raw, "here").set_index("id").loc[written["id"]].reset_index()
    assert_frame_equal(written.drop(columns="label"), inputs)


def test_labels_follow_their_rows_when_features_sorts_them() -> None:
    mixed = Features(lambda raw: features(raw).sort_values("price", ascending=False), label)
    assert_frame_equal(mixed.known(raw_month(), "here"), BOTH.known(raw_month(), "here"))


@pytest.mark.parametrize("kind", ["boolean", "Int64", "float", "object"])
def test_a_label_may_be_of_any_type_that_holds_it(kind: str) -> None:
    given = Features(features, lambda raw: label(raw).astype(kind))
    assert given.known(raw_month(), "here")["label"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda raw: features(raw).assign(label=1), "a column 'label', and features.py has a function label"),
        (lambda raw: features(raw.dropna()), "returned 4 rows for the 6 of 2025-01"),
        (lambda raw: features(raw).iloc[::-1].reset_index(drop=True), r"keeps raw's index"),
        (lambda raw: features(raw).drop(columns="id"), "no column 'id' for 2025-01; it needs id, time"),
        (lambda raw: features(raw).assign(id="same"), "id 'same' twice"),
    ],
)
def test_features_that_cannot_be_scored_are_refused(function, message: str) -> None:
    for apply in (Features(function, label).inputs, Features(function, label).known):
        with pytest.raises(DataError, match=message):
            apply(raw_month(), "2025-01")


def trained_on(both: Features) -> pd.DataFrame:
    return both.labelled(both.with_outcomes(raw_month(), "2025-01"), "2025-01")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda raw: raw["back"],
            r"the labels \['yes', 'no'\] for 2025-01 \(the first in row 0\); each must be 0 or 1, as",
        ),
        (lambda raw: raw["price"] + 2, r"\[2, 3, 4, 5, 6\] and 1 more for 2025-01"),
        (lambda raw: label(raw).dropna(), "a Series of 4 values under another index for 6 rows"),
        (lambda raw: np.zeros(len(raw)), "it returned ndarray for 6 rows"),
        (lambda raw: label(raw) * np.nan, "knows no outcome of 2025-01 yet: all 6 rows are open"),
    ],
)
def test_labels_that_are_none_are_refused(function, message: str) -> None:
    with pytest.raises(DataError, match=message):
        trained_on(Features(features, function))


def test_neither_function_changes_what_the_other_sees() -> None:
    def spoil(raw: pd.DataFrame) -> pd.DataFrame:
        raw["back"] = "no"
        return features(raw)

    assert Features(spoil, label).known(raw_month(), "here")["label"].sum() == 2


def project_of(root: Path, package: str) -> Settings:
    (root / "mlops.toml").write_text(f'[project]\nname = "demo"\npackage = "{package}"\n')
    return load(root, environ={})


def test_functions_are_found_in_the_projects_package(tmp_path: Path, monkeypatch) -> None:
    for name in ("newer", "older"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "newer" / "features.py").write_text("def features(raw): ...\ndef label(raw): ...\n")
    (tmp_path / "newer" / "data.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "older" / "features.py").write_text("def features(raw): ...\nlabel = 'returned'\n")
    (tmp_path / "older" / "data.py").write_text("def schema(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "params.yaml").write_text("task: {kind: regression}\n")
    try:
        found = find_features(project_of(tmp_path, "newer"))
        assert found.task == Regression()
        assert found.label is find_label("newer") is not None
        assert find_label("older") is None
        with pytest.raises(DataError, match=r"older.data\.py has no function 'load'"):
            find_function("older", "load")
        (tmp_path / "older" / "data.py").write_text("def load(month): return open(f'{month}.csv')\n")
        del sys.modules["older.data"]
        with pytest.raises(DataError, match=r"load\('2024-05'\) of older\.data failed: .*2024-05\.csv"):
            load_month("older", "2024-05")
        with pytest.raises(DataError, match=r"newer\.data cannot be imported: .*nothing_of_that_name"):
            find_function("newer", "load")
        with pytest.raises(DataError, match=r"'neither' .* is not installed here: run `uv sync`"):
            find_features(project_of(tmp_path, "neither"))
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("newer", "older")]:
            del sys.modules[name]
