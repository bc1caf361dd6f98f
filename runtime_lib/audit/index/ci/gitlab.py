"""GitLab CI: local includes, extends, `!reference`, rules, only and except, hidden jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.audit.index.ci.gitlab_rules import triggers_of
from runtime_lib.audit.index.ci.sources import Place, Sources, block, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger

__all__ = ["included", "is_gitlab", "read"]

_NO_JOBS = frozenset(
    [
        "stages",
        "variables",
        "include",
        "default",
        "workflow",
        "image",
        "services",
        "before_script",
        "after_script",
        "cache",
        "pages:deploy",
        "spec",
    ]
)
_SCRIPTS = ("before_script", "script", "after_script")
# Templates of GitLab's that run what the project cannot be asked for; the others only scan.
_OPAQUE = re.compile(r"Auto-DevOps|^Jobs/(Test|Build|Deploy)", re.IGNORECASE)
Keys = tuple[str | int, ...]


def is_gitlab(data: Any) -> bool:
    found = [one for name, one in table(data).items() if isinstance(name, str) and name not in _NO_JOBS]
    jobs_here = [one for one in found if isinstance(one, dict) and ("script" in one or "trigger" in one)]
    return bool(jobs_here) and ("stages" in table(data) or any("stage" in one for one in jobs_here))


@dataclass
class _Merged:
    """All files as one: jobs with the document and keys of each of their parts."""

    data: dict[str, Any] = field(default_factory=dict)
    origin: dict[tuple[str, str], tuple[Document, Keys]] = field(default_factory=dict)
    unknown: list[tuple[str, int]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    root: str = ""

    def here(self, document: Document, line: int) -> int:
        """The line in the file that the provider reads; 1 for what stands in another."""
        return line if document.path == self.root else 1

    def take(self, document: Document, data: Mapping[Any, Any]) -> None:
        for name, one in data.items():
            known = self.data.get(name)
            merged = {**known, **one} if isinstance(one, dict) and isinstance(known, dict) else one
            self.data[name] = merged
            self.origin[(str(name), "")] = (document, (str(name),))
            for key in table(one):
                self.origin[(str(name), str(key))] = (document, (str(name), str(key)))


def _merged(sources: Sources, document: Document) -> _Merged:
    key = ("gitlab", document.path)
    if key not in sources.cache:
        merged = _Merged(root=document.path)
        _include(sources, document, merged, 0)
        sources.cache[key] = merged
    found: _Merged = sources.cache[key]
    return found


def included(sources: Sources, document: Document) -> set[str]:
    """Paths of what a configuration includes, itself among them."""
    return _merged(sources, document).paths


def _include(sources: Sources, document: Document, merged: _Merged, depth: int) -> None:
    data = document.data
    data = (
        {key: one for part in data if isinstance(part, dict) for key, one in part.items()}
        if isinstance(data, list)
        else table(data)
    )
    merged.paths.add(document.path)
    for number, one in enumerate(listed(data.get("include"))):
        local = one if isinstance(one, str) and not one.startswith("http") else table(one).get("local")
        line = merged.here(document, sources.lines(document).of("include", number))
        if local and depth < 5:
            _local(sources, str(local), merged, depth, line)
        elif not local and (template := table(one).get("template")):
            if _OPAQUE.search(str(template)):
                merged.unknown.append((f"template {template}", line))
        elif not local:
            named = table(one)
            what = named.get("remote") or named.get("component") or named.get("project") or one
            merged.unknown.append((f"remote include {what}", line))
    merged.take(document, data)


def _local(sources: Sources, name: str, merged: _Merged, depth: int, line: int) -> None:
    pattern = re.escape(name.lstrip("/")).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    found = [path for path in sources.documents if re.fullmatch(pattern, path)]
    if not found:
        merged.unknown.append((f"include {name} that is not here", line))
    for path in sorted(found):
        if path not in merged.paths:
            _include(sources, sources.documents[path], merged, depth + 1)


def read(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    merged = _merged(sources, document)
    found: list[Job] = []
    for name in merged.data:
        job = merged.data[name]
        # `image` and `cache` may be mappings, too, but those have no script.
        if isinstance(job, dict) and not name.startswith(".") and (name not in _NO_JOBS or "script" in job):
            found += _job(sources, merged, name)
    if merged.unknown:
        found.append(Job("include", 1, (Trigger("push", document.path, 1),), unknown=tuple(merged.unknown)))
    triggers = tuple(dict.fromkeys(one for job in found for one in job.triggers))
    return Pipeline("gitlab", document.path, tuple(found), triggers, active, document.problem)


def _whole(merged: _Merged, name: str, seen: frozenset[str]) -> dict[str, tuple[str, Any]]:
    """The keys of a job with the name of the job that they are written in, what it extends included."""
    own = table(merged.data.get(name))
    found: dict[str, tuple[str, Any]] = {}
    for base in listed(own.get("extends")):
        if str(base) not in seen and len(seen) < 10:
            found |= _whole(merged, str(base), seen | {name})
    for key, one in own.items():
        old = found.get(str(key), ("", None))[1]
        both = isinstance(one, dict) and isinstance(old, dict)
        found[str(key)] = (name, {**old, **one} if both else one)
    return found


def _job(sources: Sources, merged: _Merged, name: str) -> list[Job]:
    whole = _whole(merged, name, frozenset({name}))
    if "script" not in whole and "trigger" not in whole and "run" not in whole:
        return []
    document, keys = merged.origin[(name, "")]
    line = sources.lines(document).of(*keys)
    here = merged.here(document, line)
    plain = {key: one for key, (_, one) in whole.items()}
    variables = {**_variables(merged.data.get("variables")), **_variables(plain.get("variables"))}
    workflow = _rules(merged, table(merged.data.get("workflow")).get("rules")) or []
    rules = _rules(merged, plain.get("rules"))
    triggers = triggers_of(plain, rules, workflow, (document.path, line), variables)
    steps = list(_steps(sources, merged, whole, variables))
    if isinstance(called := plain.get("trigger"), dict | str) and not table(called).get("include"):
        steps.append(
            Step(unknown=(f"pipeline of another project {table(called).get('project', called)}", here))
        )
    image = plain.get("image", merged.data.get("image", table(merged.data.get("default")).get("image")))
    image = table(image).get("name", image) if isinstance(image, dict) else image
    if isinstance(image, str):
        steps.append(Step(used=(image, here, {})))
    return jobs(
        sources, name, here, steps, triggers, lambda *_: True, disabled=not triggers, environment=variables
    )


def _variables(described: Any) -> dict[str, str]:
    """Values, also of variables that have a description beside."""
    return strings(
        {key: one.get("value") if isinstance(one, dict) else one for key, one in table(described).items()}
    )


def _steps(
    sources: Sources, merged: _Merged, whole: Mapping[str, tuple[str, Any]], variables: Mapping[str, str]
) -> Iterator[Step]:
    may_fail = whole.get("allow_failure", ("", False))[1] is True
    for key in _SCRIPTS:
        where, value = whole.get(key, ("", None))
        if key not in whole and key == "before_script":
            general = table(merged.data.get("default"))
            where, value = ("default", general[key]) if key in general else ("", merged.data.get(key))
        document, keys = merged.origin.get((where, key), merged.origin.get((key, ""), (None, ())))
        if document is None:
            continue
        for text, path, line in _lines(sources, merged, value, document, keys, 0):
            yield Step(
                text, Place(path, line, may_fail=may_fail or key == "after_script", variables=variables)
            )


def _lines(
    sources: Sources, merged: _Merged, value: Any, document: Document, keys: Keys, depth: int
) -> Iterator[tuple[str, str, int]]:
    """Text, file and line of scripts."""
    lines = sources.lines(document)
    for number, one in enumerate(listed(value)):
        place = (*keys, number) if isinstance(value, list) else keys
        if isinstance(one, str):
            yield one, document.path, block(one, lines.of(*place))
        elif isinstance(one, list) and depth < 5:
            yield from _lines(sources, merged, one, document, place, depth + 1)
        elif (named := _reference(one)) and depth < 5:
            there = merged.origin.get((named[0], named[1]))
            if there is not None:
                inner = table(merged.data.get(named[0])).get(named[1])
                yield from _lines(sources, merged, inner, *there, depth + 1)


def _reference(value: Any) -> tuple[str, str] | None:
    """Job and key of `!reference [job, key]`."""
    named = table(value).get("!reference")
    return (str(named[0]), str(named[1])) if isinstance(named, list) and len(named) > 1 else None


def _rules(merged: _Merged, described: Any, depth: int = 0) -> list[Any] | None:
    """Rules, with those that `!reference` names put in."""
    if described is None or depth > 5:
        return None
    found: list[Any] = []
    for one in listed(described):
        if named := _reference(one):
            found += _rules(merged, table(merged.data.get(named[0])).get(named[1]), depth + 1) or []
        else:
            found += _rules(merged, one, depth + 1) or [] if isinstance(one, list) else [one]
    return found
