import json
import math
import os
import signal
import subprocess
import sys

import pytest

from runtime_lib.errors import DataError
from runtime_lib.tracking.record import Record, read, record_folder, spool_folder


def test_a_finished_record_can_be_read_back(empty):
    with Record.start(empty, {"lr": 0.1, "net": {"width": 8}}) as record:
        record.metric("loss", 1.5, step=1)
        record.metrics(2, {"loss": math.nan, "auc": 0.5})
        record.finish(model_digest="abc", tags={"device": "cpu"})
    state, measures = read(record_folder(empty))
    assert (state.status, state.model_digest, state.tags["device"]) == ("FINISHED", "abc", "cpu")
    assert state.params == {"lr": 0.1, "net": {"width": 8}}
    assert [(m.name, m.step) for m in measures] == [("loss", 1), ("loss", 2), ("auc", 2)]
    assert math.isnan(measures[1].value)
    assert state.start <= measures[0].time <= measures[-1].time <= state.end
    assert read(spool_folder(empty) / state.id)[0] == state


def test_recording_needs_no_mlflow(empty):
    script = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from pathlib import Path; from runtime_lib.settings import load\n"
        "from runtime_lib.tracking.record import Record\n"
        f"with Record.start(load(Path({str(empty.root)!r})), {{}}) as record: record.metric('loss', 1)\n"
        "assert 'pandas' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert len(read(record_folder(empty))[1]) == 1


def test_a_failed_training_leaves_its_reason_and_no_record_of_a_model(empty):
    with pytest.raises(ZeroDivisionError), Record.start(empty, {}) as record:
        record.metric("loss", 1 / 0)
    state, _ = read(record.folder)
    assert state.status == "FAILED"
    assert state.tags["mlops.error"] == "ZeroDivisionError: division by zero"
    assert not record_folder(empty).exists()


def test_a_killed_training_keeps_what_it_appended(empty):
    script = (
        "import os, signal; from pathlib import Path; from runtime_lib.settings import load\n"
        "from runtime_lib.tracking.record import Record\n"
        f"record = Record.start(load(Path({str(empty.root)!r})), {{}})\n"
        "for step in range(1000): record.metric('loss', 1 / (step + 1), step=step)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60)
    assert done.returncode == -signal.SIGKILL
    [folder] = spool_folder(empty).iterdir()
    state, measures = read(folder)
    assert (state.status, len(measures)) == ("RUNNING", 1000)


def test_a_torn_last_line_is_left_out(empty):
    with Record.start(empty, {}) as record:
        record.metric("loss", 1, step=1)
    file = record_folder(empty) / "metrics.jsonl"
    for cut in range(1, len(file.read_bytes())):
        file.write_bytes(file.read_bytes()[:-1])
        assert read(record_folder(empty))[1] == [], cut


def test_a_later_format_is_refused(empty):
    with Record.start(empty, {}):
        pass
    file = record_folder(empty) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
    with pytest.raises(DataError, match=r"format 2; this library reads 1\. Update runtime-lib"):
        read(record_folder(empty))


def test_lineage_outside_git_says_nothing_of_git(empty):
    with Record.start(empty, {}) as record:
        pass
    assert "mlflow.source.git.commit" not in record.state.tags
    assert record.state.tags["mlops.version"]
    assert json.loads(record.state.tags["mlops.hardware"])["cpu_count"] == os.cpu_count()
    assert record.state.data == {}


def test_lineage_names_commit_changes_and_data(empty):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    (empty.root / ".gitignore").write_text("var/\nmodels/\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=empty.root, check=True)
    with Record.start(empty, {}) as clean:
        pass
    (empty.root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n"
        "  split:\n    deps: [{path: data/features, md5: old.dir}]\n"
        "    outs: [{path: data/split, md5: 1a2b.dir}]\n"
        "  featurize:\n    outs: [{path: data/features, md5: 3c4d.dir}]\n"
        "  train:\n    deps: [{path: src/demo/model.py, md5: 5e6f}]\n"
        "    outs: [{path: models/candidate, md5: 7a8b}]\n"
    )
    with Record.start(empty, {}) as dirty:
        pass
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], cwd=empty.root, text=True).strip()
    assert {record.state.tags["mlflow.source.git.commit"] for record in (clean, dirty)} == {head}
    assert (clean.state.tags["mlops.git.dirty"], dirty.state.tags["mlops.git.dirty"]) == ("false", "true")
    assert dirty.state.data == {"data/features": "3c4d.dir", "data/split": "1a2b.dir"}
