"""What a repository declares and what it locks, of every dialect in one shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runtime_lib.audit.index.dependencies.closure import is_closed_conda
from runtime_lib.audit.index.dependencies.declared import PYTHON, declared
from runtime_lib.audit.index.dependencies.locks import explicit, read_lock
from runtime_lib.audit.index.dependencies.pythons import pythons
from runtime_lib.audit.index.dependencies.requirement import exact
from runtime_lib.audit.index.dependencies.requirements import as_lock, read_requirements
from runtime_lib.audit.index.dependencies.setup_py import declared_in_setup
from runtime_lib.audit.index.model import Dependencies, Document, Lock, Requirement, Text

__all__ = ["read_dependencies"]


def read_dependencies(
    texts: Mapping[str, Text],
    documents: Mapping[str, Document],
    locks: Mapping[str, str],
    setups: Mapping[str, str],
) -> Dependencies:
    """Put together what all files of a repository say.

    Args:
        locks: texts of locks; `setups`: sources of setup.py; by path.
    """
    files = read_requirements(texts)
    constraints = {path for one in files.values() for path in one.constraints}
    requirements = [
        one for path, file in files.items() if not _constrains(path, constraints) for one in file.requirements
    ]
    for document in documents.values():
        requirements += declared(document)
    for path, source in setups.items():
        requirements += declared_in_setup(path, source)
    manifests = dict.fromkeys(one.path for one in requirements)
    python = [(one.spec, one.path, one.line) for one in requirements if one.name == PYTHON and one.spec]
    python += [pin for text in texts.values() for pin in pythons(text)]
    found: list[Lock | None] = [read_lock(path, text, manifests) for path, text in locks.items()]
    found += [as_lock(file, texts[path], files) for path, file in files.items()]
    found += [explicit(text) for text in texts.values() if text.path.endswith((".txt", ".lock"))]
    found += _exports(requirements)
    return Dependencies(
        tuple(one for one in requirements if one.name != PYTHON),
        tuple(lock for lock in found if lock),
        tuple(manifests),
        tuple(python),
    )


def _constrains(path: str, constraints: set[str]) -> bool:
    """Whether a file only says which versions, of what others declare."""
    return path in constraints or path.rpartition("/")[2].lower().startswith("constraints")


def _exports(requirements: list[Requirement]) -> Iterator[Lock]:
    """Environments of conda that were exported whole."""
    by_path: dict[str, dict[str, str]] = {}
    for one in requirements:
        if one.path.endswith((".yml", ".yaml")):
            by_path.setdefault(one.path, {})[one.name] = exact(one.spec)
    for path, names in by_path.items():
        pinned = {name: version for name, version in names.items() if version}
        if is_closed_conda(pinned) and len(pinned) >= 0.9 * len(names):
            yield Lock("conda-export", path, pinned)
