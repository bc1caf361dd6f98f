"""Azure Pipelines: stages, jobs, deployments, steps and tasks, with templates of the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runtime_lib.audit.index.ci.azure_triggers import holds, triggers_of
from runtime_lib.audit.index.ci.conditions import evaluate
from runtime_lib.audit.index.ci.known import SCRIPT_TASKS
from runtime_lib.audit.index.ci.sources import Place, Sources, block, join, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Document, Job, Pipeline

__all__ = ["is_azure", "read", "templates"]

_STEPS = frozenset(
    {"task", "script", "bash", "powershell", "pwsh", "template", "checkout", "publish", "download"}
)
_JOBS = frozenset({"job", "deployment", "template"})
_PARAMETER = re.compile(r"\$\{\{\s*parameters\.([\w-]+)\s*\}\}")
_VARIABLE = re.compile(r"\$\(([\w.]+)\)")
_DEPTH = 6
Keys = tuple[str | int, ...]


def is_azure(data: Any) -> bool:
    """Lists of stages, jobs or steps with Azure's keys. Azure ML's pipelines have mappings, or a schema."""
    found = table(data)
    if "$schema" in found or "azureml" in str(found.get("type", "")):
        return False
    for key, names in (("stages", {"stage", "template"}), ("jobs", _JOBS), ("steps", _STEPS)):
        listed_here = [table(one) for one in listed(found.get(key)) if isinstance(found.get(key), list)]
        if any(names & one.keys() for one in listed_here):
            return key != "steps" or _like_steps(found, listed_here)
        if any(str(name).startswith("${{") for one in listed_here for name in one):
            return True
    return isinstance(table(found.get("extends")).get("template"), str)


def _like_steps(data: dict[Any, Any], steps: list[dict[Any, Any]]) -> bool:
    """`steps` with a `script` alone are of others, too."""
    sure = {"task", "bash", "pwsh", "powershell", "checkout", "template"}
    return any(sure & one.keys() for one in steps) or bool(
        {"pool", "trigger", "pr", "parameters"} & data.keys()
    )


def templates(sources: Sources, document: Document) -> set[str]:
    """Paths of the templates that a file names."""
    found = set()
    for entry in document.entries:
        if entry.keys and entry.keys[-1] == "template" and isinstance(entry.value, str):
            path = _template(document.path, entry.value)
            if path in sources.documents:
                found.add(path)
    return found


def _template(by: str, name: str) -> str:
    """The path of a template; "" of one in another repository."""
    plain, _, where = name.partition("@")
    if where and where != "self":
        return ""
    return join("", plain) if plain.startswith("/") else join(by.rpartition("/")[0], plain)


def read(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    triggers = tuple(triggers_of(sources, document))
    reader = _Context(sources, document, strings(_variables(table(document.data).get("variables"))))
    data = table(document.data)
    given = _defaults(data.get("parameters"))
    reader = replace(reader, parameters=given)
    found: list[Job] = []
    for name, line, steps in _root(reader, data, (), 0):
        found += jobs(
            sources, name, line, steps, triggers, lambda one, trigger: holds(one, trigger, reader.variables)
        )
    return Pipeline("azure", document.path, tuple(found), triggers, active, document.problem)


def _variables(described: Any) -> dict[str, Any]:
    if isinstance(described, dict):
        return described
    pairs = [table(one) for one in listed(described)]
    return {str(one["name"]): one.get("value") for one in pairs if "name" in one}


def _defaults(described: Any) -> dict[str, Any]:
    if isinstance(described, dict):
        return dict(described)
    pairs = [table(one) for one in listed(described)]
    return {str(one["name"]): one.get("default") for one in pairs if "name" in one}


@dataclass(frozen=True)
class _Context:
    """What the parts of a file are read with."""

    sources: Sources
    document: Document
    variables: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Any, ...] = ()
    by: tuple[str, ...] = ()
    may_fail: bool = False
    outer: int = 0  # the line of the pipeline that leads to another file

    def plain(self, text: str) -> str:
        text = _PARAMETER.sub(lambda found: self._known(self.parameters.get(found[1]), found[0]), text)
        return _VARIABLE.sub(lambda found: self._known(self.variables.get(found[1]), found[0]), text)

    def _known(self, value: Any, otherwise: str) -> str:
        return str(value) if isinstance(value, str | int | float) else otherwise

    def shown(self, *keys: str | int) -> int:
        """The line in the pipeline's own file."""
        return self.outer or self.line(*keys)

    def line(self, *keys: str | int) -> int:
        return self.sources.lines(self.document).of(*keys)


Found = tuple[str, int, list[Step]]


def _root(context: _Context, data: dict[Any, Any], keys: Keys, depth: int) -> Iterator[Found]:
    """Jobs of whatever level a file or a stage is written at."""
    if isinstance(data.get("stages"), list):
        for stage, place in _flat(context, data["stages"], (*keys, "stages")):
            yield from _part(context, stage, place, depth)
    elif isinstance(data.get("jobs"), list):
        for job, place in _flat(context, data["jobs"], (*keys, "jobs")):
            yield from _part(context, job, place, depth)
    elif isinstance(data.get("steps"), list):
        steps = list(_steps(context, data["steps"], (*keys, "steps"), depth))
        yield str(data.get("job", data.get("name", "steps"))), context.shown(*keys, "steps"), steps
    elif isinstance(table(data.get("extends")).get("template"), str):
        yield from _part(context, table(data["extends"]), (*keys, "extends"), depth)


