"""Questions to the index that several checks ask."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from runtime_lib.audit.index.model import (
    Call,
    Command,
    Document,
    Entry,
    Evidence,
    Job,
    Module,
    Pipeline,
    Repo,
    Text,
)
from runtime_lib.audit.reaching import homes, once, reached

__all__ = [
    "at",
    "calls",
    "commands",
    "distribution",
    "entries",
    "files",
    "homes",
    "imports",
    "lines",
    "once",
    "reached",
    "uses",
]

Paths = Collection[str] | None


def at(where: Module | Document | Text | Pipeline | str, line: int, what: str) -> Evidence:
    """Evidence in a file, given by its path or by what was read of it; `what` is cut to 120 characters."""
    path = where if isinstance(where, str) else where.path
    what = " ".join(what.split())
    return Evidence(path, max(line, 1), what if len(what) <= 120 else what[:119] + "…")


def calls(
    repo: Repo, *patterns: str, within: Paths = None, live: bool = True
) -> Iterator[tuple[Module, Call]]:
    """Calls whose resolved names match, in modules and notebooks, file by file.

    Args:
        patterns: whole names; `*` stands for any text, also with dots and brackets: "mlflow.log_*",
            "sklearn.*().fit", "*.fit". `?` is itself: "?.fit".
        within: only in these paths; `live`: without what is under `if False:`.
    """
    for module, names in _matched(_called(repo), patterns):
        if within is None or module.path in within:
            yield from ((module, one) for one in module.calls if one.name in names and (one.live or not live))


def imports(repo: Repo, *packages: str, within: Paths = None) -> Iterator[tuple[Module, Evidence]]:
    """Modules that import a package or what is in it ("torch", "sklearn.ensemble"), at the first line."""
    below = tuple(f"{one}." for one in packages)
    for module in _importing(repo, tuple(one.partition(".")[0] for one in packages)):
        if within is not None and module.path not in within:
            continue
        found = (one for one in module.imports if one.name in packages or one.name.startswith(below))
        if (one := next(found, None)) is not None:
            yield module, at(module, one.line, f"import {one.name}")


def commands(
    repo: Repo, pattern: str = "", *, kinds: Collection[str] | None = None
) -> Iterator[tuple[Pipeline, Job, Command]]:
    """What active CI runs in jobs that are not disabled.

    Args:
        pattern: of `re.search` in the command's text.
        kinds: only of jobs that one of these triggers starts ("push", "pull_request", "schedule" …).
    """
    wanted = re.compile(pattern)
    for pipeline, job in _jobs(repo, kinds):
        yield from ((pipeline, job, one) for one in job.commands if wanted.search(one.text))


def uses(
    repo: Repo, pattern: str, *, kinds: Collection[str] | None = None
) -> Iterator[tuple[Pipeline, Job, str, int]]:
    """Actions, templates and images of active CI whose names match (`re.search`), with their lines."""
    wanted = re.compile(pattern)
    for pipeline, job in _jobs(repo, kinds):
        yield from ((pipeline, job, name, line) for name, line, _ in job.uses if wanted.search(name))


def entries(repo: Repo, *patterns: str, within: str = "*") -> Iterator[tuple[Document, Entry]]:
    """Values in documents whose keys, joined with dots, match: "stages.*.cmd", "*.alert"; as in `calls`.

    `within`: glob of the document's path.
    """
    wanted, where = _regex(patterns), _glob(within)
    for document, entry in _ending(repo, {one.rpartition(".")[2] for one in patterns}):
        if where.match(document.path) and wanted.fullmatch(".".join(map(str, entry.keys))):
            yield document, entry


def lines(repo: Repo, pattern: str, *, within: str = "*") -> Iterator[tuple[Text, int, str]]:
    """Lines of texts (Dockerfiles, scripts, Markdown …) in which `re.search` finds the pattern, from 1."""
    wanted, where = re.compile(pattern), _glob(within)
    for path, text in repo.texts.items():
        if where.match(path):
            yield from ((text, at, line) for at, line in enumerate(text.lines, 1) if wanted.search(line))


def files(repo: Repo, *globs: str) -> list[str]:
    """Tracked paths that match: "dvc.yaml" and "*.dvc" in any folder, "/dvc.yaml" at the root only.

    `*` stands for any text, also with `/`; case does not matter.
    """
    known = _files(repo)
    if globs not in known:
        wanted = [_glob(one) for one in globs]
        known[globs] = [path for path in repo.files if any(one.match(path) for one in wanted)]
    return list(known[globs])


@once
def _files(repo: Repo) -> dict[tuple[str, ...], list[str]]:
    return {}


def distribution(repo: Repo) -> str:
    """The name that the repository is installed by, normalised; "" if it is not written as a constant."""
    keys = ("project.name", "tool.poetry.name", "metadata.name")
    names = [one.value for where, one in entries(repo, *keys) if "/" not in where.path]
    setup = repo.modules.get("setup.py")
    names += (
        [call.keywords.get("name") for call in setup.calls if call.name.endswith("setup")] if setup else []
    )
    found = next((one for one in names if isinstance(one, str)), "")
    return re.sub(r"[-_.]+", "-", found).lower()


@lru_cache(maxsize=1024)
def _regex(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(one).replace(r"\*", ".*") for one in patterns), re.DOTALL)


@lru_cache(maxsize=1024)
def _glob(glob: str) -> re.Pattern[str]:
    body = re.escape(glob.removeprefix("/")).replace(r"\*", ".*")
    return re.compile(rf"(?:{'' if glob.startswith('/') else '.*/'}|){body}\Z", re.IGNORECASE | re.DOTALL)


def _jobs(repo: Repo, kinds: Collection[str] | None) -> Iterator[tuple[Pipeline, Job]]:
    for pipeline in repo.ci:
        for job in pipeline.jobs if pipeline.active else ():
            if not job.disabled and (kinds is None or any(one.kind in kinds for one in job.triggers)):
                yield pipeline, job


class _Names:
    """Names of calls and who calls them, by their first and last part: a query looks at few of them."""

    def __init__(self) -> None:
        self.who: dict[str, list[Module]] = {}
        self.heads: dict[str, list[str]] = defaultdict(list)
        self.tails: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, module: Module) -> None:
        if name not in self.who:
            self.who[name] = []
            self.heads[_head(name)].append(name)
            self.tails[name.rpartition(".")[2]].append(name)
        self.who[name].append(module)

    def like(self, pattern: str) -> Iterable[str]:
        if "*" not in pattern:
            return (pattern,) if pattern in self.who else ()
        head, tail = _head(pattern), pattern.rpartition(".")[2]
        if "*" not in head:
            return self.heads.get(head, ())
        return self.who if "*" in tail else self.tails.get(tail, ())


def _head(name: str) -> str:
    return name.partition(".")[0].partition("(")[0]


@once
def _called(repo: Repo) -> _Names:
    names = _Names()
    for module in repo.code():
        for name in dict.fromkeys(one.name for one in module.calls):
            names.add(name, module)
    return names


def _matched(names: _Names, patterns: tuple[str, ...]) -> Iterator[tuple[Module, set[str]]]:
    wanted: set[str] = set()
    for pattern in patterns:
        matches = _regex((pattern,)).fullmatch
        wanted.update(name for name in names.like(pattern) if name not in wanted and matches(name))
    found = {module.path: module for name in wanted for module in names.who[name]}
    return iter((found[path], wanted) for path in sorted(found))


def _ending(repo: Repo, tails: set[str]) -> Iterator[tuple[Document, Entry]]:
    """Values by the last part of their keys, in the order of files and lines."""
    known = _ends(repo)
    plain = {tail for tail in tails if "*" not in tail}
    if tails == plain:
        names = plain & known.keys()
    else:
        ends = _regex(tuple(tails))
        names = {name for name in known if ends.fullmatch(name)}
    found = [one for name in names for one in known[name]]
    documents = list(repo.documents.values())
    return ((documents[at], documents[at].entries[place]) for at, place in sorted(found))


@once
def _ends(repo: Repo) -> dict[str, list[tuple[int, int]]]:
    """The last part of keys → where they are: which document, which entry. A key may have dots itself."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for at, document in enumerate(repo.documents.values()):
        for place, entry in enumerate(document.entries):
            found[str(entry.keys[-1]).rpartition(".")[2] if entry.keys else ""].append((at, place))
    return found


@once
def _importers(repo: Repo) -> dict[str, list[Module]]:
    found: dict[str, list[Module]] = defaultdict(list)
    for module in repo.code():
        for package in module.packages:
            found[package].append(module)
    return found


def _importing(repo: Repo, packages: tuple[str, ...]) -> list[Module]:
    found = {one.path: one for package in packages for one in _importers(repo).get(package, ())}
    return [found[path] for path in sorted(found)]
