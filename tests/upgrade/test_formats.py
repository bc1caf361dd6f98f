"""What earlier releases stored is read with the same values; what later ones store is refused by number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import MlopsError
from runtime_lib.monitoring.drift import drift, read_reference
from runtime_lib.monitoring.labels import read_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import read_evaluation, register
from runtime_lib.registry.versions import FIGURES_TAG
from runtime_lib.serving.log import format as log_format
from runtime_lib.serving.log import read_predictions
from runtime_lib.serving.protocols import invocations
from runtime_lib.settings import Settings, load
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.naive import naive
from runtime_lib.tracking.record import read, record_folder, spool_folder
from runtime_lib.tracking.ship import ship_pending
from runtime_lib.tracking.store import connect
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.judge import answer_table
from runtime_lib.training.model import Model, digest, read_columns
from runtime_lib.training.train import train
from tests.support.releases import RELEASES, REPOSITORY, SAMPLE, library_at
from tests.support.served import Served
from tests.support.stored import TIME, architecture, make_table

HERE = "working tree"
# What each document is written as by this library, by its file; the log and the labels are told below.
FORMATS = {
    **dict.fromkeys(("config.json", "profile.json", "evaluation.json", "report.json"), 2),
    **dict.fromkeys(("record.json", "registered.json", "promotion.json"), 1),
}
LATER = 9
REFUSED = rf"format {LATER}; this library reads 1( to [23])?\. Update runtime-lib\."


@dataclass(frozen=True)
class Stored:
    settings: Settings
    expected: dict[str, Any]


def write_all(library: Path, root: Path) -> Stored:
    root.mkdir()
    script = Path(__file__).parents[1] / "support" / "stored.py"
    env = {**os.environ, "PYTHONPATH": str(library)}
    done = subprocess.run([sys.executable, script, root], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = json.loads((root / "expected.json").read_text())
    assert Path(expected.pop("library")) == library / "runtime_lib"
    return Stored(load(root, environ={}), expected)


@pytest.fixture(scope="module", params=SAMPLE)
def old(request, tmp_path_factory) -> Stored:
    """A project in which a release has trained, promoted, served and monitored."""
    folder = tmp_path_factory.mktemp(f"of-{request.param}")
    library = library_at(dict(RELEASES)[request.param], folder / "library")
    return write_all(library, folder / "project")


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Stored:
    return write_all(REPOSITORY, tmp_path_factory.mktemp("of-this") / "project")


def test_the_model_gives_the_same_answers(old):
    model = Model.load(old.settings.candidate, framework="torch")
    rows = check_rows(make_table(2)[["x", "kind"]], model.columns)
    np.testing.assert_allclose(model.predict(rows), old.expected["answers"], rtol=1e-6)
    assert digest(old.settings.candidate) == old.expected["digest"]
    assert read_columns(old.settings.candidate) == model.columns


def test_the_model_is_judged_by_the_same_figures(old):
    settings = old.settings
    model, table = Model.load(settings.candidate, framework="torch"), make_table(2)
    label = model.task.read(table["label"])
    then = json.loads(settings.report("evaluation").read_text())["candidate"]
    now = model.task.figures(label, answer_table(settings, model, table))
    assert now == pytest.approx(then, rel=1e-6)
    found = naive(model.task, {"x": np.zeros(600)}, label, [Column("x", "number")], unseen={"x": np.zeros(3)})
    assert found[1] == pytest.approx([label.mean()] * 3), "as rates, of yes and no"


def test_the_model_is_served_with_the_same_answers(old):
    settings, held = old.settings, champion(old.settings)
    assert held is not None
    kept = settings.var / "predictions"
    before = {path: path.read_bytes() for path in kept.rglob("*.arrows")}
    service = Served(settings, held.folder, name=held.name, version=held.version)
    table, inputs = make_table(2), ("x", "kind")
    try:
        rows = {name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in inputs}
        body = invocations.answer(service.predict(rows, list(table["id"])))
        decided = service.predict(rows).label
    finally:
        service.stop()
        for path in set(kept.rglob("*.arrows")) - set(before):
            path.unlink()
    assert {path: path.read_bytes() for path in kept.rglob("*.arrows")} == before
    assert list(body) == ["predictions", "ids", "model", "version"]
    np.testing.assert_allclose(body["predictions"], old.expected["answers"], rtol=1e-5)
    config = json.loads((held.folder / "config.json").read_text())
    threshold = config.get("decision", config)["threshold"]  # format 1 had it beside the rest
    assert decided.tolist() == [int(answer > threshold) for answer in body["predictions"]]


def test_a_model_of_today_is_compared_with_the_champion(old, tmp_path):
    """Row by row, although it is stored in another format."""
    settings = load(shutil.copytree(old.settings.root, tmp_path / "copy"), environ={})
    train(settings, architecture, {"seed": 1, "epochs": 2, "learning_rate": 0.001, "batch_size": 64})
    evaluate(settings, {"linear": False})
    register(settings)
    decision = promote(settings)
    then = old.expected["held_out"]
    assert decision.figures["incumbent"] == pytest.approx(then, rel=1e-6)
    assert f"the champion's {then['roc_auc']:.4f}" in " ".join(decision.reasons)


def test_the_prediction_log_and_the_labels_are_read(old):
    table = read_predictions(old.settings.var / "predictions").set_index("id")
    wanted = make_table(2).set_index("id")
    assert list(table.index) == list(wanted.index)
    assert table["mlops.answer.probability"].tolist() == old.expected["answers"]
    assert table["kind"].tolist() == wanted["kind"].tolist()
    np.testing.assert_array_equal(table["x"].to_numpy("float64", na_value=np.nan), wanted["x"])
    assert set(table["version"]) == {old.expected["version"]}
    assert set(table["time"]) == {TIME}
    labels = read_labels(old.settings.var / "labels", BINARY)
    assert dict(zip(labels["id"], labels["label"].tolist(), strict=True)) == old.expected["labels"]


def test_the_record_of_the_training_is_read(old):
    state, measures = read(record_folder(old.settings))
    assert state.model_digest == old.expected["digest"]
    assert (state.status, state.params["epochs"]) == ("FINISHED", 6)
    assert {measure.step for measure in measures} >= {1, 2, 3, 4, 5}


def test_what_waits_in_the_spool_is_delivered(old):
    state, measures = read(spool_folder(old.settings) / old.expected["waiting"])
    assert [(m.name, m.value, m.step) for m in measures] == [("loss", 0.5, 3)]
    [run] = ship_pending(old.settings)
    delivered = connect(old.settings).get_run(run)
    assert (delivered.info.status, delivered.data.tags["mlops.record"]) == ("KILLED", state.id)


def test_the_champion_stays_and_the_reports_still_speak_of_it(old):
    held = champion(old.settings)
    assert held is not None
    assert (held.version, held.digest) == (old.expected["version"], old.expected["digest"])
    assert held.held_out == old.expected["held_out"]
    decision = promote(old.settings, again=False)
    assert decision.promoted
    assert not decision.judged
    rows = read_evaluation(old.settings, held.digest)["rows"]
    assert rows == held.held_out["rows"] == 600
    assert "already the champion" in promote(old.settings).reasons[0]
    assert register(old.settings)["version"] == held.version


def test_monitoring_comes_to_the_same_verdict(old):
    verdict = monitor(old.settings)
    assert verdict.performance.live == old.expected["live"]
    assert {column.name: column.effect for column in verdict.columns} == old.expected["drift"]


def test_an_old_profile_tells_a_shift_from_clean_data(old):
    reference = read_reference(json.loads((old.settings.candidate / "profile.json").read_text()))

    def drifted(table):
        fold = reference.fold(answers=False)
        fold.add(reference.columns(table))
        return [column.name for column in drift(reference, [fold.profile()]) if column.drifted]

    clean = [make_table(seed, rows=2_000) for seed in range(10, 15)]
    assert [drifted(table) for table in clean] == [[]] * 5
    assert drifted(clean[0].assign(x=clean[0]["x"] + 1.5)) == ["x"]
    assert drifted(clean[0].assign(x=clean[0]["x"] * 3)) == ["x"]
    assert drifted(clean[0].assign(kind="a")) == ["kind"]
    assert drifted(clean[0].assign(x=np.nan)) == ["x"]
    assert drifted(clean[0].assign(kind=["c"] * 100 + ["a", "b"] * 950)) == ["kind"]


def test_every_document_has_a_number(new):
    root = new.settings.root
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.json")} - {"expected.json"}
    daily = {name for name in found if name.startswith("var/monitoring/profiles/")}
    assert {json.loads((root / name).read_text())["format"] for name in daily} == {1}
    found -= daily
    ours = {name for name in found if not name.startswith("var/artifacts/") or "/data/model/" in name}
    for name in ours:
        assert json.loads((root / name).read_text()).get("format") == FORMATS[Path(name).name], name
    assert {Path(name).name for name in ours} == set(FORMATS)
    [labels], [log] = root.glob("var/labels/*.parquet"), root.glob("var/predictions/*/*.arrows")
    assert pq.read_schema(labels).metadata[b"mlops.format"] == b"2"
    assert pa.ipc.open_stream(log.read_bytes()).schema.metadata[b"mlops.format"] == b"3"


def later_json(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": LATER}))


def later_parquet(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"mlops.format": b"%d" % LATER}), file
    )


def later_segment(file: Path) -> None:
    """Under the beginning that a later library would write."""
    data = file.read_bytes()
    head = log_format.read_preamble(data)
    assert head is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_format, "NEWEST", LATER)
        file.write_bytes(log_format.preamble(head.marker) + data[head.length :])


@pytest.mark.parametrize(
    ("pattern", "change", "reader"),
    [
        ("models/candidate/config.json", later_json, lambda s: Model.load(s.candidate)),
        ("models/candidate/config.json", later_json, lambda s: read_columns(s.candidate)),
        (
            "models/candidate/profile.json",
            later_json,
            lambda s: monitor(s, json.loads((s.candidate / "profile.json").read_text())),
        ),
        ("models/record/record.json", later_json, lambda s: read(record_folder(s))),
        ("reports/evaluation.json", later_json, lambda s: read_evaluation(s, digest(s.candidate))),
        ("reports/registered.json", later_json, promote),
        ("var/labels/*.parquet", later_parquet, lambda s: read_labels(s.var / "labels", BINARY)),
        ("var/predictions/*/*.arrows", later_segment, lambda s: read_predictions(s.var / "predictions")),
    ],
)
def test_a_later_format_is_refused_by_its_number(new, tmp_path, pattern, change, reader):
    root = tmp_path / "copy"
    shutil.copytree(new.settings.root, root)
    settings = load(root, environ={})
    reader(settings)
    [file] = root.glob(pattern)
    change(file)
    with pytest.raises(MlopsError, match=REFUSED):
        reader(settings)


def test_mlops_monitor_warns_of_a_damaged_log(new, tmp_path):
    root = shutil.copytree(new.settings.root, tmp_path / "copy")
    [file] = root.glob("var/predictions/*/*.arrows")
    file.write_bytes(file.read_bytes() + b"half a batch")
    command = [sys.executable, "-c", "from runtime_lib.cli import main; main()", "monitor", "--exit-zero"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "600 predictions" in done.stdout
    [warning] = [line for line in done.stderr.splitlines() if "damaged" in line]
    assert warning.startswith(f"mlops: warning: the prediction log is damaged: {file}, byte ")
    assert warning.endswith("no batch begins where one should; 12 bytes were skipped.")


def test_figures_of_a_later_format_are_refused(new):
    client, held = connect(new.settings), champion(new.settings)
    assert held is not None
    figures = json.loads(client.get_model_version(held.name, held.version).tags[FIGURES_TAG])
    assert figures["format"] == 2
    client.set_model_version_tag(
        held.name, held.version, FIGURES_TAG, json.dumps({**figures, "format": LATER})
    )
    with pytest.raises(MlopsError, match=REFUSED):
        champion(new.settings)
