"""A small table that every kind of task has an answer to, and each trainer fitted on it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import HuberRegressor, LogisticRegression, QuantileRegressor

from runtime_lib.data.columns import check_rows
from runtime_lib.settings import Settings, load
from runtime_lib.training.trainer import Trainer
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting
from runtime_lib.training.trainers.lightgbm import LightGBM
from runtime_lib.training.trainers.sklearn import Sklearn
from runtime_lib.training.trainers.xgboost import XGBoost
from runtime_lib.training.trial import Trial, load_split, trial

KINDS = ("binary", "multiclass", "regression", "quantile")
WHICH = ("lightgbm", "xgboost", "histogram", "linear", "trees")
# The way in which they are given matters to no test: small, so that each fit is a moment.
OPTIONS = {
    "lightgbm": {"rounds": 60, "patience": 5, "num_leaves": 8, "bagging_fraction": 0.8, "bagging_freq": 1},
    "xgboost": {"rounds": 60, "patience": 5, "max_depth": 3, "eta": 0.2, "subsample": 0.8},
    "histogram": {
        "rounds": 60,
        "patience": 5,
        "max_leaf_nodes": 8,
        "learning_rate": 0.2,
        "max_features": 0.5,
    },
}
INPUTS = ["distance", "carrier", "noise"]


def make_table(kind: str, seed: int, rows: int = 1_200) -> pd.DataFrame:
    """Numbers and a category, both with missing values, and a label that rests on both."""
    random = np.random.default_rng(seed)
    distance, carrier = random.normal(size=rows), random.choice(["AA", "B6", "UA"], rows).astype(object)
    # Of a heavy tail, so that Huber's loss is not that of squares.
    number = 15 * distance + np.where(carrier == "AA", 10, -10) + 4 * random.standard_t(3, size=rows)
    label: Any = number
    if kind == "binary":
        label = (number > 0).astype("int8")
    if kind == "multiclass":
        label = np.where(number < -10, "early", np.where(number < 10, "on time", "late")).astype(object)
    distance[random.random(rows) < 0.05], carrier[random.random(rows) < 0.05] = np.nan, None
    return pd.DataFrame(
        {
            "distance": distance,
            "carrier": carrier,
            "noise": random.normal(size=rows),
            "label": label,
            "id": [f"{seed}-{row}" for row in range(rows)],
            "time": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


def make_project(kind: str, folder: Path) -> Settings:
    (folder / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (folder / "params.yaml").write_text(f"task:\n  kind: {kind}\n")
    for seed, part in enumerate(("train", "validation", "test")):
        path = folder / "data" / "split" / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_table(kind, seed).to_parquet(path)
    return load(folder, environ={})


@cache
def project(kind: str) -> Settings:
    return make_project(kind, Path(mkdtemp()))


def estimator(which: str, kind: str) -> Any:
    """`linear`, or `trees`: a forest, and for quantiles boosting."""
    if which == "linear":
        classifier = LogisticRegression(max_iter=300)
        return {"regression": HuberRegressor(), "quantile": QuantileRegressor(alpha=0)}.get(kind, classifier)
    trees = {
        "regression": RandomForestRegressor(20, max_depth=6),
        "quantile": HistGradientBoostingRegressor(loss="quantile", max_iter=20, max_leaf_nodes=8),
    }
    return trees.get(kind, RandomForestClassifier(20, max_depth=6))


def trainer(which: str, kind: str) -> Trainer:
    if which == "lightgbm":
        return LightGBM(OPTIONS[which])
    if which == "histogram":
        return GradientBoosting(OPTIONS[which])
    return XGBoost(OPTIONS[which]) if which == "xgboost" else Sklearn(estimator(which, kind))


def fit(settings: Settings, made: Any, *, on_epoch: Any = None, **params: Any) -> Trial:
    return trial(settings, lambda inputs, outputs, params: made, params, on_epoch=on_epoch)


def without(*packages: str) -> str:
    """The start of a program for which these packages are not installed."""
    return f"""
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Gone())
"""


@dataclass(frozen=True)
class Fitted:
    """A trial, and new rows with what it has never seen: a level, and nothing at all."""

    trial: Trial
    settings: Settings
    kind: str

    @property
    def task(self) -> Any:
        return self.trial.prepared.task

    @property
    def split(self) -> Any:
        return load_split(self.settings, self.trial.prepared)

    def rows(self, count: int = 300, **values: Any) -> Mapping[str, Any]:
        table = make_table(self.kind, 9, count)[INPUTS].assign(**values)
        return check_rows({name: table[name] for name in INPUTS}, self.trial.prepared.columns)


@cache
def fitted(which: str, kind: str) -> Fitted:
    return Fitted(fit(project(kind), trainer(which, kind)), project(kind), kind)


@pytest.fixture(params=[(w, k) for w in WHICH for k in KINDS], ids="-".join)
def each(request: pytest.FixtureRequest) -> Fitted:
    """Every trainer on every kind of task."""
    return fitted(*request.param)
