"""A real registry in an sqlite file, with versions that no training made."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.data.columns import Column
from runtime_lib.settings import Settings, load
from runtime_lib.task.regression import Regression
from tests.support.projects import made_once
from tests.support.servers import COLUMNS, make_model, make_project

# Networks that fail every other time, are slow, or are sure that all is 1; the module is the project's own.
_NETS = """
import time
from itertools import count
import numpy as np
from runtime_lib.training.networks import mlp

torch_network = mlp.torch_network

def numpy_network(*, does, **options):
    network, calls = mlp.numpy_network(**options), count()

    class Bad:
        shapes = network.shapes

        def __call__(self, weights, x):
            answer = network(weights, x)
            if does == "fail" and len(x) != 16 and next(calls) % 2:  # not as it is tried with 16 rows
                raise RuntimeError("out of luck")
            if does == "sleep":
                time.sleep(0.05)
            return np.full_like(answer, 9.0) if does == "lie" else answer

    return Bad()
"""


def register(settings: Settings, make: Callable[[Path], Path]) -> str:
    """Put a model into the registry of a project, and return its version."""
    from runtime_lib.registry import flavor
    from runtime_lib.registry.versions import DIGEST_TAG
    from runtime_lib.tracking.store import connect, experiment_id
    from runtime_lib.training.model import digest

    client = connect(settings)
    experiment = experiment_id(settings, client)
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="flights", source_run_id=run)
    scratch = settings.root / "scratch" / model.model_id
    folder = make(scratch / flavor.FILES.name)
    flavor.save(scratch / "packed", folder, model_id=model.model_id, run_id=run)
    client.log_model_artifacts(model.model_id, str(scratch / "packed"))
    client.finalize_logged_model(model.model_id, "READY")
    if not client.search_registered_models("name = 'flights'"):
        client.create_registered_model("flights")
    source, tags = f"models:/{model.model_id}", {DIGEST_TAG: digest(folder)}
    version = client.create_model_version("flights", source, run_id=run, model_id=model.model_id, tags=tags)
    return str(version.version)


def move_alias(settings: Settings, version: str) -> None:
    """Make a version champion by MLflow's own client, as its pages do."""
    from runtime_lib.tracking.store import connect

    connect(settings).set_registered_model_alias("flights", "champion", version)


def alias(settings: Settings) -> str:
    """The champion by the database itself."""
    return str(_ask(settings, "select version from registered_model_aliases where alias = 'champion'")[0][0])


def release_tags(settings: Settings) -> list[dict[str, Any]]:
    """The changes of traffic that the database holds, oldest first."""
    query = "select value from registered_model_tags where key like 'mlops.release.%' order by key"
    return [json.loads(value) for [value] in _ask(settings, query)]


def trail(settings: Settings) -> list[tuple[str, str, str]]:
    """Action, version and who decided, of each entry."""
    query = "select value from registered_model_tags where key like 'mlops.trail.%' order by key"
    found = [json.loads(value) for [value] in _ask(settings, query)]
    return [(each["action"], each["version"], each["by"]) for each in found]


def _ask(settings: Settings, query: str) -> Sequence[Any]:
    path = settings.tracking.uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30)) as database:
        return database.execute(query).fetchall()


# What the stored registry holds, and by which numbers.
GOOD, OTHER, NARROW, NUMBERS, FAILING, SLOW, LYING = "1", "2", "3", "4", "5", "6", "7"


def stored_registry(factory: pytest.TempPathFactory) -> Path:
    """A folder with `mlflow.db`, which may be copied, and the files that it names; version 1 is champion."""

    def make(folder: Path) -> None:
        settings = make_project(folder / "project")
        settings = registered_at(settings, folder / "mlflow.db", folder / "files")
        narrow: Sequence[Column] = (COLUMNS[0], COLUMNS[2])
        makers: list[Callable[[Path], Path]] = [
            make_model,
            partial(make_model, seed=4),
            partial(make_model, columns=narrow),
            partial(make_model, task=Regression(0.0, 1.0)),
            *(partial(make_model, module="flights.nets", does=does) for does in ("fail", "sleep", "lie")),
        ]
        for each in makers:
            register(settings, each)
        move_alias(settings, GOOD)

    return made_once(factory, "registry", make)


def registered_at(settings: Settings, database: Path, files: Path) -> Settings:
    """A project's settings with another registry, written to its file."""
    with (settings.root / "mlops.toml").open("a") as file:
        file.write(f'[tracking]\nuri = "sqlite:///{database}"\nartifacts = "{files.as_uri()}"\n')
    return load(settings.root, environ={})


def project_with_registry(root: Path, stored: Path, *, canary: str = "", **serving: Any) -> Settings:
    """A project whose registry is a copy of the stored one, unless `root` has one beside it already."""
    settings = make_project(
        root, **{"framework": "auto", "engine": "local", "workers": 1, "follow": "champion", **serving}
    )
    (package := root / "src" / "flights").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(_NETS)
    if canary:
        with (root / "mlops.toml").open("a") as file:
            file.write(f"[serving.canary]\n{canary}\n")
    if not (database := root.parent / "mlflow.db").exists():
        shutil.copy(stored / "mlflow.db", database)
    return registered_at(settings, database, stored / "files")
