"""Estimators of scikit-learn: fitted as they would be alone, refused before the fit where they must be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import Birch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from runtime_lib.errors import ModelError
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import Model, digest
from runtime_lib.training.prepare import prepare
from runtime_lib.training.trainers.sklearn import Sklearn
from tests.training.trainers.conftest import (
    INPUTS,
    KINDS,
    estimator,
    fit,
    fitted,
    make_project,
    make_table,
    project,
)


class Own(Ridge):
    pass


def times_two(values):
    return values * 2


def columns_of(*, trees: bool = False):
    """The usual preparation of raw columns."""
    texts, numbers = make_column_selector(dtype_include=object), make_column_selector(dtype_include="number")
    if trees:
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        return make_column_transformer((codes, texts), remainder="passthrough")
    filled = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (filled, numbers))


@pytest.mark.parametrize("which", ["linear", "trees"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_what_the_bare_estimator_fits(which, kind):
    model = fitted(which, kind)
    split, task = model.split, model.task
    encoder = Encoder.fit(split.train, model.trial.prepared.columns)
    inputs, unseen = (encoder.encode(rows).astype(float) for rows in (split.train, split.validation))
    bare = [estimator(which, kind) for _ in (task.levels if kind == "quantile" else [0])]
    for level, each in enumerate(bare):
        seed = {"random_state": 7} if "random_state" in each.get_params() else {}
        at = {"quantile": task.levels[level]} if kind == "quantile" else {}
        each.set_params(**seed, **at).fit(inputs, split.train_label)
    if kind in ("binary", "multiclass"):
        answer = bare[0].predict_proba(unseen)
        answer = answer[:, 1] if kind == "binary" else answer
    else:
        answer = np.sort(np.column_stack([each.predict(unseen) for each in bare]), axis=1)
        answer = answer[:, 0] if kind == "regression" else answer
    assert model.trial.fit.answer == pytest.approx(answer, abs=1e-9)


def test_probabilities_are_in_the_order_of_the_tasks_classes():
    model = fitted("trees", "multiclass")
    assert model.task.classes == ("early", "late", "on time")
    answer, label = model.trial.fit.answer, model.split.validation_label
    assert [int(answer[label == c].mean(axis=0).argmax()) for c in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    "made",
    [
        make_pipeline(columns_of(), LogisticRegression()),
        make_pipeline(columns_of(), MLPClassifier((8,), max_iter=30)),
        make_pipeline(columns_of(), CalibratedClassifierCV(LinearSVC(), cv=2)),
        make_pipeline(columns_of(trees=True), HistGradientBoostingClassifier(max_iter=10)),
    ],
    ids=lambda made: type(made[-1]).__name__,
)
def test_raw_columns_go_through_a_pipeline_and_come_back_from_disk(made, tmp_path):
    found = fit(project("binary"), Sklearn(made, columns=True))
    assert found.figures["roc_auc"] > 0.9
    found.save(tmp_path / "model")
    model, rows = Model.load(tmp_path / "model"), fitted("linear", "binary").rows(carrier="ZZ")
    assert np.array_equal(model.predict(rows), found.predict(rows))
    assert model.fitted.importance() is None
    assert model.fitted.contributions(rows) is None


def test_raw_columns_are_a_frame_of_floats_and_objects():
    seen = []

    class Spy(FunctionTransformer):
        def transform(self, table):
            seen.append(table)
            return table

    made = Sklearn(make_pipeline(columns_of(), LogisticRegression()), columns=True)
    made.estimator = make_pipeline(Spy(), made.estimator)  # past the check of what can be stored
    fit(project("binary"), made)
    table = seen[0]
    assert list(table.columns) == INPUTS
    assert [str(kind) for kind in table.dtypes] == ["float64", "object", "float64"]
    assert table["carrier"].isna().any()
    assert None in set(table["carrier"])
    assert table["distance"].isna().any()


def test_text_is_taken_by_words(tmp_path):
    settings = make_project("binary", tmp_path)
    for part in ("train", "validation"):
        path = tmp_path / "data" / "split" / f"{part}.parquet"
        table = pd.read_parquet(path)
        table.assign(carrier="flight of " + table["carrier"].fillna("none")).to_parquet(path)
    words = make_column_transformer((TfidfVectorizer(), "carrier"))
    made = Sklearn(make_pipeline(words, LogisticRegression()), columns=True)
    found = fit(settings, made)
    found.save(tmp_path / "model")
    assert found.figures["roc_auc"] > 0.6
    with pytest.raises(ModelError, match=r"Pipeline cannot be fitted: .*'NoneType'|np.nan"):
        fit(project("binary"), made)  # where some have no text


@pytest.mark.parametrize(
    ("kind", "made", "why"),
    [
        ("binary", LinearSVC(), r"LinearSVC gives no probabilities.*CalibratedClassifierCV\(estimator\)"),
        ("binary", SVC(), "SVC gives no probabilities"),
        ("multiclass", RidgeClassifier(), "RidgeClassifier gives no probabilities"),
        ("binary", make_pipeline(StandardScaler(), LinearSVC()), "Pipeline gives no probabilities"),
        ("binary", Ridge(), "binary task needs a classifier of scikit-learn; Ridge is none"),
        ("regression", LogisticRegression(), "regression task needs a regressor"),
        ("quantile", Ridge(), "Ridge has no option for a quantile. Take one that has: Hist"),
        ("quantile", SGDRegressor(), "no option for a quantile"),  # its alpha is a penalty
        ("quantile", GradientBoostingRegressor(), r"GradientBoostingRegressor\(loss=\"quantile\"\)"),
    ],
)
def test_an_estimator_that_says_less_than_the_task_asks_is_refused_before_tables_are_loaded(kind, made, why):
    with pytest.raises(ModelError, match=why):
        prepare(project(kind), lambda inputs, outputs, params: Sklearn(made), {})


@pytest.mark.parametrize(
    "made",
    [
        GradientBoostingRegressor(loss="quantile", n_estimators=30),
        make_pipeline(StandardScaler(), GradientBoostingRegressor(loss="quantile", n_estimators=30)),
    ],
)
def test_quantiles_are_set_wherever_the_regressor_is(made):
    figures = fit(project("quantile"), Sklearn(made)).figures
    assert figures["below.p10"] == pytest.approx(0.1, abs=0.05)
    assert figures["below.p90"] == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (make_pipeline(FunctionTransformer(lambda values: values), Ridge()), "<lambda>"),
        (make_pipeline(FunctionTransformer(times_two), Ridge()), "times_two"),
        (Own(), r"\.Own"),
        (make_pipeline(StandardScaler(), Own()), r"\.Own"),
    ],
)
def test_what_could_not_be_stored_is_refused_before_the_fit(made, what):
    with pytest.raises(ModelError, match=rf"parts that a server would not load: .*{what}.*features\(\)"):
        Sklearn(made)


def test_what_skops_cannot_store_is_refused_with_its_words():
    with pytest.raises(ModelError, match=r"Birch cannot be stored without pickle: .*Birch"):
        Sklearn(Birch())


@pytest.mark.parametrize("given", [LogisticRegression, "logistic", None])
def test_what_is_no_estimator_is_refused(given):
    with pytest.raises(ModelError, match="takes an estimator of scikit-learn; this is"):
        Sklearn(given)


def test_a_bare_estimator_is_not_taken_but_its_trainer_is_named():
    with pytest.raises(ModelError, match=r"model\(\) returned a Ridge\. .*Sklearn\(estimator\)"):
        fit(project("regression"), Ridge())


def test_what_the_fit_refuses_is_told_with_the_estimators_name():
    with pytest.raises(ModelError, match=r"LogisticRegression cannot be fitted: .*could not convert string"):
        fit(project("binary"), Sklearn(LogisticRegression(), columns=True))


def test_the_given_estimator_is_neither_fitted_nor_changed():
    given = RandomForestClassifier(5)
    fit(project("binary"), Sklearn(given))
    assert given.random_state is None
    assert not hasattr(given, "estimators_")


def test_coefficients_behind_a_link_are_no_contributions(tmp_path):
    """PoissonRegressor is linear in the logarithm, and says so in no way but its answers."""
    made = make_project_of_counts(tmp_path)
    found = fit(made, Sklearn(PoissonRegressor(alpha=0)))
    rows = {name: values[:9] for name, values in fitted("linear", "regression").rows().items()}
    assert hasattr(found.fit.fitted.estimators[0], "coef_")
    assert found.fit.fitted.contributions(rows) is None


def make_project_of_counts(folder):
    from runtime_lib.settings import load

    (folder / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (folder / "params.yaml").write_text("task:\n  kind: regression\n")
    for seed, part in enumerate(("train", "validation")):
        path = folder / "data" / "split" / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = make_table("regression", seed)
        table.assign(label=np.exp(table["label"] / 20).round()).to_parquet(path)
    return load(folder, environ={})


def test_a_repeated_fit_is_the_same_file_in_another_process(tmp_path):
    """DVC and the registry know a model by its files."""
    code = """
import sys
from pathlib import Path
from tests.training.trainers.conftest import fit, make_project, trainer
folder = Path(sys.argv[1])
folder.mkdir()
for which in ("histogram", "trees"):
    fit(make_project("multiclass", folder), trainer(which, "multiclass")).save(folder / which)
"""
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, capture_output=True)
    for which in ("histogram", "trees"):
        assert digest(tmp_path / "one" / which) == digest(tmp_path / "two" / which)
