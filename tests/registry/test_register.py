import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_lib.errors import DataError, ModelError
from runtime_lib.registry.register import register
from runtime_lib.tracking.record import record_folder
from runtime_lib.tracking.store import connect, experiment_id
from runtime_lib.training.model import digest


def test_register_ships_run_model_and_figures(project):
    result = register(project)
    client = connect(project)
    run = client.get_run(result["run_id"])
    evaluation = json.loads((project.reports / "evaluation.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.02"
    assert run.data.metrics["test/roc_auc"] == evaluation["candidate"]["roc_auc"]
    assert run.data.metrics["test/naive/roc_auc"] == evaluation["naive"]["roc_auc"]
    assert len(client.get_metric_history(run.info.run_id, "epoch/train_loss")) > 1
    assert len(run.outputs.model_outputs) == 1
    version = client.get_model_version(result["name"], result["version"])
    assert version.tags["mlops.digest"] == result["digest"] == digest(project.candidate)
    assert json.loads((project.reports / "registered.json").read_text()) == {"format": 1, **result}


def test_registering_again_changes_nothing(project):
    first = register(project)
    assert register(project) == first
    assert count(project) == {"versions": 1, "runs": 1, "ready": 1}


def test_only_registering_does_not_make_a_champion(project):
    from runtime_lib.registry.champion import champion

    register(project)
    assert champion(project) is None


def test_the_stored_model_holds_nothing_pickled(project):
    register(project)
    stored = {path.name for path in (project.root / "var" / "artifacts").rglob("*") if path.is_file()}
    assert {"MLmodel", "config.json", "model.safetensors", "profile.json"} <= stored
    assert not [name for name in stored if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))]
    assert "uv.lock" not in stored


def test_a_changed_candidate_is_refused(project):
    config = project.candidate / "config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "threshold": 0.0001}))
    with pytest.raises(ModelError, match=r"is not the model that .* describes"):
        register(project)


def test_a_version_whose_files_are_gone_is_registered_anew(project):
    register(project)
    shutil.rmtree(project.var / "artifacts")
    (project.var / "artifacts").mkdir()
    assert register(project)["version"] == "2"


def test_an_evaluation_of_another_model_is_refused(project):
    path = project.reports / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "0" * 64}))
    with pytest.raises(DataError, match="of another model"):
        register(project)


def test_no_record_is_a_clear_error(project):
    (record_folder(project) / "record.json").unlink()
    with pytest.raises(DataError, match="mlops run"):
        register(project)


POINTS = [
    "create_run",
    "log_batch",
    "set_terminated",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "log_outputs",
    "create_registered_model",
    "create_model_version",
]
KILLER = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from runtime_lib.registry.register import register
from runtime_lib.settings import load

def die_after(point):
    original = getattr(MlflowClient, point)
    def call(*arguments, **named):
        original(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(MlflowClient, point, call)

for root in map(Path, sys.argv[1:]):
    pid = os.fork()
    if not pid:
        die_after(root.name)
        register(load(root, environ={}))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == -signal.SIGKILL, f"{root.name} was never called"
"""


def test_killed_anywhere_then_registered_again_there_is_one_version(new_project):
    projects = [new_project(point) for point in POINTS]
    subprocess.run(
        [sys.executable, "-c", KILLER, *(str(project.root) for project in projects)], check=True, timeout=120
    )
    for project in projects:
        first = register(project)
        assert register(project) == first
        assert count(project) == {"versions": 1, "runs": 1, "ready": 1}, project.root.name


def test_the_model_loads_through_mlflow_in_a_fresh_process(project):
    from runtime_lib.registry.champion import promote

    register(project)
    assert promote(project).promoted
    script = """
import pickle, sys
import mlflow, pandas, torch
def refuse(*a, **k): raise AssertionError("something is unpickled")
pickle.load = pickle.loads = pickle.Unpickler = refuse
model = mlflow.pyfunc.load_model("models:/demo@champion")
table = pandas.read_parquet(sys.argv[1])
table["n"] = table["n"].astype("float64")  # MLflow takes no whole numbers for doubles
print(list(map(float, model.predict(table[["x", "n", "kind"]])[:3])))
"""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/var/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(project.root / "data" / "split" / "test.parquet")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path("/"),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(probabilities(project)[:3].tolist())


def probabilities(project):
    import pandas as pd

    from runtime_lib.data.columns import check_rows
    from runtime_lib.training.model import Model

    model = Model.load(project.candidate, framework="torch")
    table = pd.read_parquet(project.root / "data" / "split" / "test.parquet")
    return model.predict(check_rows({c.name: table[c.name] for c in model.columns}, model.columns))


def count(project):
    client = connect(project)
    experiment = experiment_id(project, client)
    models = client.search_logged_models([experiment])
    assert all(model.status != "PENDING" for model in models)
    return {
        "versions": len(client.search_model_versions("name = 'demo'")),
        "runs": len(client.search_runs([experiment])),
        "ready": len([model for model in models if model.status == "READY"]),
    }
