"""A small project of each kind of task: its table, its model, its settings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from runtime_lib.settings import load
from runtime_lib.training.network import Architecture

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
