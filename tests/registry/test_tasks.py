"""Each kind of task through every stage: train, evaluate, register, promote, serve, labels, monitor."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.monitoring.explain import explain_served
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.registry.champion import champion
from runtime_lib.registry.drawn import confusion
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.serving.protocols import infer, invocations
from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.serving.service import open_service
from runtime_lib.settings import load
from runtime_lib.training.evaluate import evaluate, side_by_side
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train

KINDS = ("binary", "multiclass", "regression", "quantile")
OUTPUTS = {
    "binary": ["probability"],
    "multiclass": ["probability.early", "probability.late", "probability.ok"],
    "regression": ["value"],
    "quantile": ["p10", "p50", "p90"],
}
PARAMS = {"seed": 1, "epochs": 8, "learning_rate": 0.01, "batch_size": 64}


def model(inputs, outputs, params):
    return Architecture("mlp", {"inputs": inputs, "outputs": outputs, "hidden": [8]})


def make_table(kind, seed, rows=800):
    """Rows whose label follows `x` and `kind`."""
    rng = np.random.default_rng(seed)
    x, which = rng.normal(size=rows), rng.choice(["a", "b"], rows)
    number = 15 * x + np.where(which == "a", 10, -10) + 5 * rng.normal(size=rows)
    label = {
        "binary": (number > 0).astype("int8"),
        "multiclass": np.where(number < -10, "early", np.where(number < 10, "ok", "late")).astype(object),
    }.get(kind, number)
    return pd.DataFrame(
        {
            "x": x,
            "kind": which,
            "label": label,
            "id": [f"{seed}-{row}" for row in range(rows)],
            "time": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


def make_project(root, kind, **settings):
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (root / "mlops.toml").write_text(
        f'[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "torch"\n[registry]\n{lines}'
    )
    (root / "params.yaml").write_text(f"task:\n  kind: {kind}\n")
    for seed, part in enumerate(("train", "validation", "test")):
        path = root / "data" / "split" / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_table(kind, seed).to_parquet(path)
    return load(root, environ={})


@pytest.fixture(scope="module", params=KINDS)
def held(request, tmp_path_factory):
    """A project of each kind whose first model is champion."""
    settings = make_project(tmp_path_factory.mktemp(request.param), request.param)
    train(settings, model, PARAMS)
    evaluate(settings, {})
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


@pytest.fixture(scope="module")
def served(held):
    """What the champion has answered to 600 rows, in both protocols."""
    kind, settings, _ = held
    found = champion(settings)
    assert found is not None
    service = open_service(settings, found.folder, name=found.name, version=found.version).start()
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


# ---------------------------------------------------------------- what does not fit


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
    service = open_service(settings, found.folder, name=found.name, version=found.version).start()
    table = make_table("multiclass", 9, 600)
    service.predict({name: table[name].tolist() for name in ("x", "kind")}, list(table["id"]))
    service.stop()
    table.loc[:9, "label"] = "lost"
    table[["id", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    add_labels(settings, tmp_path / "labels.csv")
    performance = monitor(settings).performance
    assert (performance.labelled, performance.predictions) == (590, 600)
    assert "10 more labels are of classes that the model was not trained on" in performance.reason


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


def test_two_classes_with_names_are_decided_by_the_likelier_and_by_no_threshold():
    counts = [[8, 2], [1, 9]]
    named = confusion(counts, {"task": "multiclass", "classes": ["lost", "paid"]})
    assert ("threshold" in named.reading, "lost" in named.svg) == (False, True)
    assert "threshold" in confusion(counts, {"task": "binary", "classes": ["0", "1"]}).reading
