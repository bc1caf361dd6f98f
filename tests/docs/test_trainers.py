"""The trainers' pages are true: commands and files, what they show, and each refusal that they quote."""

from __future__ import annotations

import re
from typing import Any

import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting
from runtime_lib.training.trainers.lightgbm import LightGBM
from runtime_lib.training.trainers.sklearn import Sklearn
from runtime_lib.training.trainers.xgboost import XGBoost
from tests.support.depth import DEEP
from tests.support.pages import Reader, on_flights, steps
from tests.support.refusals import compare, declared, trained
from tests.support.releases import REPOSITORY

FOLDER = REPOSITORY / "docs" / "trainers"
# The task that each page is about.
TASKS = {
    "network": "binary",
    "gradient-boosting": "multiclass",
    "lightgbm": "binary",
    "xgboost": "quantile",
    "sklearn": "regression",
}
FOLLOWED = [*TASKS] if DEEP else ["lightgbm"]


def mlp(inputs: int, outputs: int, **options: Any) -> Architecture:
    return Architecture("mlp", {"inputs": inputs, "outputs": outputs, "hidden": [8], **options})


def cleaned(inputs: Any) -> Any:
    return inputs


cleaned.__module__ = "flights.model"

REFUSED = {
    "network": [
        trained(lambda inputs, outputs: mlp(inputs, 1), "multiclass"),
        trained(lambda inputs, outputs: mlp(inputs, outputs, dropuot=0.3)),
        trained(lambda inputs, outputs: Architecture("other.network", {"inputs": inputs})),
        trained(mlp, "regression", learning_rate=1e30),
    ],
    "gradient-boosting": [
        lambda: GradientBoosting({"max_leaf_node": 15}),
        lambda: GradientBoosting({"loss": "squared_error"}),
        lambda: GradientBoosting({"max_iter": 100}),
        declared("carrier", GradientBoosting()),
    ],
    "lightgbm": [
        lambda: LightGBM({"feature_fracton": 0.5}),
        lambda: LightGBM({"n_estimators": 100}),
        lambda: LightGBM({"num_threads": 2}),
        lambda: LightGBM({"boosting": "dart"}),
        lambda: LightGBM({"num_leaves": 7, "num_leaf": 31}),
        trained(lambda inputs, outputs: LightGBM({"max_depth": "many"})),
        trained(lambda inputs, outputs: LGBMClassifier()),
    ],
    "xgboost": [
        lambda: XGBoost({"max_dept": 5}),
        lambda: XGBoost({"n_estimators": 100}),
        lambda: XGBoost({"booster": "dart"}),
        lambda: XGBoost({"seed": 7}),
        trained(lambda inputs, outputs: XGBoost({"max_depth": "many"})),
    ],
    "sklearn": [
        trained(lambda inputs, outputs: Sklearn(Ridge())),
        trained(lambda inputs, outputs: Sklearn(LinearSVC())),
        trained(lambda inputs, outputs: Sklearn(RandomForestRegressor()), "quantile"),
        lambda: Sklearn(make_pipeline(FunctionTransformer(cleaned), LogisticRegression())),
        trained(lambda inputs, outputs: Sklearn(LogisticRegression(), columns=True)),
        trained(lambda inputs, outputs: Ridge()),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWED)
def test_somebody_who_follows_the_page_sees_what_it_shows(name, render):
    with Reader(on_flights(render, TASKS[name])) as reader:
        reader.follow(_page(name))
    assert len(reader.printed) >= 2, "it runs and explains"


@pytest.mark.parametrize("name", TASKS)
def test_what_a_page_quotes_is_what_is_said(name):
    compare(_page(name), REFUSED[name])


@pytest.mark.parametrize("name", TASKS)
def test_each_block_is_followed(name):
    page = _page(name)
    assert len(list(steps(page))) == len(re.findall(r"^```\w", page, flags=re.MULTILINE))


def test_there_is_a_page_for_each_trainer():
    ours = REPOSITORY / "runtime_lib" / "training" / "trainers"
    trainers = {
        path.stem
        for path in ours.glob("*.py")
        if re.search(r"^class \w*Fitted|^class \w+:", path.read_text(), re.M)
    }
    assert {path.stem for path in FOLDER.glob("*.md")} == set(TASKS)
    assert {name.replace("-", "_") for name in TASKS} <= trainers


def _page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")
