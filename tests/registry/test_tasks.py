"""Each kind of task through every stage: train, evaluate, register, promote, serve, labels, monitor."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pandas as pd
import pytest

from runtime_lib.drawing.answers import confusion
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.monitoring.explain import explain_served
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.registry.champion import champion
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.serving.protocols import infer, invocations
from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.training.evaluate import evaluate, side_by_side
from runtime_lib.training.train import train
from tests.support.kinds import KINDS, OUTPUTS, PARAMS, make_project, make_table, model
from tests.support.served import Served


@pytest.fixture(scope="module", params=KINDS)
def held(request, tmp_path_factory):
    """A project of each kind whose first model is champion."""
    settings = make_project(tmp_path_factory.mktemp(request.param), request.param)
    train(settings, model, PARAMS)
    evaluate(settings, {"examples": True})
    register(settings)
    decision = promote(settings)
    assert decision.promoted, decision.reasons
    return request.param, settings, decision


def test_the_evaluation_says_how_good_the_model_is_beside_both_baselines(held):
    kind, settings, decision = held
    report = json.loads(settings.report("evaluation").read_text())
    linear = "logistic" if kind in ("binary", "multiclass") else "linear"
    assert (report["format"], report["task"]) == (2, kind)
    assert set(report["gains"]) == {"naive", linear}
    for figure, (lower, upper) in report["intervals"].items():
        assert lower < report["candidate"][figure] < upper
    metric = decision.reasons[0].split()[0]
    value, error = report["gains"]["naive"][metric]
    assert value > 0.05
    assert 0 < error < value / 2
    assert report["naive"]["column"] in ("x", "kind")
    assert decision.figures["candidate"] == report["candidate"]
    assert len(report["classes"]) == {"binary": 2, "multiclass": 3}.get(kind, 0)
    assert [item["column"] for item in report["importance"]] == ["x", "kind"]
    assert side_by_side(settings).startswith(f"Held-out {metric}: model ")
    assert f"{metric} {report['candidate'][metric]:.4f} on 800 held-out rows" in decision.reasons[0]
    page = settings.evaluation_page.read_text()
    assert "Version 1 passed the gate" in page
    assert len(report["examples"]) == 3
    for one in report["examples"]:
        assert f'id="example_{one["error"]}"' in page
        assert one["id"] in page


@pytest.fixture(scope="module")
def served(held):
    """What the champion has answered to 600 rows, in both protocols."""
    kind, settings, _ = held
    found = champion(settings)
    assert found is not None
    service = Served(settings, found.folder, name=found.name, version=found.version)
    table = make_table(kind, 9, 600)
    try:
        prediction = service.predict(
            {name: table[name].tolist() for name in ("x", "kind")}, list(table["id"])
        )
        return table, invocations.answer(prediction), infer.answer(prediction, Batch({}))
    finally:
        service.stop()


def test_the_service_answers_in_both_protocols(held, served):
    kind, _, _ = held
    table, body, tensors = served
    assert body["ids"] == table["id"].tolist()
    first = body["predictions"][0]
    names = [tensor["name"] for tensor in tensors["outputs"]]
    data = {tensor["name"]: tensor["data"] for tensor in tensors["outputs"]}
    label = ["label"] if kind in ("binary", "multiclass") else []
    assert names == [*OUTPUTS[kind], *label, "prediction_id"]
    if kind in ("binary", "regression"):
        assert body["predictions"] == data[OUTPUTS[kind][0]]
    elif kind == "multiclass":
        assert list(first) == ["label", "probability"]
        assert sum(first["probability"].values()) == pytest.approx(1)
        assert data["label"] == [row["label"] for row in body["predictions"]]
        assert np.mean(np.array(data["label"]) == table["label"]) > 0.7
    else:
        assert list(first) == OUTPUTS[kind]
        assert all(row["p10"] <= row["p50"] <= row["p90"] for row in body["predictions"])
    msgspec.json.encode([body, tensors])


def test_what_was_served_is_explained_by_its_id(held, served):
    _, settings, _ = held
    _, body, _ = served
    found = explain_served(settings, ["9-3", "9-0"])
    assert found.answers == [body["predictions"][3], body["predictions"][0]]
    told = found.to_dict()["rows"][1]["outputs"][found.found.outputs[0]]["columns"]
    assert {part["column"] for part in told} == {"x", "kind"}
    assert abs(told[0]["adds"]) >= abs(told[1]["adds"]) > 0
    with pytest.raises(DataError, match="no answer of the champion, version 1, to the id 'nobody'"):
        explain_served(settings, ["nobody"])


def test_labels_that_come_late_are_judged_by_the_tasks_metric(held, served, tmp_path):
    kind, settings, decision = held
    table, _, _ = served
    table[["id", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    assert add_labels(settings, tmp_path / "labels.csv") == 600
    verdict = monitor(settings)
    performance = verdict.performance
    assert verdict.state == "well", verdict.reasons
    assert performance.metric == decision.reasons[0].split()[0]
    assert performance.held_out == decision.figures["candidate"][performance.metric]
    assert performance.lower < performance.live < performance.upper
    assert (performance.labelled, performance.coverage, performance.unknown) == (600, 1, 0)
    report = json.loads(verdict.report_json.read_text())
    assert (report["format"], len(report["predictions"])) == (2, 3 if kind == "quantile" else 1)
    assert performance.title in verdict.report_html.read_text().lower() or kind == "binary"

    wrong = table.assign(label=np.roll(table["label"], 1))  # what was said of the row before
    wrong[["id", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    add_labels(settings, tmp_path / "labels.csv")
    verdict = monitor(settings)
    assert verdict.retrain, verdict.performance.reason
    side = "upper" if performance.best else "lower"
    assert f"its 95 % {side} bound" in verdict.reasons[0]


def test_mlflow_loads_the_model_and_knows_what_it_answers(held, served):
    import mlflow.pyfunc

    kind, settings, _ = held
    table, body, _ = served
    mlflow.set_tracking_uri(f"sqlite:///{settings.root}/var/mlflow.db")
    loaded = mlflow.pyfunc.load_model("models:/demo/1")
    answers = loaded.predict(table[["x", "kind"]].head(3))
    given = [*np.asarray(pd.DataFrame(answers).iloc[0])]
    first = body["predictions"][0]
    wanted = [first] if kind in ("binary", "regression") else [*first.get("probability", first).values()]
    assert [value for value in given if not isinstance(value, str)] == pytest.approx(wanted, rel=1e-5)
    assert loaded.metadata.signature is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_better_model_follows_the_champion_and_an_equal_one_does_not(kind, tmp_path):
    settings = make_project(tmp_path, kind)

    def judged(**params):
        train(settings, model, {**PARAMS, **params})
        evaluate(settings, {"linear": False})
        register(settings)
        return promote(settings)

    path = settings.split_part("train")
    table = pd.read_parquet(path)
    half = np.arange(len(table)) % 2 == 0  # of whose rows `kind` says nothing
    table.assign(kind=np.where(half, np.roll(table["kind"], 2), table["kind"])).to_parquet(path)
    first = judged()
    assert first.promoted, first.reasons
    table.to_parquet(path)
    better = judged()
    assert better.promoted, better.reasons
    assert "is better than the champion's" in better.reasons[-1]
    equal = judged(learning_rate=0.01001)
    assert not equal.promoted, equal.reasons
    lower, upper = equal.figures["intervals"]["incumbent"]
    assert abs(upper - lower) < 0.01, "models that answer alike are compared closely"
    assert champion(settings).version == "2"


def test_a_metric_of_another_task_is_refused_by_gate_and_monitoring(held, served):
    kind, settings, _ = held
    other = "mae" if kind in ("binary", "multiclass") else "roc_auc"
    wrong = msgspec.structs.replace(
        settings, registry=msgspec.structs.replace(settings.registry, metric=other)
    )
    with pytest.raises(SettingsError, match=f"'{other}' is no metric of a {kind} task. Choose one of"):
        side_by_side(wrong)
    with pytest.raises(SettingsError, match=f"'{other}' is no metric of a {kind} task. Choose one of"):
        monitor(wrong)


def test_two_classes_with_names_are_decided_by_the_likelier_and_by_no_threshold():
    counts = [[8, 2], [1, 9]]
    named = confusion(counts, task="multiclass", classes=["lost", "paid"])
    assert ("threshold" in named.reading, "lost" in named.svg) == (False, True)
    assert "threshold" in confusion(counts, task="binary", classes=["0", "1"]).reading
