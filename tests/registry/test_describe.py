"""What MLflow's pages show of a run and its version: name, description, the kept epoch, the evaluation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime_lib.registry.champion import promote
from runtime_lib.registry.page import write_page
from runtime_lib.registry.register import register
from runtime_lib.settings import load
from runtime_lib.tracking.record import read, record_folder
from runtime_lib.tracking.store import connect
from tests.registry.conftest import train_candidate


@pytest.fixture(scope="module")
def told(trained, tmp_path_factory):
    """Two versions, promoted and refused, as the store has them."""
    root = tmp_path_factory.mktemp("told") / "project"
    shutil.copytree(trained, root)
    settings = load(root, environ={})
    settings.features.mkdir(parents=True)
    (settings.features / "2026-01.parquet").touch()
    first = register(settings)
    promote(settings)
    page = settings.evaluation_page.read_text()
    (settings.features / "2026-02.parquet").touch()
    train_candidate(settings, seed=2, flip=True)
    second = register(settings)
    between = settings.evaluation_page.read_text()
    promote(settings)
    client = connect(settings)
    return SimpleNamespace(
        settings=settings,
        client=client,
        pages=(page, between, settings.evaluation_page.read_text()),
        runs=[client.get_run(each["run_id"]) for each in (first, second)],
        versions=[client.get_model_version(each["name"], each["version"]) for each in (first, second)],
    )


def test_runs_have_names_that_say_something(told):
    evaluation = json.loads(told.settings.report("evaluation").read_text())
    assert told.runs[0].info.run_name.startswith("0.8")
    assert told.runs[1].info.run_name == f"2026-02 · {evaluation['candidate']['roc_auc']:.4f} · mlp 8"


def test_descriptions_say_what_changed_the_figures_and_the_verdict(told):
    first, second = (run.data.tags["mlflow.note.content"] for run in told.runs)
    evaluation = json.loads(told.settings.report("evaluation").read_text())
    assert "**Changed**: first run." in first
    assert "**Gate, version 1**: promoted. roc_auc" in first
    assert f"**Changed since {told.runs[0].info.run_name}**: seed 1 → 2." in second
    assert "**Gate, version 2**: refused." in second
    assert f"(naive {told.runs[1].data.metrics['test/naive/roc_auc']:.4f})" in second
    assert "Trained on" in second
    worst = evaluation["examples"][-1]
    said = f"**Worst answer**: {worst['id']}. Predicted {worst['answer']:.4f}, was {worst['label']}. By "
    assert said in second
    assert f"{worst['columns'][0]['column']} " in second.partition(said)[2]
    assert [version.description for version in told.versions] == [first, second]


def test_registering_again_keeps_the_verdict(told):
    register(told.settings)
    assert told.client.get_model_version("demo", "2").description == told.versions[1].description


def test_the_figures_shown_are_those_of_the_kept_epoch(told):
    for run in told.runs[:1]:
        history = told.client.get_metric_history(run.info.run_id, "epoch/validation_roc_auc")
        best = max(history, key=lambda each: each.value)
        assert best.step < history[-1].step, "the last epoch is not the best: else this proves nothing"
        assert run.data.metrics["validation_roc_auc"] == pytest.approx(best.value)
        assert run.data.metrics["kept_epoch"] == best.step
        assert run.data.metrics["epochs_run"] == len(history)


def test_the_page_and_its_charts_are_artifacts_of_the_run(told, tmp_path):
    from xml.etree import ElementTree

    for run in told.runs:
        folder = tmp_path / run.info.run_id
        folder.mkdir()
        found = told.client.list_artifacts(run.info.run_id, "evaluation")
        names = {file.path.partition("/")[2] for file in found}
        drawn = {"loss", "metric", "roc", "precision_recall", "calibration", "confusion", "importance"}
        drawn |= {"example_least", "example_median", "example_largest"}
        assert names == {"evaluation.html", *(f"{name}.svg" for name in drawn)}
        for name in drawn:
            path = told.client.download_artifacts(run.info.run_id, f"evaluation/{name}.svg", str(folder))
            root = ElementTree.parse(path).getroot()
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert float(root.get("width")) > 0
    last = told.client.download_artifacts(
        told.runs[1].info.run_id, "evaluation/evaluation.html", str(tmp_path)
    )
    assert Path(last).read_text() == told.pages[2]


def test_the_page_follows_the_gate(told):
    promoted, between, refused = told.pages
    assert "Version 1 passed the gate." in promoted
    assert "has not judged this model yet" in between
    assert "The gate refused version 2." in refused
    assert "naive baseline&#39;s" in refused
    kept = told.runs[0].data.metrics["kept_epoch"]
    assert f"{kept:.0f} of" in promoted
    assert not [word for word in ("http://", "https://", "<script", "@import") if word in refused]


def test_the_page_shows_suspects_and_escapes_what_comes_from_data(told):
    settings, path = told.settings, told.settings.report("evaluation")
    before = path.read_text()
    evaluation = json.loads(before)
    suspect = {"column": "<b>next", "kind": "rank", "figure": 0.99, "why": "it ranks the label <i>alone</i>"}
    needed = [{"column": "<b>next", "loss": 0.4}, *evaluation["importance"]]
    try:
        path.write_text(json.dumps({**evaluation, "suspects": [suspect], "importance": needed}))
        page = write_page(settings).read_text()
    finally:
        path.write_text(before)
    assert "Too good to be true?" in page
    assert "it ranks the label &lt;i&gt;alone" in page
    assert "<b>next" not in page
    assert "Too good" not in told.pages[0]


def test_an_evaluation_of_an_earlier_release_has_a_page_without_curves(told):
    path = told.settings.report("evaluation")
    before = path.read_text()
    fields = json.loads(before)
    for key in ("curves", "confusion", "importance", "examples"):
        del fields[key]
    try:
        path.write_text(json.dumps(fields))
        page = write_page(told.settings).read_text()
    finally:
        path.write_text(before)
    assert 'id="roc"' not in page
    assert f"{fields['candidate']['roc_auc']:.4f}" in page


def test_no_page_of_one_model_with_the_record_of_another(told):
    path = told.settings.report("evaluation")
    before = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(before), "digest": "0" * 64}))
        assert write_page(told.settings) is None
    finally:
        path.write_text(before)
    assert read(record_folder(told.settings))[0].tags["mlops.columns"] == '["x", "n", "kind"]'
