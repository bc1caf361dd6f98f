"""Workflows of GitHub Actions, with local reusable workflows and composite actions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runtime_lib.audit.index.ci.conditions import evaluate
from runtime_lib.audit.index.ci.github_events import read_triggers, value_of
from runtime_lib.audit.index.ci.known import RUN_INPUTS, is_known
from runtime_lib.audit.index.ci.sources import Lines, Place, Sources, block, join, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs, variants
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger

__all__ = ["is_workflow", "read"]

_INPUT = re.compile(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}")
_DEPTH = 5


def is_workflow(data: Any) -> bool:
    found = table(table(data).get("jobs"))
    named = [table(job) for job in found.values()]
    return _events(data) is not None and any(
        "runs-on" in job or "uses" in job or "steps" in job for job in named
    )


def _events(data: Any) -> Any:
    """`on`, which YAML 1.1 reads as True."""
    return next((table(data)[key] for key in ("on", True, "true") if key in table(data)), None)


def read(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """A workflow; one that is only called by others has the trigger "called"."""
    lines = sources.lines(document)
    triggers = read_triggers(document.path, lines, _events(document.data))
    context = _Context(sources, document, lines, strings(table(document.data).get("env")))
    taken: dict[str, Sequence[Trigger]] = {}
    found: list[Job] = []
    described = table(table(document.data).get("jobs"))
    for name in _ordered(described):
        found += _job(context, name, table(described[name]), triggers, taken)
    return Pipeline("github", document.path, tuple(found), triggers, active, document.problem)


@dataclass(frozen=True)
class _Context:
    """What the steps of a file are read with."""

    sources: Sources
    document: Document
    lines: Lines
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    matrix: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    by: tuple[str, ...] = ()
    conditions: tuple[Any, ...] = ()
    may_fail: bool = False
    outer: int = 0  # the line of the workflow that leads to another file

    def plain(self, text: str) -> str:
        """With the values of inputs that are known."""
        return _INPUT.sub(lambda found: self.inputs.get(found[1], found[0]), text)


def _ordered(described: Mapping[str, Any]) -> list[str]:
    """Jobs after those that they need."""
    found: list[str] = []

    def add(name: str, path: frozenset[str]) -> None:
        for need in listed(table(described.get(name)).get("needs")):
            if need in described and need not in found and need not in path:
                add(str(need), path | {name})
        if name not in found:
            found.append(name)

    for name in described:
        add(name, frozenset({name}))
    return found


def _job(
    context: _Context,
    name: str,
    job: dict[str, Any],
    triggers: Sequence[Trigger],
    taken: dict[str, Sequence[Trigger]],
) -> list[Job]:
    condition = job.get("if")
    ways = [one for one in triggers if _holds(context, condition, one) is not False]
    if not re.search(r"always\(|failure\(|cancelled\(", str(condition)):
        for need in listed(job.get("needs")):
            ways = [one for one in ways if one in taken.get(str(need), ways)]
    taken[name] = ways
    inner = _of_job(context, job)
    steps = (
        list(_called(inner, job, ("jobs", name), 0))
        if "uses" in job
        else list(_steps(inner, job.get("steps"), ("jobs", name, "steps"), 0))
    )
    line = context.lines.of("jobs", name)
    environment = {**context.variables, **strings(job.get("env"))}
    return jobs(
        context.sources,
        name,
        line,
        steps,
        ways,
        lambda one, trigger: _holds(inner, one, trigger),
        disabled=bool(triggers) and not ways,
        environment=environment,
    )


def _of_job(context: _Context, job: dict[str, Any]) -> _Context:
    defaults = [table(table(one.get("defaults")).get("run")) for one in (job, table(context.document.data))]
    folder = next((str(one["working-directory"]) for one in defaults if "working-directory" in one), "")
    return replace(
        context,
        variables={**context.variables, **strings(job.get("env"))},
        matrix=table(table(job.get("strategy")).get("matrix")),
        folder=join("", context.plain(folder)),
        may_fail=context.may_fail or job.get("continue-on-error") is True,
    )


def _holds(context: _Context, condition: Any, trigger: Trigger) -> bool | None:
    if condition is None:
        return True
    if isinstance(condition, tuple):  # with the inputs of the file that it stands in
        condition, inputs, variables = condition
    else:
        inputs, variables = context.inputs, context.variables

    def lookup(name: str) -> str | None:
        kind, _, rest = name.partition(".")
        if kind == "inputs" and rest in inputs:
            return None if "${{" in inputs[rest] else inputs[rest]
        if kind == "env":
            known = variables.get(rest)
            return None if known is None or "${{" in known else known
        return value_of(name, trigger)

    return evaluate(condition, lookup)


def _steps(context: _Context, described: Any, keys: tuple[str | int, ...], depth: int) -> Iterator[Step]:
    for number, raw in enumerate(listed(described)):
        step = table(raw)
        here = context
        if step.get("if") is not None:
            own = (step["if"], context.inputs, {**context.variables, **strings(step.get("env"))})
            here = replace(context, conditions=(*context.conditions, own))
        if step.get("continue-on-error") is True:
            here = replace(here, may_fail=True)
        here = replace(here, variables={**here.variables, **strings(step.get("env"))})
        if isinstance(step.get("run"), str):
            yield from _run(here, step, (*keys, number))
        elif isinstance(step.get("uses"), str):
            yield from _use(here, step, (*keys, number), depth)


def _run(context: _Context, step: dict[str, Any], keys: tuple[str | int, ...]) -> Iterator[Step]:
    shell = str(step.get("shell") or "")
    text = context.plain(step["run"])
    folder = context.plain(str(step["working-directory"])) if "working-directory" in step else context.folder
    if shell.startswith("python"):
        text = "python -c script"
    for one in variants(text, context.matrix):
        place = Place(
            context.document.path,
            block(step["run"], context.lines.of(*keys, "run")),
            join("", folder),
            context.by,
            context.may_fail,
            pipefail=shell == "bash",
            variables={name: context.plain(value) for name, value in context.variables.items()},
        )
        yield Step(one, place, conditions=context.conditions)


def _use(context: _Context, step: dict[str, Any], keys: tuple[str | int, ...], depth: int) -> Iterator[Step]:
    name, line = step["uses"].strip(), context.outer or context.lines.of(*keys, "uses")
    inputs = {key: context.plain(value) for key, value in strings(step.get("with")).items()}
    if name.startswith("."):
        yield from _local(context, name, line, inputs, depth)
        return
    yield Step(used=(name, line, inputs), conditions=context.conditions)
    scripts = [inputs[key] for key in RUN_INPUTS.get(name.partition("@")[0].lower(), ()) if key in inputs]
    if name.startswith("pre-commit/action"):
        scripts = ["pre-commit run " + inputs.get("extra_args", "--all-files")]
    if name.startswith("pypa/cibuildwheel"):
        scripts = [text for key, text in context.variables.items() if key.startswith("CIBW_TEST_COMMAND")]
    for script in scripts:
        there = context.lines.of(*keys, "uses")
        where = Place(context.document.path, there, context.folder, (*context.by, name), context.may_fail)
        for one in variants(script, context.matrix):
            yield Step(one, where, conditions=context.conditions)
    if not scripts and not is_known(name):
        yield Step(unknown=(f"action {name}", line), conditions=context.conditions)


def _local(context: _Context, name: str, line: int, inputs: Mapping[str, str], depth: int) -> Iterator[Step]:
    """A composite action of this repository, in place."""
    document = context.sources.document("", f"{name}/action.yml", f"{name}/action.yaml")
    runs = table(table(document.data).get("runs")) if document is not None else {}
    if document is None or runs.get("using") != "composite" or depth >= _DEPTH:
        why = f"{runs['using']} action" if runs.get("using") else "action that is not here,"
        yield Step(unknown=(f"{why} {name}", line), conditions=context.conditions)
        return
    yield Step(used=(name, line, inputs), conditions=context.conditions)
    inner = replace(
        context,
        document=document,
        lines=context.sources.lines(document),
        inputs={**_defaults(table(document.data).get("inputs")), **inputs},
        folder="",
        by=(*context.by, f"uses {name}"),
        outer=line,
    )
    yield from _steps(inner, runs.get("steps"), ("runs", "steps"), depth + 1)


def _defaults(described: Any) -> dict[str, str]:
    found = {name: table(one).get("default", "") for name, one in table(described).items()}
    return strings({name: "" if one is None else one for name, one in found.items()})


def _called(
    context: _Context, job: dict[str, Any], keys: tuple[str | int, ...], depth: int
) -> Iterator[Step]:
    """Steps of all jobs of a reusable workflow of this repository."""
    name, line = str(job["uses"]), context.outer or context.lines.of(*keys, "uses")
    inputs = {key: context.plain(value) for key, value in strings(job.get("with")).items()}
    yield Step(used=(name, line, inputs), conditions=context.conditions)
    document = context.sources.document("", name.partition("@")[0]) if name.startswith(".") else None
    if document is None or depth >= _DEPTH:
        yield Step(unknown=(f"remote workflow {name}", line), conditions=context.conditions)
        return
    on = table(_events(document.data)).get("workflow_call")
    inner = replace(
        context,
        document=document,
        lines=context.sources.lines(document),
        variables=strings(table(document.data).get("env")),
        inputs={**_defaults(table(on).get("inputs")), **inputs},
        by=(*context.by, f"uses {name}"),
        outer=line,
    )
    for one, raw in table(table(document.data).get("jobs")).items():
        described = table(raw)
        within = _of_job(inner, described)
        if described.get("if") is not None:
            own = (described["if"], inner.inputs, inner.variables)
            within = replace(within, conditions=(*within.conditions, own))
        if "uses" in described:
            yield from _called(within, described, ("jobs", one), depth + 1)
        else:
            yield from _steps(within, described.get("steps"), ("jobs", one, "steps"), depth)
