"""`mlops runs`: what was run, fast and without a server, and the same from the file as from MLflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from runtime_lib.registry import runs as module
from runtime_lib.registry.champion import promote
from runtime_lib.registry.register import register
from runtime_lib.registry.runs import runs
from runtime_lib.settings import load
from runtime_lib.tracking.record import Record
from runtime_lib.tracking.ship import ship_pending
from tests.registry.conftest import train_candidate

MLOPS = str(Path(sys.executable).with_name("mlops"))
START = """
import os, signal, sys
from pathlib import Path
from runtime_lib.settings import load
from runtime_lib.tracking.record import Record

record = Record.start(load(Path(sys.argv[1]), environ={}), {"architecture": "mlp", "hidden": "[8]"})
record.metric("epoch/validation_roc_auc", 0.6, step=1)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def project(trained, tmp_path_factory):
    """A promoted and a refused version, and trainings that failed and were killed, delivered all."""
    root = tmp_path_factory.mktemp("runs") / "project"
    shutil.copytree(trained, root)
    settings = load(root, environ={})
    register(settings)
    promote(settings)
    with pytest.raises(ZeroDivisionError), Record.start(settings, {}):
        print(1 / 0)
    with started(root) as training:
        training.kill()
    ship_pending(settings)
    train_candidate(settings, seed=2, flip=True)
    register(settings)
    promote(settings)
    return settings


def started(root):
    command = [sys.executable, "-c", START, str(root)]
    training = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert training.stdout.readline() == b"ready\n"
    return training


def test_each_run_with_what_became_of_it_the_newest_first(project):
    refused, killed, failed, champion = runs(project)
    assert [row.verdict for row in (refused, killed, failed, champion)] == [
        "refused",
        "killed",
        "failed",
        "champion",
    ]
    assert (champion.version, refused.version, failed.version) == ("1", "2", "")
    assert (champion.changed, refused.changed) == ("first run", "seed 1 → 2")
    assert failed.why == "ZeroDivisionError: division by zero"
    assert killed.why == "its process was killed"
    assert "naive baseline" in refused.why
    evaluation = json.loads(project.report("evaluation").read_text())
    assert refused.figure == evaluation["candidate"]["roc_auc"]
    assert killed.figure is None
    assert champion.started < failed.started <= killed.started <= refused.started
    assert champion.seconds > 0
    assert "torch cpu" in champion.machine
    assert runs(project, limit=1) == [refused]


def test_the_file_says_what_mlflow_says(project):
    assert module._from_file(project, project.var / "mlflow.db", 20) == module._from_mlflow(project, 20)


def test_tables_of_another_shape_are_left_to_mlflow(project, monkeypatch):
    import sqlite3

    def changed(*arguments):
        raise sqlite3.OperationalError("no such column: run_uuid")

    before = runs(project)
    monkeypatch.setattr(module, "_from_file", changed)
    assert runs(project) == before


def test_a_training_under_way_is_there_and_so_is_one_that_was_not_delivered(project):
    with started(project.root) as training:
        [running, *rest] = runs(project)
        assert (running.verdict, running.name, len(rest)) == ("running", "running · mlp 8", 4)
        training.kill()
    [killed, *rest] = runs(project)
    assert (killed.verdict, killed.why) == ("killed", "its process was killed")
    shutil.rmtree(project.spool)
    assert len(runs(project)) == 4


def test_a_project_without_runs_stays_without_a_store(tmp_path):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    assert runs(load(tmp_path, environ={})) == []
    done = subprocess.run([MLOPS, "runs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "No runs yet: `mlops run`" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mlops.toml"]


def test_runs_of_another_experiment_are_not_listed(project):
    tracking = msgspec.structs.replace(project.tracking, experiment="other")
    assert runs(msgspec.structs.replace(project, tracking=tracking)) == []


@pytest.mark.parametrize("columns", ["80", "150"])
def test_the_table_shows_them_all_without_mlflow(project, columns):
    script = "import sys; sys.modules['mlflow'] = None; sys.argv = ['mlops', 'runs']\n"
    script += "from runtime_lib.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        env={"COLUMNS": columns, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines) <= int(columns)
    for word in ("champion", "refused", "failed", "killed", "ZeroDivisionError", "seed 1 → 2", "mlp 8"):
        assert word in done.stdout
    assert ("machine" in done.stdout) == (columns == "150")
