"""What shows that a tool is used, and for what: a new tool is a line of tools.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.queries import at, calls, commands, distribution, entries, files, imports, once, uses

__all__ = ["ROLES", "Tool", "named", "used"]

# What a tool is for. A tool with two purposes has two lines, since other things show each of them.
ROLES = (
    "framework",  # trains or predicts
    "tracker",  # records runs
    "registry",  # registers model versions
    "data_versioning",
    "pipeline",  # defines steps from data to a model
    "config",  # reads parameters from files
    "data_tests",
    "serving",  # answers predictions
    "monitoring_system",  # metrics or errors of a running service
    "monitoring_model",  # predictions or their quality
    "drift",
    "alerts",
)
SIGNS = ("calls", "imports", "files", "keys", "actions", "commands", "packages")


@dataclass(frozen=True)
class Tool:
    """What shows one tool in one role. Any of these is enough; none is by itself proof that it is reached.

    Attributes:
        name: as a fact says it.
        packages: as requirements declare them, normalised; a dependency alone says little.
        imports: packages or modules whose import shows it.
        calls: patterns of resolved calls (`queries.calls`).
        files: patterns of tracked files (`queries.files`).
        keys: keys in documents, as "glob of the file:pattern of the keys" (`queries.entries`).
        actions: regular expressions of what CI jobs use; `commands`: of what they run.
    """

    name: str
    role: str
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def named(role: str) -> Iterator[Tool]:
    """The tools of a role, the most usual first."""
    return (tool for tool in _tools() if tool.role == role)


@lru_cache(maxsize=1)
def _tools() -> tuple[Tool, ...]:
    table = tomllib.loads((Path(__file__).parent / "tools.toml").read_text(encoding="utf-8"))
    return tuple(
        Tool(name, role, **{sign: tuple(words) for sign, words in signs.items()})
        for role, tools in table.items()
        for name, signs in tools.items()
    )


def used(
    repo: Repo,
    role: str,
    *,
    by: Collection[str] = ("calls", "files", "keys", "actions", "commands"),
    within: Collection[str] | None = None,
) -> list[tuple[str, Evidence]]:
    """What shows tools of a role: (name of the tool, evidence), tool by tool in the order of the table.

    Args:
        by: the signs that count, of `SIGNS`.
        within: calls and imports only of these paths.
    """
    return [
        (tool.name, one) for tool in named(role) for sign in by for one in _shown(repo, tool, sign, within)
    ]


def _shown(repo: Repo, tool: Tool, sign: str, within: Collection[str] | None) -> Iterator[Evidence]:
    wanted: tuple[str, ...] = getattr(tool, sign)
    if not wanted:
        return
    own = _own(repo)
    if sign == "calls":
        for module, one in calls(repo, *wanted, within=within):
            if re.split(r"[.(]", one.name, maxsplit=1)[0] not in own:
                yield at(module, one.line, f"{one.name}(…)")
    elif sign == "imports":
        foreign = (one for one in wanted if one.partition(".")[0] not in own)
        yield from (one for _, one in imports(repo, *foreign, within=within))
    elif sign == "files":
        yield from (at(path, 1, path.rpartition("/")[2]) for path in files(repo, *wanted))
    elif sign == "packages":
        found = (one for one in repo.dependencies.requirements if one.name in wanted)
        yield from (at(one.path, one.line, f"{one.name}{one.spec}") for one in found)
    else:
        yield from _written(repo, sign, wanted)


@once
def _own(repo: Repo) -> frozenset[str]:
    """Packages of the repository itself: the source of a tool is no use of it."""
    packages = re.compile(r"(?:src/|lib/|python/)?(\w+)/__init__\.py")
    found = {match[1] for path in repo.files if (match := packages.fullmatch(path))}
    # A folder may be called like a package that is used; its own name is declared for its extras.
    others = repo.dependencies.names - {distribution(repo)}
    return frozenset(found - {name.replace("-", "_") for name in others})


def _written(repo: Repo, sign: str, wanted: tuple[str, ...]) -> Iterator[Evidence]:
    for pattern in wanted:
        if sign == "keys":
            where, _, keys = pattern.partition(":")
            for document, entry in entries(repo, keys, within=where):
                yield at(document, entry.line, f"{'.'.join(map(str, entry.keys))}: {entry.value}")
        elif sign == "actions":
            yield from (at(pipeline, line, name) for pipeline, _, name, line in uses(repo, pattern))
        elif sign == "commands":
            yield from (at(one.path, one.line, one.text) for _, _, one in commands(repo, pattern))
