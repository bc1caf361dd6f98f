"""Names of steps that train, and those that only speak of it."""

from __future__ import annotations

import pytest

from runtime_lib.audit.pipelines import says_train


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "training",
        "retrain",
        "train_model",
        "model-training",
        "TrainModel",
        "train_xgboost",
        "fit_model",
        "ModelTrainer",
        "hyperparameter_search",
        "train-and-register",
    ],
)
def test_a_step_trains_by_its_name(name):
    assert says_train(name)


@pytest.mark.parametrize(
    "name",
    [
        "load_train_data",
        "train_test_split",
        "training_date",
        "train_size",
        "constraint",
        "strain",
        "train_df",
        "predict",
        "evaluate",
        "train_features",
        "outfit",
        "training_data",
    ],
)
def test_a_name_that_only_speaks_of_training(name):
    assert not says_train(name)
