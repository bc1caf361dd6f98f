"""The boosters: what the bare libraries would have fitted, up to the best round, and options by name."""

from __future__ import annotations

import sys
from types import ModuleType

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.training.prepare import prepare
from runtime_lib.training.trainers import boosting
from runtime_lib.training.trainers import lightgbm as on_lightgbm
from runtime_lib.training.trainers.boosting import threads_beside_torch
from runtime_lib.training.trainers.lightgbm import LightGBM
from runtime_lib.training.trainers.xgboost import XGBoost
from tests.training.trainers.conftest import KINDS, OPTIONS, fit, fitted, make_table, project, trainer

OBJECTIVES = {
    "lightgbm": {
        "binary": {"objective": "binary", "metric": "auc"},
        "multiclass": {"objective": "multiclass", "metric": "multi_logloss", "num_class": 3},
        "regression": {"objective": "huber", "alpha": 1.0, "metric": "l1"},
    },
    "xgboost": {
        "binary": {"objective": "binary:logistic", "eval_metric": "auc"},
        "multiclass": {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": 3},
        "regression": {"objective": "reg:pseudohubererror", "huber_slope": 1.0, "eval_metric": "mae"},
        "quantile": {
            "objective": "reg:quantileerror",
            "quantile_alpha": [0.1, 0.5, 0.9],
            "eval_metric": "quantile",
        },
    },
}
OF = {"lightgbm": LightGBM, "xgboost": XGBoost}
both = pytest.mark.parametrize("which", ["lightgbm", "xgboost"])


def bare_inputs(kind, seed):
    """As a person without this library would make them."""
    table = make_table(kind, seed)
    codes = pd.Categorical(table["carrier"], ["AA", "B6", "UA"]).codes.astype(float)
    return np.column_stack([table["distance"], np.where(codes < 0, np.nan, codes), table["noise"]])


def bare_label(model, kind, seed):
    label = model.task.read(make_table(kind, seed)["label"])
    return (label - model.task.center) / model.task.scale if hasattr(model.task, "center") else label


def bare_options(which):
    own = {name: value for name, value in OPTIONS[which].items() if name not in ("rounds", "patience")}
    return {**own, "seed": 7}


def in_lightgbm(own, model, kind, **how):
    options = {**bare_options("lightgbm"), **own, "verbosity": -1, "deterministic": True}
    options |= {"force_row_wise": True, "num_threads": 2}
    train = lightgbm.Dataset(bare_inputs(kind, 0), bare_label(model, kind, 0), categorical_feature=[1])
    validation = train.create_valid(bare_inputs(kind, 1), bare_label(model, kind, 1))
    return lightgbm.train(options, train, valid_sets=[validation], **how)


def in_xgboost(own, model, kind, log):
    def table(seed):
        return xgboost.DMatrix(
            bare_inputs(kind, seed), bare_label(model, kind, seed), feature_types=["q", "c", "q"]
        )

    options = {**bare_options("xgboost"), **own, "nthread": 2}
    train, validation = table(0), table(1)
    booster = xgboost.train(
        options,
        train,
        60,
        evals=[(validation, "validation")],
        early_stopping_rounds=5,
        evals_result=log,
        verbose_eval=False,
    )
    rounds = (0, booster.best_iteration + 1)
    return booster, booster.predict(validation, iteration_range=rounds, output_margin=True)


def metric_of(model, kind, raw):
    label = model.task.read(make_table(kind, 1)["label"])
    return model.task.metric.value(label, model.task.answer(raw.reshape(len(label), -1)))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lightgbm_fits_what_the_bare_library_fits(kind):
    model, log = fitted("lightgbm", kind), {}
    bare = in_lightgbm(
        OBJECTIVES["lightgbm"][kind],
        model,
        kind,
        num_boost_round=60,
        callbacks=[lightgbm.early_stopping(5, verbose=False), lightgbm.record_evaluation(log)],
    )
    ours = model.trial.figures[model.task.metric.name]
    assert ours == pytest.approx(
        metric_of(model, kind, bare.predict(bare_inputs(kind, 1), raw_score=True)), abs=1e-9
    )
    assert model.trial.fit.epoch == bare.best_iteration
    assert model.trial.fit.epochs == len(next(iter(log["valid_0"].values())))


def test_lightgbm_fits_each_quantile_as_the_bare_library_would():
    """Stopped together, at the round where their mean is best."""
    model = fitted("lightgbm", "quantile")
    bare = [
        in_lightgbm(
            {"objective": "quantile", "alpha": level},
            model,
            "quantile",
            num_boost_round=model.trial.fit.epoch,
        )
        for level in (0.1, 0.5, 0.9)
    ]
    raw = np.column_stack([each.predict(bare_inputs("quantile", 1)) for each in bare])
    assert model.trial.figures["pinball"] == pytest.approx(metric_of(model, "quantile", raw), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_xgboost_fits_what_the_bare_library_fits(kind):
    model, log = fitted("xgboost", kind), {}
    bare, raw = in_xgboost(OBJECTIVES["xgboost"][kind], model, kind, log)
    assert model.trial.figures[model.task.metric.name] == pytest.approx(metric_of(model, kind, raw), abs=1e-9)
    assert model.trial.fit.epoch == bare.best_iteration + 1
    assert model.trial.fit.epochs == len(next(iter(log["validation"].values())))


@both
def test_the_model_ends_at_the_best_round(which):
    """Of one that runs on for long after it."""
    made = OF[which]({"rounds": 80, "patience": 80, "learning_rate": 0.7, "max_depth": 6})
    told = {}
    found = fit(project("binary"), made, on_epoch=lambda number, figures: told.update({number: figures}))
    best = found.fit.epoch
    assert best < 40 < found.fit.epochs == 80
    model = found.fit.fitted
    trees = model.boosters[0].num_trees() if which == "lightgbm" else model.booster.num_boosted_rounds()
    assert trees == best
    assert found.figures["roc_auc"] >= max(figures["validation_roc_auc"] for figures in told.values()) - 1e-12
    assert found.figures["roc_auc"] > told[80]["validation_roc_auc"]


@both
def test_patience_says_how_long_it_goes_on(which):
    found = fit(project("binary"), OF[which]({"rounds": 300, "patience": 3}))
    assert found.fit.epochs == found.fit.epoch + 3


@both
def test_an_unknown_option_is_refused_with_the_known_ones(which):
    with pytest.raises(SettingsError, match=r"'max_dept'. Did you mean 'max_depth'\?"):
        OF[which]({"max_dept": 3})
    with pytest.raises(SettingsError, match=r"'qqq'. Known options: .* patience.* rounds"):
        OF[which]({"qqq": 3})


def test_two_names_of_one_option_are_refused():
    with pytest.raises(SettingsError, match="'num_leaf' and 'num_leaves' are both num_leaves"):
        OF["lightgbm"]({"num_leaf": 31, "num_leaves": 7})


@pytest.mark.parametrize(
    ("which", "option", "why"),
    [
        ("lightgbm", "objective", "task.kind"),
        ("lightgbm", "application", "task.kind"),
        ("lightgbm", "num_class", "task.kind"),
        ("lightgbm", "n_estimators", "'rounds'"),
        ("lightgbm", "early_stopping_rounds", "'patience'"),
        ("lightgbm", "random_state", "train.seed"),
        ("lightgbm", "n_jobs", "plan"),
        ("lightgbm", "device", "CPU"),
        ("lightgbm", "boosting_type", "best round"),
        ("lightgbm", "input_model", "in memory"),
        ("lightgbm", "save_binary", "in memory"),
        ("xgboost", "objective", "task.kind"),
        ("xgboost", "eval_metric", "task.kind"),
        ("xgboost", "num_boost_round", "'rounds'"),
        ("xgboost", "early_stopping_rounds", "'patience'"),
        ("xgboost", "random_state", "train.seed"),
        ("xgboost", "nthread", "plan"),
        ("xgboost", "device", "CPU"),
        ("xgboost", "booster", "best round"),
    ],
)
def test_what_follows_from_elsewhere_is_refused_with_the_reason(which, option, why):
    with pytest.raises(SettingsError, match=f"'{option}' is not yours to set: .*{why}"):
        OF[which]({option: 1})


@both
@pytest.mark.parametrize("value", [0, True, 1.5, "ten"])
def test_rounds_are_a_count(which, value):
    with pytest.raises(SettingsError, match=r"rounds = .*; it is a whole number"):
        OF[which]({"rounds": value})


@both
def test_a_value_that_the_library_refuses_is_told_in_its_words(which):
    with pytest.raises(SettingsError, match=r"refuses these options: .*(max_depth|-5|many)"):
        fit(project("binary"), OF[which]({"max_depth": "many"}))


@both
def test_aliases_and_lists_by_column_are_taken(which):
    options = {"eta": 0.3, "monotone_constraints": [1, 0, 0], "rounds": 20}
    model = fit(project("regression"), OF[which](options)).fit.fitted
    steps = np.linspace(-2, 2, 50)
    answers = model.answer({"distance": steps, "carrier": np.full(50, "AA", object), "noise": np.zeros(50)})
    assert (np.diff(answers) >= 0).all()


@both
def test_the_run_says_what_was_fitted(which):
    made = trainer(which, "binary")
    told = prepare(project("binary"), lambda inputs, outputs, params: made, {"seed": 3}).described()
    assert told["trainer"] == which
    assert told["rounds"] == 60
    assert told["seed"] == 3
    assert "learning_rate" not in told  # that of networks
    assert "epochs" not in told


@both
def test_an_estimator_of_the_library_is_not_taken_but_its_trainer_is_named(which):
    bare = {"lightgbm": lightgbm.LGBMClassifier, "xgboost": xgboost.XGBClassifier}[which]()
    with pytest.raises(ModelError, match=rf"{type(bare).__name__}\. .*{OF[which].__name__}\(options\)"):
        fit(project("binary"), bare)


@both
def test_a_category_that_is_missing_in_all_of_training_is_a_column_like_others(which, tmp_path):
    from tests.training.trainers.conftest import make_project

    settings = make_project("binary", tmp_path)
    for part in ("train", "validation"):
        path = tmp_path / "data" / "split" / f"{part}.parquet"
        pd.read_parquet(path).assign(carrier=pd.Series([None] * 1_200, dtype="str")).to_parquet(path)
    found = fit(settings, OF[which]({"rounds": 10}))
    assert found.figures["roc_auc"] > 0.8
    assert found.fit.fitted.importance()["carrier"] == 0


def test_beside_torch_on_a_mac_one_thread_computes(monkeypatch):
    """Two OpenMPs in one process crash there: pytorch #191933."""
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert threads_beside_torch(8) == 8
    monkeypatch.setattr(sys, "platform", "darwin")
    assert threads_beside_torch(8) == 1
    assert on_lightgbm._threads(np.zeros((5_000, 1))) == 1
    monkeypatch.delitem(sys.modules, "torch")
    assert threads_beside_torch(8) == 8


@both
def test_without_openmp_the_way_to_it_is_named(which, monkeypatch):
    """As on a Mac: the wheels leave it to Homebrew."""
    kind = {"lightgbm": OSError, "xgboost": xgboost.core.XGBoostError}[which]

    def fails(name, *, extra):
        raise kind("Library not loaded: @rpath/libomp.dylib")

    monkeypatch.setattr(boosting, "require", fails)
    with pytest.raises(
        ModelError, match=rf"{which} is installed and cannot be loaded: .*brew install libomp"
    ):
        OF[which]({})
