"""Everything that the library stores, written by whichever release `PYTHONPATH` names: `stored.py FOLDER`.

Uses what every release has, some of it under an older name; what it gave is left in `expected.json` for the
reader.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import runtime_lib
from runtime_lib.data.columns import check_rows
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.settings import Settings, load
from runtime_lib.tracking.record import Record
from runtime_lib.training.model import Model, digest
from runtime_lib.training.network import Architecture


def _from(module: str, before_0_5: str) -> Any:
    """The module, under the name that the release has for it."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        return import_module(before_0_5)


PredictionLog = _from("runtime_lib.serving.log", "runtime_lib.monitoring.log").PredictionLog
evaluate = _from("runtime_lib.training.evaluate", "runtime_lib.training.stages").evaluate
train = _from("runtime_lib.training.train", "runtime_lib.training.stages").train

TOML = '[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "torch"\n'
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def main(root: Path) -> None:
    (root / "mlops.toml").write_text(TOML)
    settings = load(root, environ={})
    for seed, part in enumerate(("train", "validation", "test")):
        path = root / "data" / "split" / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_table(seed).to_parquet(path)
    train(settings, architecture, {"seed": 1, "epochs": 6, "learning_rate": 0.02, "batch_size": 64})
    evaluate(settings, {"logistic": False})
    register(settings)
    assert promote(settings).promoted
    expected = serve(settings)
    verdict = monitor(settings).to_dict()
    record = Record.start(settings, {"seed": 2})  # killed below: it stays in the spool
    record.metric("loss", 0.5, step=3)
    expected |= {
        "library": str(Path(runtime_lib.__file__).parent),
        "digest": digest(settings.candidate),
        "live": verdict["performance"]["live"],
        "drift": {column["name"]: column["effect"] for column in verdict["columns"]},
        "waiting": record.state.id,
    }
    (root / "expected.json").write_text(json.dumps(expected))
    os._exit(0)


def make_table(seed: int, rows: int = 600) -> pd.DataFrame:
    """Rows whose label follows `x` and `kind`."""
    random = np.random.default_rng(seed)
    x, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    signal = 1.5 * x + np.where(kind == "a", 1.0, -1.0)
    return pd.DataFrame(
        {
            "x": np.where(random.random(rows) < 0.05, np.nan, x),
            "kind": kind,
            "label": (random.random(rows) < 1 / (1 + np.exp(-signal))).astype("int8"),
            "id": [f"{seed}-{row}" for row in range(rows)],
            "time": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


def architecture(width: int, options: Any) -> Architecture:
    return Architecture("mlp", {"inputs": width, "hidden": [8]})


def serve(settings: Settings) -> dict[str, Any]:
    """Log the champion's answers to the test table, and most of the labels."""
    held = champion(settings)
    assert held is not None
    model = Model.load(held.folder, framework="torch")
    table = make_table(2)
    rows = check_rows(table[["x", "kind"]], model.columns)
    answers = model.predict(rows)
    # Until 0.6 every model had one output, which the log was given alone.
    columns = model.task.columns(answers) if hasattr(model, "task") else answers
    log = PredictionLog(settings.var / "predictions")
    log.append(list(table["id"]), rows, columns, model=held.name, version=held.version, time=TIME)
    log.close()
    labels = table[["id", "label"]].iloc[:550]
    labels.to_csv(settings.root / "labels.csv", index=False)
    add_labels(settings, settings.root / "labels.csv")
    return {
        "answers": answers.tolist(),
        "version": held.version,
        "held_out": dict(held.held_out or {}),
        "labels": dict(zip(labels["id"], labels["label"].tolist(), strict=True)),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
