"""What columns add to answers of scikit-learn: against all coalitions, and behind pipelines."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from runtime_lib.training.model import Model
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting
from runtime_lib.training.trainers.histogram_trees import tree_shares
from runtime_lib.training.trainers.sklearn import Sklearn
from tests.training.trainers.conftest import INPUTS, KINDS, OPTIONS, fit, fitted, make_project, project

COLUMNS = 5


def table(rows, seed=0):
    """Numbers, of which some are missing, and two categories as codes, one of many levels."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(rows, COLUMNS))
    found[:, 2], found[:, 4] = random.integers(3, size=rows), random.integers(60, size=rows)
    found[random.random(found.shape) < 0.1] = np.nan
    return found


def label(inputs):
    known = np.nan_to_num(inputs)
    return known[:, 0] * known[:, 1] + np.where(known[:, 2] == 1, 2, 0) * known[:, 0] + known[:, 4] % 7


def value(estimator, output, row, known, owner):
    """The answer where only some columns are known: Algorithm 1 of Lundberg, Erion, Lee 2018."""
    [prepared] = estimator._preprocess_X(row[None], reset=False)
    categories = estimator.is_categorical_
    place = np.concatenate([owner[categories], owner[~categories]])

    def left(tree, node):
        cell = prepared[node["feature_idx"]]
        if np.isnan(cell):
            return node["missing_go_to_left"]
        if not node["is_categorical"]:
            return cell <= node["num_threshold"]
        word, bit = divmod(int(cell), 32)
        return int(tree.raw_left_cat_bitsets[node["bitset_idx"], word]) >> bit & 1

    def below(tree, number):
        node = tree.nodes[number]
        if node["is_leaf"]:
            return node["value"]
        if place[node["feature_idx"]] in known:
            return below(tree, node["left"] if left(tree, node) else node["right"])
        both = [(tree.nodes[child]["count"], below(tree, child)) for child in (node["left"], node["right"])]
        return sum(count * answer for count, answer in both) / node["count"]

    trees = [stage[output] for stage in estimator._predictors]
    return estimator._baseline_prediction[0, output] + sum(below(tree, 0) for tree in trees)


def by_all_coalitions(estimator, output, row, owner):
    columns = range(owner.max() + 1)
    found = np.zeros(len(columns))
    for column in columns:
        others = [each for each in columns if each != column]
        for size in range(len(columns)):
            weight = factorial(size) * factorial(len(columns) - size - 1) / factorial(len(columns))
            for known in combinations(others, size):
                with_it = value(estimator, output, row, {*known, column}, owner)
                found[column] += weight * (with_it - value(estimator, output, row, known, owner))
    return found


@pytest.mark.parametrize("owner", [np.arange(COLUMNS), np.array([0, 1, 1, 2, 0])], ids=["each", "groups"])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_shares_of_trees_are_the_shapley_values_over_all_coalitions(classes, owner):
    inputs, unseen = table(600), table(4, seed=1)
    unseen[0], unseen[1, 4] = np.nan, 77  # nothing is known; a level that training never saw
    target = label(inputs)
    made = HistGradientBoostingRegressor
    if classes:
        made, target = HistGradientBoostingClassifier, pd.qcut(target, classes, labels=False)
    estimator = made(max_iter=3, max_leaf_nodes=14, min_samples_leaf=5, categorical_features=[2, 4])
    estimator.fit(inputs, target)
    assert {node["is_categorical"] for node in estimator._predictors[0][0].nodes} == {0, 1}
    shares, base = tree_shares(estimator, unseen, owner, owner.max() + 1)
    for output in range(shares.shape[1]):
        assert value(estimator, output, unseen[0], (), owner) == pytest.approx(base[output], abs=1e-9)
        for row in range(len(unseen)):
            wanted = by_all_coalitions(estimator, output, unseen[row], owner)
            assert shares[row, output] == pytest.approx(wanted, abs=1e-9)
    raw = estimator.decision_function(unseen) if classes else estimator.predict(unseen)
    assert shares.sum(axis=2) + base == pytest.approx(raw.reshape(len(unseen), -1), abs=1e-9)


def test_many_rows_are_explained_in_pieces_alike(monkeypatch):
    from runtime_lib.training.trainers import histogram_trees

    inputs = table(600)
    estimator = HistGradientBoostingRegressor(max_iter=5, categorical_features=[2, 4])
    estimator.fit(inputs, label(inputs))
    whole, _ = tree_shares(estimator, inputs, np.arange(COLUMNS), COLUMNS)
    monkeypatch.setattr(histogram_trees, "_CELLS", 2_000)
    cut, _ = tree_shares(estimator, inputs, np.arange(COLUMNS), COLUMNS)
    assert np.array_equal(whole, cut)


