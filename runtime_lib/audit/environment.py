"""How far the versions of what training needs are fixed, and in which file it is written."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runtime_lib.audit.index.dependencies.requirement import is_exact
from runtime_lib.audit.index.model import Evidence, Lock, Repo, Requirement
from runtime_lib.audit.queries import at

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["Environment", "environment", "locks"]

Grade = Literal["lock", "pinned", "ranges", "none"]
RANK: dict[Grade, int] = {"lock": 3, "pinned": 2, "ranges": 1, "none": 0}
# What these files declare is not what training runs with.
_ASIDE = re.compile(
    r"(?i)(?:^|/)(?:docs?|documentation|examples?|tests?|testing|benchmarks?|\.github|\.ci|\.devcontainer|website)/"
)
_ASIDE_FILE = re.compile(
    r"(?i)(?:^|[-_./])(?:dev|develop|development|tests?|testing|docs?|lint|ci|style|build|precommit)(?=[-_.])[^/]*$"
)
# So many of those that are declared must be pinned: one is often left open, as the project itself.
_PINNED = 0.9


@dataclass(frozen=True)
class Environment:
    """`grade` of the project's own environment; `loose`: what is open; `path`: the file that decides."""

    grade: Grade
    path: str = ""
    evidence: tuple[Evidence, ...] = ()
    loose: tuple[Requirement, ...] = ()


def environment(repo: Repo, project: Project) -> Environment:
    """The environment at the root, or without one that of the folders that train, or of most."""
    by_folder: dict[str, Environment] = {}
    for one in _all(repo):
        folder = _project_of(one.path)
        if folder not in by_folder or RANK[one.grade] > RANK[by_folder[folder].grade]:
            by_folder[folder] = one
    if not by_folder:
        return Environment("none")
    if "" in by_folder:
        return by_folder[""]
    above = (_nearest(path, by_folder) for path in sorted(project.training))
    near = [by_folder[one] for one in above if one is not None]
    chosen = near or list(by_folder.values())
    most = Counter(one.grade for one in chosen).most_common()
    grade = max((grade for grade, count in most if count == most[0][1]), key=RANK.__getitem__)
    return next(one for one in chosen if one.grade == grade)


def locks(repo: Repo) -> list[Lock]:
    """Locks of what the project runs with."""
    return [one for one in repo.dependencies.locks if not _is_aside(one.path)]


def _all(repo: Repo) -> list[Environment]:
    """An environment for each file that declares or locks one."""
    found = [
        Environment("lock", one.path, (at(one.path, 1, f"{one.kind}: {len(one.names)} versions"),))
        for one in locks(repo)
    ]
    # Of Julia, R before renv, and Nix.
    found += [
        Environment("lock", path, (at(path, 1, name),))
        for name in ("manifest.toml", "packrat.lock", "flake.lock")
        for path in _named(repo, name)
    ]
    declared: dict[str, list[Requirement]] = {}
    for one in repo.dependencies.requirements:
        if not _is_aside(one.path):
            declared.setdefault(one.path, []).append(one)
    for path, all_of_it in declared.items():
        runs = [one for one in all_of_it if not one.group] or all_of_it
        loose = [one for one in runs if not is_exact(one.spec)]
        pinned = len(loose) <= (1 - _PINNED) * len(runs)
        shown = runs[0] if pinned else loose[0]
        evidence = (at(path, shown.line, f"{shown.name}{shown.spec}"),)
        found.append(Environment("pinned" if pinned else "ranges", path, evidence, tuple(loose)))
    found += [Environment("ranges", path, (at(path, 1, "DESCRIPTION"),)) for path in _r_packages(repo)]
    return found


def _r_packages(repo: Repo) -> list[str]:
    return [
        path
        for path in _named(repo, "description")
        if path in repo.texts
        and any(re.match(r"(?:Imports|Depends):", line) for line in repo.texts[path].lines)
    ]


def _named(repo: Repo, name: str) -> list[str]:
    return [path for path in repo.files if path.rpartition("/")[2].lower() == name and not _is_aside(path)]


def _is_aside(path: str) -> bool:
    return bool(_ASIDE.search(path) or _ASIDE_FILE.search(path.rpartition("/")[2]))


def _project_of(path: str) -> str:
    """The folder that a file speaks for: requirements/base.txt for the one above."""
    folder = path.rpartition("/")[0]
    while re.search(
        r"(?i)(?:^|/)(?:requirements?|reqs|envs?|environments?|conda|deps|dependencies|setup|install)$",
        folder,
    ):
        folder = folder.rpartition("/")[0]
    return folder


def _nearest(path: str, folders: dict[str, Environment]) -> str | None:
    folder = path.rpartition("/")[0]
    while folder:
        if folder in folders:
            return folder
        folder = folder.rpartition("/")[0]
    return None
