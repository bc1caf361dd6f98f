"""A small project with a trained, evaluated candidate, made by the library's own stages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.registry.champion import promote
from runtime_lib.registry.register import register
from runtime_lib.settings import Settings, load
from runtime_lib.tracking.store import connect
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train

TOML = '[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "torch"\n'
LENIENT = "[registry]\nmax_loss_to_incumbent = 1.0\n"


def make_table(rows: int, seed: int, *, flip: bool = False) -> pd.DataFrame:
    """Rows whose label follows `x` and `kind`; with `flip` it follows their opposite."""
    random = np.random.default_rng(seed)
    x, kind = random.normal(size=rows), random.choice(["a", "b"], rows)
    signal = 1.5 * x + np.where(kind == "a", 1.0, -1.0)
    label = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype("int8")
    return pd.DataFrame(
        {
            "x": np.where(random.random(rows) < 0.05, np.nan, x),
            "n": np.arange(rows) % 7,
            "kind": kind,
            "label": 1 - label if flip else label,
            "id": [f"{seed}-{row}" for row in range(rows)],
            "time": pd.Timestamp("2026-01-01", tz="UTC"),
        }
    )


def write_split(root: Path, *, flip: bool = False) -> None:
    (root / "data" / "split").mkdir(parents=True, exist_ok=True)
    for seed, part in enumerate(("train", "validation", "test")):
        table = make_table(600, seed, flip=flip and part != "test")
        table.to_parquet(root / "data" / "split" / f"{part}.parquet")


def train_candidate(settings: Settings, *, seed: int = 1, flip: bool = False) -> None:
    """Train and evaluate; with `flip` on wrong labels, for a model that is worse than guessing."""
    write_split(settings.root, flip=flip)
    _train(settings, seed)
    if flip:
        write_split(settings.root)
    evaluate(settings, {"logistic": False, "examples": True})


def retrain(settings: Settings) -> None:
    """Train and evaluate on the tables as they are."""
    _train(settings, 1)
    evaluate(settings, {"logistic": False, "examples": True})


def _train(settings: Settings, seed: int) -> None:
    architecture = lambda width, options: Architecture("mlp", {"inputs": width, "hidden": [8]})  # noqa: E731
    train(settings, architecture, {"seed": seed, "epochs": 6, "learning_rate": 0.02, "batch_size": 64})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it is before `register`, with a fresh store."""
    root = tmp_path_factory.mktemp("trained")
    (root / "mlops.toml").write_text(TOML)
    settings = load(root, environ={})
    train_candidate(settings)
    connect(settings)
    return root


@pytest.fixture
def new_project(trained: Path, tmp_path: Path) -> Callable[[str], Settings]:
    """Copy the trained project to a new folder."""

    def copy(name: str) -> Settings:
        root = tmp_path / name
        shutil.copytree(trained, root)
        return load(root, environ={})

    return copy


@pytest.fixture
def project(new_project: Callable[[str], Settings]) -> Settings:
    return new_project("my project")  # a space in the path, as on many a Mac


@pytest.fixture(scope="module")
def promoted(trained, tmp_path_factory):
    """A project whose gate has promoted version 1, then 2."""
    root = tmp_path_factory.mktemp("promoted")
    (root / "mlops.toml").write_text(TOML + LENIENT)
    settings = load(root, environ={})
    for seed in (1, 2):
        train_candidate(settings, seed=seed)
        register(settings)
        assert promote(settings).promoted
    client = connect(settings)
    report = settings.report("promotion").read_bytes()
    return settings, dict(client.get_registered_model("demo").tags), report


@pytest.fixture
def two(promoted):
    """That project, with alias, trail and report as the gate left them."""
    settings, trail, report = promoted
    settings.report("promotion").write_bytes(report)
    client = connect(settings)
    for tag in set(client.get_registered_model("demo").tags) - set(trail):
        client.delete_registered_model_tag("demo", tag)
    client.set_registered_model_alias("demo", "champion", "2")
    return settings
