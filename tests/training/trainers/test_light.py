"""What a worker imports and takes to answer one row: of each trainer what answers, and nothing that fits."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from runtime_lib.data.columns import check_rows
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.network import FittedNetwork
from tests.training.trainers.conftest import INPUTS, fitted, make_project, make_table

HEAVY = (
    *("pandas", "pyarrow", "scipy", "sklearn", "skops", "joblib", "mlflow", "matplotlib"),
    *("torch", "mlx", "ray", "lightgbm", "xgboost"),
)

WORKER = """
import json, sys, time
from pathlib import Path
from runtime_lib.data.columns import check_rows
from runtime_lib.settings import load

root, framework, heavy = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
settings = load(root, environ={"MLOPS_SERVING__FRAMEWORK": framework})

from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.serving.version import open_version

version = open_version(settings, root / "model", name="m", version="1", log=None).start()
predictor = version.predictor
rows = version.check(Batch({"distance": [None], "carrier": ["AA"], "noise": [0.5]}))
found = predictor.compute([rows], [["a"]])[0]
found.task.records(found.answer, found.label)
seconds = time.process_time()
imported = [name for name in heavy if name in sys.modules]
import psutil
megabytes = psutil.Process().memory_info().rss / 2**20
print(json.dumps([predictor.model.framework, imported, seconds, megabytes]))
"""


def make_network(root):
    """A small network on the inputs of the other trainers."""
    task, columns = fitted("linear", "binary").task, fitted("linear", "binary").trial.prepared.columns
    rows = check_rows({name: make_table("binary", 0)[name] for name in INPUTS}, columns)
    encoder = Encoder.fit(rows, columns)
    architecture = Architecture("mlp", {"inputs": encoder.width, "hidden": [32, 16]})
    network = FittedNetwork(encoder, architecture, build(architecture, framework="torch", device="cpu"))
    save(root / "model", task=task, columns=columns, fitted=network, decision={"threshold": 0.5}, profile={})


@pytest.mark.parametrize(
    ("which", "framework", "imported"),
    [
        ("mlp", "numpy", []),
        ("mlp", "mlx", ["mlx"]),
        ("lightgbm", "auto", []),
        ("xgboost", "auto", []),
        # scikit-learn brings pandas itself, where that is installed.
        ("histogram", "auto", ["pandas", "pyarrow", "scipy", "sklearn", "skops", "joblib"]),
    ],
)
def test_a_worker_imports_what_answers_and_nothing_more(which, framework, imported, tmp_path):
    needed = {"xgboost": "xgboost", "lightgbm": "lightgbm"}.get(which, "numpy")
    if not find_spec(needed):
        pytest.skip(f"{needed} is not installed")
    make_project("binary", tmp_path)
    if which == "mlp":
        make_network(tmp_path)
    else:
        fitted(which, "binary").trial.save(tmp_path / "model")
    worker = [sys.executable, "-c", WORKER, str(tmp_path), framework, ",".join(HEAVY)]
    out = subprocess.run(worker, check=True, capture_output=True, text=True).stdout
    answers_with, found, seconds, megabytes = json.loads(out)
    assert answers_with == {"mlp": framework, "histogram": "sklearn"}.get(which, which)
    assert found == imported
    if "sklearn" not in imported:
        assert seconds < 1
        assert megabytes < 120
