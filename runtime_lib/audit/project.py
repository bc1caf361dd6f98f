"""What kind of project a repository is: it decides which checks apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runtime_lib.audit.index.model import Evidence, Repo

__all__ = ["Kind", "Project", "Stage", "Target", "assess"]

Kind = Literal["project", "library", "template", "course", "docs"]
Stage = Literal["exploration", "development", "production"]
Target = Literal["api", "batch", "streaming", "embedded", "library", "managed-endpoint", "cli", "none"]


@dataclass(frozen=True)
class Project:
    """What a repository is.

    Attributes:
        frameworks: names of what trains or predicts here, the most used first.
        notebook_share: non-blank lines of code cells / (those + non-blank lines of .py), 0 to 1.
        targets: how predictions get out; ("none",) if in no way.
        ml: something here trains a model or predicts with one.
        training: paths of modules and notebooks that train a model, started from a script, command,
            notebook or pipeline of this repository; those they import are not in it (`queries.reached`).
        serving: paths of modules that answer predictions; `tests`: of test modules.
        serves: predictions of a model are answered or computed outside of training.
        evidence: by what it shows: "kind", "frameworks", "targets" …
    """

    kind: Kind = "project"
    stage: Stage = "development"
    frameworks: tuple[str, ...] = ()
    notebook_share: float = 0.0
    targets: tuple[Target, ...] = ("none",)
    ml: bool = False
    training: frozenset[str] = frozenset()
    serving: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    serves: bool = False
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)


def assess(repo: Repo) -> Project:
    """Judge by what is in the index alone."""
    return Project()
