"""A repository, read once: `index(root)`.

files, git, places      what belongs to it
text, documents         what is not Python
modules, notebooks      what is
ci                      what runs by itself
dependencies            what it declares and locks
"""

from __future__ import annotations

import gc
from collections.abc import Collection
from pathlib import Path

from runtime_lib.audit.index.ci import read_ci
from runtime_lib.audit.index.contents import Contents
from runtime_lib.audit.index.dependencies import read_dependencies
from runtime_lib.audit.index.dependencies.entry_points import read_entry_points
from runtime_lib.audit.index.files import find
from runtime_lib.audit.index.model import Module, Notebook, Repo
from runtime_lib.audit.index.modules import read_module
from runtime_lib.audit.index.names import Names
from runtime_lib.audit.index.notebooks import read_notebook
from runtime_lib.errors import DataError

__all__ = ["index"]

# Files of these names beside a module seldom mean themselves where they are imported.
FOREIGN = frozenset(
    [
        "airflow",
        "catboost",
        "dask",
        "dvc",
        "fastai",
        "fastapi",
        "flask",
        "jax",
        "keras",
        "lightgbm",
        "lightning",
        "mlflow",
        "mxnet",
        "numpy",
        "pandas",
        "prefect",
        "pytest",
        "pytorch_lightning",
        "ray",
        "scipy",
        "sklearn",
        "tensorflow",
        "torch",
        "torchvision",
        "transformers",
        "wandb",
        "xgboost",
    ]
)


def index(root: Path) -> Repo:
    """Read a repository. Nothing of it is run or imported; no link is followed, nothing outside is read.

    Raises:
        DataError: `root` is no folder, or cannot be read.
    """
    root = Path(root).resolve()
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise DataError(f"{root} cannot be audited: {error.strerror}.") from error
    enabled = gc.isenabled()
    gc.disable()  # millions of new objects, and none of them garbage
    try:
        return _index(root)
    finally:
        if enabled:
            gc.enable()


def _index(root: Path) -> Repo:
    files = find(root)
    contents = Contents(root, files)
    contents.read()
    sources = {path: text for path in _setups(contents) if (text := contents.text(path)) is not None}
    dependencies = read_dependencies(contents.texts, contents.documents, contents.locks, sources)
    packages = {one.name.replace("-", "_") for one in dependencies.requirements}
    modules, notebooks = _code(contents, packages)
    entry_points = read_entry_points(contents.documents, sources)
    return Repo(
        name=root.name,
        files=files.sizes,
        git=files.git is not None,
        shallow=files.git is not None and files.git.shallow,
        commit=files.git.commit if files.git else "",
        submodules=files.submodules,
        texts=contents.texts,
        documents=contents.documents,
        modules=modules,
        notebooks=notebooks,
        ci=read_ci(contents.texts, contents.documents, modules, files.sizes),
        dependencies=dependencies,
        entry_points=entry_points,
        left_out=tuple(dict.fromkeys(files.left_out)),
    )


def _setups(contents: Contents) -> list[str]:
    return [path for path in contents.paths["python"] if path.rpartition("/")[2] == "setup.py"]


def _code(contents: Contents, packages: Collection[str]) -> tuple[dict[str, Module], dict[str, Notebook]]:
    names = Names(contents.paths["python"], FOREIGN | set(packages))
    modules = {
        path: read_module(path, text, names.of(path), names.known(path))
        for path in contents.paths["python"]
        if (text := contents.text(path)) is not None
    }
    notebooks = {
        path: read_notebook(path, raw)
        for path in contents.paths["notebook"]
        if (raw := contents.bytes(path)) is not None
    }
    return modules, notebooks
