"""`dvc.yaml` as a graph: stages, and an edge wherever one stage's output is another's dependency.

Light on purpose: an Airflow DAG file imports this in every parse, and needs neither DVC nor pandas for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from runtime_lib.errors import PipelineError

__all__ = ["Graph", "read_graph"]


@dataclass(frozen=True)
class Graph:
    """Stage names in an order that respects the edges, and for each the stages it waits for."""

    stages: tuple[str, ...]
    upstream: Mapping[str, frozenset[str]]


def read_graph(path: Path) -> Graph:
    """Read the stages and edges of a `dvc.yaml`.

    Raises:
        PipelineError: no such file, not YAML, no stages, two stages writing one path, or a cycle.
    """
    stages = _read_stages(path)
    owner: dict[PurePosixPath, str] = {}
    for name, stage in stages.items():
        for out in _paths(stage, "outs", "metrics", "plots"):
            if out in owner:
                raise PipelineError(
                    f"{path}: '{out}' is written by the stages {owner[out]} and {name}; only one may."
                )
            owner[out] = name
    upstream = {
        name: frozenset(_makers(_paths(stage, "deps"), owner) - {name}) for name, stage in stages.items()
    }
    try:
        order = tuple(TopologicalSorter(upstream).static_order())
    except CycleError as error:
        raise PipelineError(
            f"{path}: the stages wait for each other: {' → '.join(error.args[1])}."
        ) from error
    return Graph(order, upstream)


def _read_stages(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PipelineError(f"No pipeline at {path}.") from error
    except yaml.YAMLError as error:
        raise PipelineError(f"{path} is not valid YAML: {error}") from error
    stages = content.get("stages") if isinstance(content, dict) else None
    if not stages:
        raise PipelineError(f"{path} defines no stages.")
    return stages  # type: ignore[no-any-return]


def _paths(stage: Mapping[str, Any], *keys: str) -> list[PurePosixPath]:
    """The paths under the given keys; an entry is `path` or `{path: {options}}`."""
    entries: Iterable[Any] = (entry for key in keys for entry in stage.get(key, []))
    return [PurePosixPath(next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries]


def _makers(deps: Iterable[PurePosixPath], owner: Mapping[PurePosixPath, str]) -> set[str]:
    """The stages whose output is, holds, or lies inside one of `deps`."""
    return {
        name
        for dep in deps
        for out, name in owner.items()
        if dep == out or out in dep.parents or dep in out.parents
    }
