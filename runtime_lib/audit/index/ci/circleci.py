"""CircleCI: commands with parameters, orbs, workflows with their filters and schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.audit.index.ci.sources import Lines, Place, Sources, block, join, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger

__all__ = ["is_circleci", "read"]

_PARAMETER = re.compile(r"<<\s*(?:parameters|matrix)\.([\w-]+)\s*>>")
_KNOWN_STEPS = frozenset(
    [
        "checkout",
        "restore_cache",
        "save_cache",
        "store_artifacts",
        "store_test_results",
        "persist_to_workspace",
        "attach_workspace",
        "setup_remote_docker",
        "add_ssh_keys",
    ]
)
# Orbs whose commands only set something up or report.
_KNOWN_ORBS = re.compile(
    r"^(python|node|codecov|slack|gcp-cli|aws-cli|win|windows|docker|ruby|go|coveralls|pre-commit)/"
)
Keys = tuple[str | int, ...]


def is_circleci(data: Any) -> bool:
    found = table(data)
    described = [table(one) for one in table(found.get("jobs")).values()]
    return "version" in found and any("steps" in one for one in described)


def read(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    data, lines = table(document.data), sources.lines(document)
    found: list[Job] = []
    for name, raw in table(data.get("workflows")).items():
        if isinstance(raw, dict):
            found += _workflow(sources, document, str(name), raw)
    described = table(data.get("jobs"))
    if not table(data.get("workflows")) and "build" in described:
        push = Trigger("push", document.path, lines.of("jobs", "build"))
        found += _job(sources, document, "build", {}, [push])
    triggers = tuple(dict.fromkeys(one for job in found for one in job.triggers))
    return Pipeline("circleci", document.path, tuple(found), triggers, active, document.problem)


def _workflow(sources: Sources, document: Document, name: str, workflow: dict[str, Any]) -> Iterator[Job]:
    lines = sources.lines(document)
    line = lines.of("workflows", name)
    condition = workflow.get("when", workflow.get("unless"))
    if condition is False and "when" in workflow:
        return
    base = list(_triggers(document.path, lines, name, workflow))
    held: set[str] = set()
    for number, raw in enumerate(listed(workflow.get("jobs"))):
        job, settings = (
            (str(raw), {})
            if isinstance(raw, str)
            else next(((str(key), table(one)) for key, one in table(raw).items()), ("", {}))
        )
        needs = {
            str(next(iter(one))) if isinstance(one, dict) and one else str(one)
            for one in listed(settings.get("requires"))
        }
        label = str(settings.get("name", job))
        if settings.get("type") == "approval":
            held.add(label)
            continue
        triggers = _filtered(base, settings.get("filters"))
        if needs & held:
            held.add(label)
            triggers = [Trigger("manual", document.path, line, "approval")]
        yield from _job(
            sources, document, job, settings, triggers, lines.of("workflows", name, "jobs", number)
        )


def _triggers(path: str, lines: Lines, name: str, workflow: dict[str, Any]) -> Iterator[Trigger]:
    scheduled = False
    for number, raw in enumerate(listed(workflow.get("triggers"))):
        if cron := table(table(raw).get("schedule")).get("cron"):
            scheduled = True
            yield Trigger("schedule", path, lines.of("workflows", name, "triggers", number), str(cron))
    condition = str(workflow.get("when", ""))
    if "scheduled_pipeline" in condition or "pipeline.schedule" in condition:
        yield Trigger("schedule", path, lines.of("workflows", name), "a schedule of the project's settings")
    elif "pipeline.parameters" in condition:
        yield Trigger("manual", path, lines.of("workflows", name), "parameter")
    elif not scheduled:
        yield Trigger("push", path, lines.of("workflows", name))


def _filtered(triggers: list[Trigger], described: Any) -> list[Trigger]:
    filters = table(described)
    branches, tags = table(filters.get("branches")), table(filters.get("tags"))
    found = list(triggers)
    if "/.*/" in [str(one) for one in listed(branches.get("ignore"))]:
        found = [one for one in found if one.kind != "push"]
    pushed = next((one for one in triggers if one.kind == "push"), None)
    if tags.get("only") and pushed:
        found.append(Trigger("tag", pushed.path, pushed.line, str(tags["only"])))
    return found


def _job(
    sources: Sources,
    document: Document,
    name: str,
    settings: Mapping[str, Any],
    triggers: list[Trigger],
    line: int = 0,
) -> list[Job]:
    data, lines = table(document.data), sources.lines(document)
    job = table(table(data.get("jobs")).get(name))
    if not job:
        if "/" not in name:
            return []
        used = Step(used=(name, line or 1, strings(settings)))
        unknown = Step(unknown=(f"orb {name}", line or 1))
        known = _KNOWN_ORBS.match(name) and name != "python/test"
        steps = [used] if known else [used, unknown]
        if name == "python/test":
            steps = [used, Step("pytest", Place(document.path, line or 1))]
        return jobs(sources, name, line or 1, steps, triggers, lambda *_: True)
    given = {**_defaults(job.get("parameters")), **strings(settings)}
    variables = strings(job.get("environment"))
    folder = str(job.get("working_directory", ""))
    folder = "" if folder.startswith(("~", "/", "<<", "$")) else folder
    reader = _Reader(sources, document, variables, join("", folder))
    steps = list(reader.steps(job.get("steps"), ("jobs", name, "steps"), given, 0))
    return jobs(
        sources, name, lines.of("jobs", name), steps, triggers, lambda *_: True, environment=variables
    )


def _defaults(described: Any) -> dict[str, str]:
    return strings({key: table(one).get("default") for key, one in table(described).items()})


class _Reader:
    """Steps of a job, with the configuration's own commands put in."""

    def __init__(
        self, sources: Sources, document: Document, variables: Mapping[str, str], folder: str
    ) -> None:
        self.document = document
        self.lines = sources.lines(document)
        self.variables = variables
        self.folder = folder
        self.commands = table(table(document.data).get("commands"))

    def steps(self, described: Any, keys: Keys, given: Mapping[str, str], depth: int) -> Iterator[Step]:
        for number, raw in enumerate(listed(described)):
            name, settings = (raw, {}) if isinstance(raw, str) else next(iter(table(raw).items()), ("", {}))
            here = (*keys, number)
            if name == "run":
                yield from self._run(settings, here, given)
            elif name in ("when", "unless"):
                if table(settings).get("condition") is not (name == "unless"):
                    yield from self.steps(table(settings).get("steps"), (*here, name, "steps"), given, depth)
            elif name in self.commands and depth < 5:
                command = table(self.commands[name])
                inner = {**_defaults(command.get("parameters")), **strings(settings)}
                inner = {key: _plain(one, given) for key, one in inner.items()}
                yield from self.steps(
                    command.get("steps"), ("commands", str(name), "steps"), inner, depth + 1
                )
            elif isinstance(name, str) and name not in _KNOWN_STEPS and name:
                line = self.lines.of(*here)
                yield Step(used=(name, line, strings(settings)))
                if not _KNOWN_ORBS.match(name):
                    yield Step(unknown=(f"orb {name}", line))

    def _run(self, settings: Any, keys: Keys, given: Mapping[str, str]) -> Iterator[Step]:
        text = settings if isinstance(settings, str) else table(settings).get("command")
        if not isinstance(text, str):
            return
        own = table(settings)
        folder = str(own.get("working_directory", ""))
        folder = (
            self.folder if not folder or folder.startswith(("~", "/", "<<")) else join(self.folder, folder)
        )
        place = (*keys, "run") if isinstance(settings, str) else (*keys, "run", "command")
        variables = {**self.variables, **strings(own.get("environment"))}
        where = Place(
            self.document.path, block(text, self.lines.of(*place)), folder, pipefail=True, variables=variables
        )
        if own.get("when") != "on_fail":
            yield Step(_plain(text, given), where)


def _plain(text: str, given: Mapping[str, str]) -> str:
    return _PARAMETER.sub(lambda found: given.get(found[1], found[0]), text)
