"""What the benchmark of serving serves: models, projects around them; and each peer's own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.traffic import Policy
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.task import Task
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.network import FittedNetwork
from tests.support.servers import make_project

__all__ = ["body_of", "environment", "make_model", "project"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlops-bench"
UVICORN = ("uvicorn>=0.35,<1", "uvloop>=0.21,<1", "httptools>=0.6.3,<1", "orjson>=3.11,<4", "numpy>=2,<3")
# MLflow and Ray Serve are in this environment already: the library itself works with them.
ENVIRONMENTS = {
    "raw": UVICORN,
    "fastapi": ("fastapi>=0.130,<1", *UVICORN),
    "litserve": ("litserve>=0.2.17,<0.3", "torch==2.13.*", "numpy>=2,<3"),
    # Neither can be imported with pandas 3.
    "evidently": ("evidently==0.7.23", "pandas>=2.2,<3", "pyarrow>=21,<26"),
    "nannyml": ("nannyml==0.13.1", "pandas<3", "pyarrow>=15,<26", "statsmodels>=0.14,<0.15"),
}


def make_model(folder: Path, width: int, hidden: tuple[int, ...], task: Task, *, seed: int) -> Path:
    """A network of random weights in a model folder."""
    columns = tuple(Column(f"x{number}", "number") for number in range(width))
    values = np.random.default_rng(0).normal(size=(len(columns), 100))
    rows = check_rows({c.name: v for c, v in zip(columns, values, strict=True)}, columns)
    encoder = Encoder.fit(rows, columns)
    sizes = {"inputs": encoder.width, "outputs": task.width, "hidden": list(hidden)}
    architecture = Architecture("mlp", sizes)
    network = build(architecture, framework="torch", device="cpu", seed=seed)
    fitted = FittedNetwork(encoder, architecture, network)
    decision = {"threshold": 0.5} if task is BINARY else {}
    save(folder, task=task, columns=columns, fitted=fitted, decision=decision, profile={"format": 2})
    return folder


def project(root: Path, models: dict[str, str], policy: Policy, **serving: object) -> Path:
    """A project that has served before: its journal says what, so no registry is asked."""
    options = {"engine": "local", "framework": "auto", "workers": 1, "front": "none"}
    settings = make_project(root, **{**options, **serving})
    held = {version: Held(folder, "") for version, folder in models.items()}
    state = State("bench", policy, held, ("1",))
    Journal(settings.releases).append(Change("started", "hand", "bench", "for the benchmark", {}, state))
    return root


def environment(name: str) -> str:
    """The Python of a peer's own environment, made on the first run."""
    packages = ENVIRONMENTS[name]
    key = sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:8]
    folder = CACHE / f"{name}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        env = {**os.environ}
        if links := env.get("PIP_FIND_LINKS"):
            env.setdefault("UV_FIND_LINKS", links)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run(
            [*uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True, env=env
        )
        subprocess.run([*uv, "pip", "install", "-q", "--python", python, *packages], check=True, env=env)
        (folder / "made").touch()
    return str(python)


def body_of(folder: Path, rows: np.ndarray) -> Path:
    path = folder / f"body{rows.shape[1]}.json"
    path.write_text(json.dumps({"instances": [[round(float(each), 4) for each in row] for row in rows]}))
    return path