def _flat(context: _Context, described: Any, keys: Keys) -> Iterator[tuple[dict[Any, Any], Keys]]:
    """Items, those under `${{ if … }}` and `${{ each … }}` included unless the condition is false."""
    for number, raw in enumerate(listed(described)):
        one = table(raw)
        inserted = [name for name in one if str(name).startswith("${{")]
        if not inserted:
            yield one, (*keys, number)
        for name in inserted:
            condition = re.sub(r"^\$\{\{\s*(else\s*)?(if)?\s*(.*?)\s*\}\}$", r"\3", str(name))
            if evaluate(condition, lambda known: _parameter(known, context)) is not False:
                yield from _flat(context, one[name], (*keys, number, str(name)))


def _parameter(name: str, context: _Context) -> str | None:
    value = context.parameters.get(name.partition(".")[2]) if name.startswith("parameters.") else None
    return str(value) if isinstance(value, str | int | bool) else None


def _part(context: _Context, part: dict[Any, Any], keys: Keys, depth: int) -> Iterator[Found]:
    """A stage, a job, a deployment or a template of them."""
    if isinstance(part.get("template"), str):
        inner = _open(context, part, keys, depth)
        if isinstance(inner, Step):
            yield part["template"], context.shown(*keys, "template"), [inner]
        else:
            yield from _root(inner, table(inner.document.data), (), depth + 1)
        return
    if part.get("condition") is not None:
        context = replace(context, conditions=(*context.conditions, part["condition"]))
    if part.get("continueOnError") is True:
        context = replace(context, may_fail=True)
    context = replace(context, variables={**context.variables, **strings(_variables(part.get("variables")))})
    if "deployment" in part:
        for kind, strategy in table(part.get("strategy")).items():
            for phase, hook in table(strategy).items():
                at = (*keys, "strategy", str(kind), str(phase))
                if isinstance(table(hook).get("steps"), list):
                    steps = list(_steps(context, hook["steps"], (*at, "steps"), depth))
                    yield str(part["deployment"]), context.shown(*keys), steps
    else:
        yield from _root(context, part, keys, depth)


def _open(context: _Context, part: dict[Any, Any], keys: Keys, depth: int) -> _Context | Step:
    """The context of a template's file, or the step that says that it cannot be followed."""
    name = context.plain(part["template"])
    document = context.sources.documents.get(_template(context.document.path, name))
    if document is None or depth >= _DEPTH:
        return Step(
            unknown=(f"template {name}", context.shown(*keys, "template")), conditions=context.conditions
        )
    given = {
        key: context.plain(one) if isinstance(one, str) else one
        for key, one in table(part.get("parameters")).items()
    }
    parameters = {**_defaults(table(document.data).get("parameters")), **given}
    return replace(
        context,
        document=document,
        parameters=parameters,
        by=(*context.by, f"template {name}")[-4:],
        outer=context.shown(*keys, "template"),
    )


def _steps(context: _Context, described: Any, keys: Keys, depth: int) -> Iterator[Step]:
    if isinstance(described, str) and (found := _PARAMETER.fullmatch(described.strip())):
        described = context.parameters.get(found[1])
    for step, place in _flat(context, described, keys):
        if step.get("enabled") is False:
            continue
        here = context
        if step.get("condition") is not None:
            here = replace(here, conditions=(*here.conditions, step["condition"]))
        if step.get("continueOnError") is True:
            here = replace(here, may_fail=True)
        if isinstance(step.get("template"), str):
            inner = _open(here, step, place, depth)
            if isinstance(inner, Step):
                yield inner
            else:
                yield from _steps(inner, table(inner.document.data).get("steps"), ("steps",), depth + 1)
        else:
            yield from _step(here, step, place)


def _step(context: _Context, step: dict[Any, Any], keys: Keys) -> Iterator[Step]:
    for kind in ("script", "bash", "pwsh", "powershell"):
        if isinstance(step.get(kind), str):
            yield _script(context, step[kind], (*keys, kind), str(step.get("workingDirectory", "")))
            return
    name = step.get("task")
    if not isinstance(name, str):
        return
    inputs = {key: context.plain(one) for key, one in strings(step.get("inputs")).items()}
    yield Step(used=(name, context.shown(*keys, "task"), inputs), conditions=context.conditions)
    low = {key.lower(): key for key in inputs}
    for key in SCRIPT_TASKS.get(name.partition("@")[0].lower(), ()):
        if key in low and inputs[low[key]].strip():
            text = inputs[low[key]]
            if key in ("scriptpath", "filepath"):
                text = ("python " if name.lower().startswith("pythonscript") else "bash ") + text
            elif name.lower().startswith("pythonscript"):
                text = "python -c script"
            folder = next((inputs[low[one]] for one in ("workingdirectory", "cwd") if one in low), "")
            yield _script(context, text, (*keys, "inputs", low[key]), folder)
            return


def _script(context: _Context, text: str, keys: Keys, folder: str) -> Step:
    plain = re.sub(
        r"\$\((System\.DefaultWorkingDirectory|Build\.SourcesDirectory|Agent\.BuildDirectory)\)/?(s/)?",
        "",
        context.plain(text),
    )
    folder = re.sub(r"^\$\([\w.]+\)/?", "", folder)
    place = Place(
        context.document.path,
        block(text, context.line(*keys)),
        join("", folder),
        context.by,
        context.may_fail,
        strict=False,
        variables=context.variables,
    )
    return Step(plain, place, conditions=context.conditions)
