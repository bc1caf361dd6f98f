"""What does not fit the task: labels of a training, late labels, a champion of another kind."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.pipeline.run import run
from runtime_lib.registry.champion import champion
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train
from tests.support.kinds import PARAMS, make_project, make_table, model
from tests.support.served import Served


def change(settings, part, label):
    path = settings.split_part(part)
    pd.read_parquet(path).assign(label=label).to_parquet(path)


def with_value(kind, row, value):
    label = make_table(kind, 0)["label"].astype(object)
    label[row] = value
    return label


@pytest.mark.parametrize(
    ("kind", "part", "label", "said"),
    [
        ("regression", "train", ["much"] * 800, r"row 0: the label is 'much'.*must be a finite number"),
        ("regression", "train", with_value("regression", 3, np.inf).astype(float), "row 3: the label is inf"),
        (
            "quantile",
            "validation",
            with_value("quantile", 7, np.nan).astype(float),
            "row 7: the label is nan",
        ),
        ("regression", "train", [4.0] * 800, "same label, 4: there is nothing to learn"),
        ("multiclass", "train", ["ok"] * 800, "have the class ok: nothing can be learned"),
        ("multiclass", "train", [1, 2] * 400, r"row 0: the label is 1.*for those, task.kind is regression"),
        ("multiclass", "train", with_value("multiclass", 5, None), "row 5: the label is (None|nan)"),
        (
            "multiclass",
            "validation",
            with_value("multiclass", 2, "lost"),
            "row 2 is 'lost', a class that the",
        ),
        ("binary", "train", [0, 2] * 400, "row 1: the label is 2.*must be 0 or 1"),
        ("binary", "train", ["yes", "no"] * 400, "row 0: the label is 'yes'.*must be 0 or 1"),
        ("binary", "validation", [0] * 800, "All 800 rows have the same label"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused_with_row_value_and_fix(
    tmp_path, kind, part, label, said
):
    settings = make_project(tmp_path, kind)
    change(settings, part, label)
    with pytest.raises(DataError, match=said) as caught:
        train(settings, model, PARAMS)
    if "the label is" in str(caught.value):
        assert "Change label() or task.kind, then `mlops run`" in str(caught.value)
    assert not settings.candidate.exists()


def test_a_class_that_only_the_test_months_have_is_refused_by_name(tmp_path):
    settings = make_project(tmp_path, "multiclass")
    train(settings, model, {**PARAMS, "epochs": 1})
    change(settings, "test", with_value("multiclass", 11, "lost"))
    with pytest.raises(
        DataError, match=r"test\.parquet: The label in row 11 is 'lost'.*Train on months that have it"
    ):
        evaluate(settings, {})


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("binary", "2", "row 1: the label is 2; it must be 0 or 1"),
        ("regression", "late", "row 1: the label is late; it must be a finite number"),
        ("regression", "inf", "row 1: the label is inf; it must be a finite number"),
        ("quantile", "", "row 1: the label is nan; it must be a finite number"),
        ("multiclass", "", "row 1: the label is .*; it must be the name of a class"),
    ],
)
def test_late_labels_that_do_not_fit_are_refused_with_row_and_value(tmp_path, kind, value, said):
    settings = make_project(tmp_path, kind)
    good = {"binary": "1", "multiclass": "ok"}.get(kind, "3.5")
    (tmp_path / "labels.csv").write_text(f"id,label\na,{good}\nb,{value}\n")
    with pytest.raises(DataError, match=said) as caught:
        add_labels(settings, tmp_path / "labels.csv")
    assert "Leave out rows whose label is not known yet" in str(caught.value)
    assert not settings.labels.exists()


def test_late_labels_of_a_class_that_training_never_saw_are_counted_and_left_out(tmp_path):
    settings = make_project(tmp_path, "multiclass")
    train(settings, model, PARAMS)
    evaluate(settings, {"linear": False})
    register(settings)
    assert promote(settings).promoted
    found = champion(settings)
    service = Served(settings, found.folder, name=found.name, version=found.version)
    table = make_table("multiclass", 9, 600)
    service.predict({name: table[name].tolist() for name in ("x", "kind")}, list(table["id"]))
    service.stop()
    table.loc[:3, "label"], table.loc[4:9, "label"] = "lost", "Late"
    table[["id", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    add_labels(settings, tmp_path / "labels.csv")
    performance = monitor(settings).performance
    assert (performance.labelled, performance.predictions) == (590, 600)
    assert "10 more labels are of classes that the model was not trained on" in performance.reason
    assert "'Late' (6, perhaps 'late'), 'lost' (4)" in performance.reason


def test_a_champion_of_another_task_blocks_until_it_is_cleared(tmp_path):
    settings = make_project(tmp_path, "regression")
    train(settings, model, PARAMS)
    evaluate(settings, {"linear": False})
    register(settings)
    assert promote(settings).promoted
    settings = make_project(tmp_path, "quantile")
    train(settings, model, PARAMS)
    evaluate(settings, {"linear": False})
    register(settings)
    decision = promote(settings)
    assert not decision.promoted
    assert "version 1) answers a regression task, this model a quantile one" in decision.reasons[0]
    assert "mlops champion clear" in decision.reasons[-1]


def test_a_champion_of_other_quantiles_blocks_until_it_is_cleared(tmp_path):
    settings = make_project(tmp_path, "quantile")
    for levels in ("[0.1, 0.5, 0.9]", "[0.2, 0.5, 0.8]"):
        (tmp_path / "params.yaml").write_text(f"task:\n  kind: quantile\n  levels: {levels}\n")
        train(settings, model, PARAMS)
        evaluate(settings, {"linear": False})
        register(settings)
        decision = promote(settings)
    # The same rows: without a look at the levels its stored figure would have been compared.
    assert not decision.promoted
    assert "it answers p10, p50, p90, this model p20, p50, p80" in decision.reasons[0]
    assert "mlops champion clear" in decision.reasons[-1]


def test_a_metric_of_another_task_is_named_before_a_stage_runs(tmp_path):
    settings = make_project(tmp_path, "regression", metric="roc_auc")
    (tmp_path / "dvc.yaml").write_text("stages:\n  train:\n    cmd: touch ran\n    outs: [ran]\n")
    with pytest.raises(SettingsError, match="'roc_auc' is no metric of a regression task"):
        run(settings)
    assert not (tmp_path / "ran").exists()


def test_a_table_that_model_asks_for_and_nobody_wrote_is_named(tmp_path):
    settings = make_project(tmp_path, "binary")
    with pytest.raises(SettingsError, match="asks for the table 'boosting'; there is network"):
        train(settings, lambda inputs, outputs, params: params["boosting"], {**PARAMS, "network": {}})


def test_of_two_candidates_it_says_which_is_kept_and_by_how_much(tmp_path, capsys):
    settings = make_project(tmp_path, "regression")

    def two(inputs, outputs, params):
        wide = Architecture("mlp", {"inputs": inputs, "outputs": outputs, "hidden": [16]})
        return {"narrow": model(inputs, outputs, params), "wide": wide}

    train(settings, two, PARAMS)
    said = capsys.readouterr().out
    assert re.search(
        r"Kept: (narrow|wide), ahead by [\d.]+%(, perhaps by chance)? \(90 % interval -?[\d.]+% to [\d.]+%\) "
        r"in validation mae \(narrow [\d.]+, wide [\d.]+\)\.",
        said,
    )
