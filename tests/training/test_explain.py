"""What each column adds to an answer: exactly where the model can tell, else one column at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from runtime_lib.cli import app
from runtime_lib.errors import DataError
from runtime_lib.training.examples import examples
from runtime_lib.training.explain import explain
from runtime_lib.training.model import Model
from tests.training.trainers.conftest import INPUTS, KINDS, fitted


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def opened(which, kind, folder):
    each = fitted(which, kind)
    each.trial.save(folder)
    profile = json.loads((folder / "profile.json").read_text())
    return each, Model.load(folder), profile


@pytest.mark.parametrize("which", ["lightgbm", "histogram"])
def test_of_boosted_trees_the_parts_add_up_in_their_unit(which, kind, tmp_path):
    each, model, profile = opened(which, kind, tmp_path / "model")
    rows = each.rows(50)
    found = explain(model, rows, profile)
    assert found.exact
    assert (found.columns, found.outputs) == (tuple(INPUTS), model.task.outputs)
    total, answer = found.base + found.shares.sum(axis=2), model.predict(rows)
    if kind in ("binary", "multiclass"):
        assert found.unit == "log-odds" or kind == "multiclass"
        assert np.abs(model.task.answer(total) - answer).max() < 1e-6
    else:
        assert found.unit == "the label's own unit"
        assert np.abs(np.sort(total, axis=1) - answer.reshape(50, -1)).max() < 1e-5


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_of_other_models_it_is_what_another_value_would_change(kind, tmp_path):
    each, model, profile = opened("trees", kind, tmp_path / "model")
    rows = each.rows(40)
    found = explain(model, rows, profile)
    assert not found.exact
    mean = np.abs(found.shares).mean(axis=(0, 1))
    assert min(mean[0], mean[1]) > 3 * mean[2], "noise adds next to nothing"
    # The category's levels by their counts, each in the place of the row's own.
    about = profile["columns"]["carrier"]
    levels = [*about["counts"].items(), (None, about["nulls"])]
    count = sum(times for _, times in levels)
    others = sum(
        times / count * model.predict({**rows, "carrier": np.full(40, level, dtype=object)})
        for level, times in levels
    )
    expected = (model.predict(rows) - others).reshape(40, -1)
    assert found.shares[:, :, 1] == pytest.approx(expected, abs=1e-9)


def test_more_rows_than_anybody_reads_are_refused(tmp_path):
    each, model, profile = opened("histogram", "binary", tmp_path / "model")
    with pytest.raises(DataError, match="1,001 rows are too many to explain at once; give at most 1,000"):
        explain(model, each.rows(1_001), profile)


@pytest.mark.parametrize("words", [[], ["an-id", "--file", "rows.csv"]])
def test_the_command_takes_ids_or_a_file(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    done = CliRunner().invoke(app.app, ["explain", *words])
    assert "Give either ids of rows that were served, or --file FILE" in str(done.exception)


@pytest.mark.parametrize("which", ["histogram", "trees"])
def test_the_best_a_typical_and_the_worst_answer_are_told_with_their_columns(which, kind, tmp_path):
    each, model, profile = opened(which, kind, tmp_path / "model")
    split, task = each.split, model.task
    rows, label = split.validation, split.validation_label
    answer, names = model.predict(rows), [f"id-{row}" for row in range(len(label))]
    found = examples(model, rows, label, answer, ids=names, labels=label.tolist(), profile=profile)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [one["error"] for one in found] == ["least", "median", "largest"]
    errors = task.error.rows(label, answer)
    places = [names.index(one["id"]) for one in found]
    assert errors[places].tolist() == [errors.min(), np.sort(errors)[len(errors) // 2], errors.max()]
    for one, place in zip(found, places, strict=True):
        assert one["label"] == label[place]
        assert one["answer"] == task.records(answer[[place]], model.decide(answer[[place]]))[0]
        assert {part["column"] for part in one["columns"]} == set(INPUTS)
        if kind == "multiclass":
            assert one["output"] == f"probability.{task.classes[answer[place].argmax()]}"
        if kind in ("binary", "regression") and one["exact"]:
            total = one["base"] + sum(part["adds"] for part in one["columns"])
            scaled = total if kind == "binary" else (total - task.center) / task.scale
            assert task.answer(np.array([[scaled]]))[0] == pytest.approx(answer[place], abs=1e-9)


def test_of_many_columns_the_rest_is_added_up(monkeypatch, tmp_path):
    from runtime_lib.training import examples as module

    each, model, profile = opened("histogram", "regression", tmp_path / "model")
    rows, label = each.split.validation, each.split.validation_label
    names = label.tolist()

    def told():
        return examples(model, rows, label, model.predict(rows), ids=names, labels=names, profile=profile)

    whole = told()
    monkeypatch.setattr(module, "_MOST", 1)
    for all_of_it, cut in zip(whole, told(), strict=True):
        assert cut["columns"] == all_of_it["columns"][:1]
        assert cut["others"] == pytest.approx(sum(part["adds"] for part in all_of_it["columns"][1:]))
        assert all_of_it["others"] == 0
