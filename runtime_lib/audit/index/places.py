"""Folders whose code is not the project's own: copies of others' code, builds, environments, runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["by_content", "not_own"]

# By name, wherever they stand. What is tracked in them is listed, and not read.
FOREIGN = {
    "vendored": {
        "third_party",
        "third-party",
        "thirdparty",
        "3rdparty",
        "3rd_party",
        "3rd-party",
        "vendor",
        "vendored",
        "_vendor",
        "_vendored",
        "node_modules",
        "bower_components",
        "jspm_packages",
        "pods",
    },
    "an environment": {
        "site-packages",
        "dist-packages",
        ".venv",
        "venv",
        ".virtualenv",
        "virtualenv",
        ".tox",
        ".nox",
        ".direnv",
        "__pypackages__",
        ".pixi",
        "renv-cache",
    },
    "made by a tool": {
        "__pycache__",
        ".eggs",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".cache",
        ".terraform",
        ".next",
        "htmlcov",
        "_build",
        ".git",
        ".hg",
        ".svn",
    },
    "a store of runs": {"mlruns", "mlartifacts", "lightning_logs", "catboost_info", "ray_results"},
}
KINDS = {name: kind for kind, names in FOREIGN.items() for name in names}
ENDINGS = (".egg-info", ".dist-info", ".egg")
# Two folders together, as `parent/child`.
PAIRS = {
    "build/lib": "a build",
    "build/bdist": "a build",
    ".dvc/cache": "made by a tool",
    ".dvc/tmp": "made by a tool",
    "packrat/lib": "an environment",
    "renv/library": "an environment",
}
RUN = re.compile(r"wandb/(?:offline-)?run-\d")


def not_own(folder: str) -> tuple[str, str] | None:
    """The outermost folder on this path that is not the project's own, and what it is."""
    return _not_own(folder) if folder else None


@lru_cache(maxsize=50_000)
def _not_own(folder: str) -> tuple[str, str] | None:
    parent, _, name = folder.rpartition("/")
    if found := not_own(parent):
        return found
    kind = KINDS.get(name.lower())
    if kind is None and name.endswith(ENDINGS):
        kind = "a build"
    if kind is None and parent:
        pair = f"{parent.rpartition('/')[2]}/{name}"
        kind = PAIRS.get(pair.lower()) or ("a store of runs" if RUN.match(pair) else None)
    return (folder, kind) if kind else None


def by_content(names: Iterable[str]) -> str:
    """What a folder is that git does not speak for, by what is in it; "" if there is nothing special."""
    here = set(names)
    if "pyvenv.cfg" in here or "conda-meta" in here:
        return "an environment"
    return "a repository of its own" if ".git" in here else ""
