"""Which modules of a repository import which, and what is found of a repository once."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import PurePosixPath
from typing import TypeVar
from weakref import WeakKeyDictionary

from runtime_lib.audit.index.model import Repo
from runtime_lib.audit.index.modules import fill

__all__ = ["homes", "once", "reached"]

T = TypeVar("T")
# Packages that modules of a project are often called like; what it declares is added.
_POPULAR = frozenset({
    "torch", "tensorflow", "keras", "sklearn", "xgboost", "lightgbm", "catboost", "transformers", "mlflow",
    "wandb", "numpy", "pandas", "scipy", "spacy", "jax", "datasets", "evaluate", "flask", "fastapi",
    "airflow", "prefect", "dagster", "docker", "redis", "celery", "requests", "tests", "test",
})  # fmt: skip


def once(ask: Callable[[Repo], T]) -> Callable[[Repo], T]:
    """Keep what a function of the repository returns for as long as the repository is kept."""
    kept: WeakKeyDictionary[Repo, T] = WeakKeyDictionary()

    @wraps(ask)
    def asked(repo: Repo) -> T:
        if repo not in kept:
            kept[repo] = ask(repo)
        return kept[repo]

    return asked


def homes(repo: Repo, name: str, by: str) -> list[str]:
    """Paths of the modules here that a dotted name in the module `by` belongs to; [] if it is foreign."""
    return _targets(name.replace("()", ""), by, _suffixes(repo), _packages(repo))


def reached(repo: Repo, paths: Iterable[str]) -> frozenset[str]:
    """The paths and the modules of this repository that they import, directly or by way of others."""
    done: set[str] = set()
    todo = [path for path in paths if path in repo.modules or path in repo.notebooks]
    edges = _edges(repo)
    while todo:
        path = todo.pop()
        if path not in done:
            done.add(path)
            todo += edges.get(path, ())
    return frozenset(done)


@once
def _edges(repo: Repo) -> dict[str, tuple[str, ...]]:
    """Path → paths of the modules that it imports."""
    named, packages = _suffixes(repo), _packages(repo)
    return {
        module.path: tuple(
            {path for one in module.imports for path in _targets(one.name, module.path, named, packages)}
        )
        for module in repo.code()
    }


@once
def _packages(repo: Repo) -> frozenset[str]:
    """Names that an import may mean a package by, though a module here is called the same."""
    declared = {name.replace("-", "_") for name in repo.dependencies.names}
    return frozenset(declared | _POPULAR | set(sys.stdlib_module_names))


@once
def _suffixes(repo: Repo) -> dict[str, list[str]]:
    """Every name that a module may be imported by, which depends on where Python is started.

    Its own name has "=" before it.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for path, module in repo.modules.items():
        named[f"={module.name}"].append(path)
        # A template's folder is imported by the name that its hole gets in code.
        parts = PurePosixPath(fill(path) if "{" in path else path).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        for start in range(len(parts)):
            named[".".join(parts[start:])].append(path)
    return named


def _targets(name: str, by: str, named: dict[str, list[str]], packages: frozenset[str]) -> list[str]:
    """The modules of an import: of several with this name those nearest to who imports."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        known = named.get(".".join(parts[:end]), [])
        if end == 1:
            # `import torch` means the package, though there is a file models/torch.py elsewhere.
            known = [path for path in known if parts[0] not in packages or _beside(path, by)]
        if known:
            near = max(_common(path, by) for path in known)
            known = [path for path in known if _common(path, by) == near]
            # Names of imports are those of modules, so of several equally near these go first.
            whole = [path for path in known if path in named.get(f"={'.'.join(parts[:end])}", ())]
            return [path for path in whole or known if path != by]
    return []


def _beside(path: str, by: str) -> bool:
    """Whether a folder of `by`, the root or `src` at the root holds the module."""
    folder = PurePosixPath(path.removesuffix("/__init__.py")).parent
    return str(folder) in (".", "src") or folder in PurePosixPath(by).parents


def _common(path: str, by: str) -> int:
    count = 0
    for one, other in zip(path.split("/")[:-1], by.split("/")[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count
