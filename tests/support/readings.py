"""A project that predicts failures from readings of a machine, whose sensor is replaced in May."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from runtime_lib.settings import load
from tests.support.mlops_serve import MLOPS
from tests.support.projects import with_library
from tests.support.served import Served

__all__ = ["answer", "command", "first_version", "make", "mlops", "monitor", "requests"]

# From May on the new sensor reports heat in another unit.
_DATA = '''"""Data: a machine's readings."""
import numpy as np
import pandas as pd
import pandera.pandas as pa


def load(month):
    rng = np.random.default_rng(int(month.replace("-", "")))
    rows = 700
    heat, load = rng.normal(60, 12, rows), rng.uniform(0, 1, rows)
    odds = (heat - 60) / 6 + 6 * load - 3.5
    fails = rng.random(rows) < 1 / (1 + np.exp(-odds))
    new = month >= "2025-05"
    return pd.DataFrame({
        "number": [f"{month}-{row}" for row in range(rows)],
        "at": pd.Timestamp(month + "-01", tz="UTC") + pd.to_timedelta(rng.uniform(0, 27, rows), unit="D"),
        "heat": 300 - 3 * heat if new else heat,
        "load": load,
        "failed": fails.astype("int64"),
    })


def schema():
    return pa.DataFrameSchema({"number": pa.Column(str, unique=True)})
'''
_FEATURES = '''"""Features of a reading."""
import pandas as pd


def features(raw):
    return pd.DataFrame({"id": raw["number"], "time": raw["at"], "heat": raw["heat"], "load": raw["load"]})


def label(raw):
    return raw["failed"]
'''
# One model that fits in a second.
_MODEL = '''"""Model: boosted trees."""
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting


def model(inputs, outputs, params):
    return GradientBoosting(params["boosting"])
'''
_PARAMS = [
    "data.first=2025-01",
    "data.last=latest",
    "split.test=1",
    "train.boosting.rounds=60",
    "evaluate.linear=false",
]


def make(render: Callable[..., Path], *, with_orchestration: bool = False) -> Path:
    """A project with these readings, in which nothing has run yet."""
    from runtime_lib.pipeline.run import set_params

    root = render(start="blank", project_name="readings", with_orchestration=with_orchestration)
    [package] = (root / "src").iterdir()
    for name, text in (("data", _DATA), ("features", _FEATURES), ("model", _MODEL)):
        (package / f"{name}.py").write_text(text)
    set_params(root / "params.yaml", _PARAMS)
    return root


# What `mlops run` does, its stages in one process: the first version is where the loop begins, no part of it.
_FIRST = """
from readings.stages import stage
from runtime_lib.pipeline import dvc
from runtime_lib.pipeline.stages import Project
from runtime_lib.registry.champion import promote

project = Project.load()
for function in stage.values():
    function(project)
with dvc._repo(project.root) as repo:
    repo.commit(force=True)
assert promote(project.settings).promoted
"""


def first_version(root: Path, *, today: str) -> None:
    """Make version 1 champion."""
    env = {**_environment(), "MLOPS_TODAY": today}
    subprocess.run([sys.executable, "-c", _FIRST], cwd=root, env=env, check=True)


def answer(root: Path, month: str) -> None:
    """Let the champion answer a month's rows, in this process."""
    from runtime_lib.registry.champion import champion

    settings = load(root, environ={})
    held, rows = champion(settings), pd.read_parquet(requests(root, month))
    assert held
    served = Served(settings, held.folder, name=settings.model_name, version=str(held.version))
    ids = rows.pop("id").tolist()
    served.predict({name: rows[name].tolist() for name in ("heat", "load")}, ids)
    served.stop()


def command(root: Path, *words: str, today: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`mlops` there, on a day."""
    env = {**_environment(), "MLOPS_TODAY": today, **variables}
    return subprocess.run([MLOPS, *words], cwd=root, env=env, capture_output=True, text=True, check=False)


def mlops(root: Path, *words: str, today: str, code: int = 0, **variables: str) -> str:
    """What it printed; any other exit code fails."""
    done = command(root, *words, today=today, **variables)
    said = f"mlops {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == code, said
    return done.stdout


def monitor(root: Path, month: str, *, today: str, **variables: str) -> dict[str, Any]:
    """A verdict that calls for a retraining; the labels of `month` come in first."""
    labels = ["--month", month] if month else []
    said = mlops(root, "monitor", *labels, "--json", today=today, code=4, **variables)
    verdict: dict[str, Any] = json.loads(said)
    assert verdict["state"] == "retrain", verdict["performance"]["reason"]
    return verdict


_REQUESTS = """
import sys
from pathlib import Path
from runtime_lib.data.functions import find_features, load_month
from runtime_lib.settings import load

settings = load(Path())
raw = load_month(settings.project.package, sys.argv[1])
find_features(settings).features(raw).to_parquet(sys.argv[2])
"""


def requests(root: Path, month: str) -> Path:
    """A month's features in a file, as a caller sends them."""
    path = root / "var" / f"{month}.parquet"
    words = [sys.executable, "-c", _REQUESTS, month, str(path)]
    subprocess.run(words, cwd=root, env=_environment(), check=True)
    return path


def _environment() -> dict[str, str]:
    """The project's package is found, and the library where the tests find it."""
    return {**os.environ, "PYTHONPATH": with_library("src")}