def test_trees_that_never_split_add_nothing():
    estimator = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=500).fit(
        table(600), np.arange(600)
    )
    shares, base = tree_shares(estimator, table(3), np.arange(COLUMNS), COLUMNS)
    assert not shares.any()
    assert base == pytest.approx(estimator.predict(table(1)))


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Two classes by their names: scikit-learn gives them one number, a task has one for each."""
    settings = make_project("multiclass", tmp_path_factory.mktemp("two"))
    for file in settings.split.glob("*.parquet"):
        rows = pd.read_parquet(file)
        rows.assign(label=np.where(rows["label"] == "late", "late", "not late")).to_parquet(file)
    return settings


@pytest.mark.parametrize(
    "made",
    [
        lambda: GradientBoosting(OPTIONS["histogram"]),
        lambda: Sklearn(HistGradientBoostingClassifier(max_iter=20)),
        lambda: Sklearn(LogisticRegression()),
    ],
    ids=["GradientBoosting", "histogram", "logistic"],
)
def test_two_named_classes_are_answered_and_explained(two_classes, made):
    found, rows = fit(two_classes, made()), fitted("linear", "multiclass").rows()
    assert found.figures["accuracy"] > 0.85
    shares, base = found.fit.fitted.contributions(rows)
    assert shares.shape == (300, 2, 3)
    raw = shares.sum(axis=2) + base
    assert found.prepared.task.answer(raw) == pytest.approx(found.predict(rows), abs=1e-9)
    assert shares[:, 0] == pytest.approx(-shares[:, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [{}, {"carrier": "ZZ"}, {"carrier": None, "distance": np.nan}])
def test_shares_of_gradient_boosting_add_up_to_its_raw_answer(kind, values):
    each = fitted("histogram", kind)
    rows, model = each.rows(40, **values), each.trial.fit.fitted
    shares, base = model.contributions(rows)
    raw = model._raw(model.levels.matrix(rows))
    assert shares.sum(axis=2) + base == pytest.approx(raw, abs=1e-9)
    assert not np.ptp(base, axis=0).any()


def test_trees_of_both_libraries_explain_alike():
    """Two libraries, two fits: not the same numbers, but the same reading of each row."""
    ours, theirs = (fitted(which, "regression") for which in ("histogram", "lightgbm"))
    rows = ours.rows()
    one, two = (each.trial.fit.fitted.contributions(rows)[0][:, 0] for each in (ours, theirs))
    for column in (0, 1):
        assert np.corrcoef(one[:, column], two[:, column])[0, 1] > 0.95


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler(), MinMaxScaler()],
        [RobustScaler(), VarianceThreshold(0.3)],
        [PCA(n_components=4)],
        ["passthrough", make_column_transformer((StandardScaler(), [0, 4]), remainder="passthrough")],
    ],
    ids=["scalers", "selected", "mixed", "by column"],
)
def test_lines_behind_affine_steps_are_explained(steps, tmp_path):
    found = fit(project("regression"), Sklearn(make_pipeline(*steps, Ridge())))
    found.save(tmp_path / "model")
    model, rows = Model.load(tmp_path / "model"), fitted("linear", "regression").rows()
    shares, base = model.fitted.contributions(rows)
    assert model.task.answer(shares.sum(axis=2) + base) == pytest.approx(model.predict(rows), abs=1e-9)
    # A line: a row's own share is the change from the means of training.
    held = {name: values[:1] for name, values in rows.items()}
    means = np.array(model.fitted.means)
    at_means = model.fitted.estimators[0].predict(means[None])
    assert base[0] * model.task.scale + model.task.center == pytest.approx(at_means)
    assert model.fitted.contributions(held)[0] == pytest.approx(shares[:1], abs=1e-9)
    assert list(model.fitted.importance()) == INPUTS


def test_the_same_line_behind_a_scaler_says_the_same():
    bare = fit(project("regression"), Sklearn(Ridge(alpha=1e-9)))
    scaled = fit(project("regression"), Sklearn(make_pipeline(StandardScaler(), Ridge(alpha=1e-9))))
    rows = fitted("linear", "regression").rows()
    one, two = (each.fit.fitted.contributions(rows)[0] for each in (bare, scaled))
    assert one == pytest.approx(two, abs=1e-5)
    one, two = (each.fit.fitted.importance()["distance"] for each in (bare, scaled))
    assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.parametrize("scalers", [[], [StandardScaler()], [MinMaxScaler(), RobustScaler()]])
def test_boosting_behind_scalers_is_explained(scalers):
    made = make_pipeline(*scalers, HistGradientBoostingRegressor(loss="quantile", max_iter=15))
    found, rows = fit(project("quantile"), Sklearn(made)), fitted("linear", "quantile").rows(carrier="ZZ")
    shares, base = found.fit.fitted.contributions(rows)
    raw = shares.sum(axis=2) + base
    assert found.prepared.task.answer(raw) == pytest.approx(found.predict(rows), abs=1e-9)
    importance = found.fit.fitted.importance()
    assert min(importance["distance"], importance["carrier"]) > importance["noise"]


@pytest.mark.parametrize(
    "made",
    [
        make_pipeline(PolynomialFeatures(2), Ridge()),
        make_pipeline(PolynomialFeatures(interaction_only=True), Ridge()),
        make_pipeline(MinMaxScaler(clip=True), Ridge()),
        make_pipeline(PowerTransformer(), Ridge()),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), HuberRegressor())),
        make_pipeline(PCA(3), HistGradientBoostingRegressor(max_iter=5)),
        HistGradientBoostingRegressor(loss="poisson", max_iter=5),
    ],
    ids=["squares", "products", "clipped", "bent", "nested", "mixed", "link"],
)
def test_what_does_not_add_up_by_column_is_not_told_as_if_it_did(made, tmp_path):
    settings = make_project("regression", tmp_path)
    for file in settings.split.glob("*.parquet"):
        rows = pd.read_parquet(file)
        rows.assign(label=np.exp(rows["label"] / 30)).to_parquet(file)
    found = fit(settings, Sklearn(made))
    rows = fitted("linear", "regression").rows(1)
    assert found.fit.fitted.contributions(rows) is None
