"""Providers whose jobs are plain lists of scripts: Travis, AppVeyor, Bitbucket, Buildkite, Drone, Cirrus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.audit.index.ci.sources import Place, Sources, block, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger, TriggerKind

__all__ = ["appveyor", "bitbucket", "buildkite", "cirrus", "drone", "pipeline", "scripts", "travis"]

Keys = tuple[str | int, ...]
_TRAVIS = (
    "before_install",
    "install",
    "before_script",
    "script",
    "after_success",
    "before_deploy",
    "after_script",
)
_APPVEYOR = (
    "install",
    "before_build",
    "build_script",
    "before_test",
    "test_script",
    "on_success",
    "deploy_script",
)
_BITBUCKET: dict[str, TriggerKind] = {
    "default": "push",
    "branches": "push",
    "pull-requests": "pull_request",
    "tags": "tag",
    "custom": "manual",
}
_DRONE: dict[str, TriggerKind] = {
    "cron": "schedule",
    "custom": "manual",
    "manual": "manual",
    "promote": "manual",
    "pull_request": "pull_request",
    "push": "push",
    "tag": "tag",
}


def scripts(
    sources: Sources,
    document: Document,
    value: Any,
    keys: Keys,
    *,
    may_fail: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Step]:
    """Each text of a list, or a single one, as a step."""
    lines = sources.lines(document)
    for number, one in enumerate(listed(value)):
        place = (*keys, number) if isinstance(value, list) else keys
        if isinstance(one, str):
            where = Place(
                document.path, block(one, lines.of(*place)), may_fail=may_fail, variables=variables or {}
            )
            yield Step(one, where)
        elif isinstance(one, list):
            yield from scripts(sources, document, one, place, may_fail=may_fail, variables=variables)


def pipeline(provider: str, document: Document, found: list[Job], active: bool) -> Pipeline:
    triggers = tuple(dict.fromkeys(one for job in found for one in job.triggers))
    return Pipeline(provider, document.path, tuple(found), triggers, active, document.problem)


def _on(path: str, line: int, *kinds: TriggerKind, what: str = "") -> list[Trigger]:
    return [Trigger(kind, path, line, what) for kind in kinds]


def _jobs(
    sources: Sources, name: str, line: int, steps: list[Step], triggers: list[Trigger], variables: Any = None
) -> list[Job]:
    return jobs(
        sources,
        name,
        line,
        steps,
        triggers,
        lambda *_: True,
        disabled=not triggers,
        environment=strings(variables),
    )


def travis(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    data, lines = table(document.data), sources.lines(document)
    path = document.path
    found: list[Job] = []
    general = _on(path, 1, "push", "pull_request", "tag")
    include = [(key, table(data.get(key)).get("include")) for key in ("jobs", "matrix")]
    own = [(key, number, table(one)) for key, many in include for number, one in enumerate(listed(many))]
    whole = list(_travis(sources, document, data, ()))
    if not own or any("script" not in one for _, _, one in own):
        found += _jobs(sources, "build", 1, whole, general)
    for key, number, one in own:
        steps = list(
            _travis(
                sources, document, {**{k: data.get(k) for k in ("install",)}, **one}, (key, "include", number)
            )
        )
        condition = str(one.get("if", ""))
        triggers = general
        if re.search(r"type\s*(=|IN|in)\s*\(?cron", condition):
            triggers = _on(path, lines.of(key, "include", number), "schedule", what="cron of Travis")
        elif "tag IS present" in condition or re.search(r"tag\s*=", condition):
            triggers = _on(path, lines.of(key, "include", number), "tag")
        found += _jobs(
            sources,
            str(one.get("name", one.get("stage", "job"))),
            lines.of(key, "include", number),
            steps,
            triggers,
        )
    return pipeline("travis", document, found, active)


def _travis(sources: Sources, document: Document, data: Mapping[str, Any], keys: Keys) -> Iterator[Step]:
    for key in _TRAVIS:
        late = key in ("after_success", "after_script")
        yield from scripts(sources, document, data.get(key), (*keys, key), may_fail=late)
    described = data.get("deploy")
    for number, one in enumerate(listed(described)):
        place = (*keys, "deploy", number) if isinstance(described, list) else (*keys, "deploy")
        if provider := table(one).get("provider"):
            line = sources.lines(document).of(*place)
            yield Step(used=(f"deploy/{provider}", line, strings(one)))
            if provider == "script":
                yield from scripts(sources, document, one.get("script"), (*place, "script"))


def appveyor(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    data = table(document.data)
    steps = []
    for key in _APPVEYOR:
        for number, one in enumerate(listed(data.get(key))):
            value = next(iter(one.values()), "") if isinstance(one, dict) else one
            steps += list(scripts(sources, document, value, (key, number)))
    found = _jobs(sources, "build", 1, steps, _on(document.path, 1, "push", "pull_request"))
    return pipeline("appveyor", document, found, active)


def bitbucket(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    lines, path = sources.lines(document), document.path
    found: list[Job] = []
    for section, described in table(table(document.data).get("pipelines")).items():
        many = {"": described} if isinstance(described, list) else table(described)
        for name, steps in many.items():
            keys: Keys = ("pipelines", str(section), *([str(name)] if name else []))
            triggers = _on(path, lines.of(*keys), _BITBUCKET.get(str(section), "event"), what=str(name))
            found += _bitbucket(sources, document, steps, keys, triggers)
    return pipeline("bitbucket", document, found, active)


def _bitbucket(
    sources: Sources, document: Document, described: Any, keys: Keys, triggers: list[Trigger]
) -> Iterator[Job]:
    line = sources.lines(document).of(*keys)
    for number, raw in enumerate(listed(described)):
        for kind, one in table(raw).items():
            place = (*keys, number, str(kind))
            inner = one if isinstance(one, list) else table(one).get("steps")
            if kind in ("parallel", "stage", "group") and isinstance(inner, list):
                yield from _bitbucket(sources, document, inner, place, triggers)
            elif kind == "step":
                if table(one).get("trigger") == "manual":
                    triggers = _on(document.path, line, "manual")
                script = table(one).get("script")
                steps = list(scripts(sources, document, script, (*place, "script")))
                pipes = [str(table(part)["pipe"]) for part in listed(script) if "pipe" in table(part)]
                steps += [Step(used=(pipe, sources.lines(document).of(*place), {})) for pipe in pipes]
                yield from _jobs(sources, str(table(one).get("name", "step")), line, steps, triggers)


def buildkite(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    data = document.data
    described = data.get("steps") if isinstance(data, dict) else data
    keys: Keys = ("steps",) if isinstance(data, dict) else ()
    found = list(
        _buildkite(sources, document, described, keys, _on(document.path, 1, "push", "pull_request"))
    )
    return pipeline("buildkite", document, found, active)


def _buildkite(
    sources: Sources, document: Document, described: Any, keys: Keys, triggers: list[Trigger]
) -> Iterator[Job]:
    lines = sources.lines(document)
    for number, raw in enumerate(listed(described)):
        one, place = table(raw), (*keys, number)
        if raw in ("block", "input") or "block" in one or "input" in one:
            triggers = _on(document.path, lines.of(*place), "manual")
        elif isinstance(one.get("steps"), list):
            yield from _buildkite(sources, document, one["steps"], (*place, "steps"), triggers)
        else:
            key = "commands" if "commands" in one else "command"
            may_fail = one.get("soft_fail") is True
            steps = list(scripts(sources, document, one.get(key), (*place, key), may_fail=may_fail))
            ways = [] if one.get("skip") is True else triggers
            if steps:
                yield from _jobs(
                    sources, str(one.get("label", "step")), lines.of(*place), steps, ways, one.get("env")
                )


def drone(sources: Sources, document: Document, *, active: bool, provider: str = "drone") -> Pipeline:
    """Drone and Woodpecker: documents with `steps` or `pipeline`, each with commands."""
    many = document.data if isinstance(document.data, list) else [document.data]
    found: list[Job] = []
    for number, raw in enumerate(many):
        data = table(raw)
        first: Keys = (number,) if isinstance(document.data, list) else ()
        key = "steps" if "steps" in data else "pipeline"
        line = sources.lines(document).of(*first, key)
        base = _events(document.path, line, data.get("trigger", data.get("when")))
        described = data.get(key)
        named = (
            [(str(name), one, (*first, key, str(name))) for name, one in described.items()]
            if isinstance(described, dict)
            else [
                (str(table(one).get("name", "")), one, (*first, key, at))
                for at, one in enumerate(listed(described))
            ]
        )
        for name, one, place in named:
            steps = list(scripts(sources, document, table(one).get("commands"), (*place, "commands")))
            if image := table(one).get("image"):
                settings = strings(table(one).get("settings"))
                steps.append(Step(used=(str(image), sources.lines(document).of(*place), settings)))
            when = table(one).get("when")
            triggers = _events(document.path, line, when) if when else base
            found += _jobs(sources, name, sources.lines(document).of(*place), steps, triggers)
    return pipeline(provider, document, found, active)


def _events(path: str, line: int, when: Any) -> list[Trigger]:
    events: list[str] = []
    for one in listed(when):
        event = table(one).get("event")
        events += [
            str(name) for name in listed(table(event).get("include") if isinstance(event, dict) else event)
        ]
    return (
        _on(path, line, *[_DRONE.get(name, "event") for name in events])
        if events
        else _on(path, line, "push", "pull_request", "tag")
    )


def cirrus(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    lines = sources.lines(document)
    found: list[Job] = []
    for name, one in table(document.data).items():
        if not re.fullmatch(r"(\w+_)?task|task", str(name)) or not isinstance(one, dict):
            continue
        steps: list[Step] = []
        for key, value in one.items():
            if str(key).endswith("script"):
                steps += list(scripts(sources, document, value, (str(name), str(key))))
        manual = one.get("trigger_type") == "manual"
        kinds: list[TriggerKind] = ["manual"] if manual else ["push", "pull_request"]
        if re.search(r"\$CIRRUS_CRON\s*(==|!=)", str(one.get("only_if", ""))):
            kinds = ["schedule"]
        elif re.search(r"\$CIRRUS_TAG\s*!=", str(one.get("only_if", ""))):
            kinds = ["tag"]
        if one.get("skip") is True or one.get("only_if") is False:
            kinds = []
        line = lines.of(str(name))
        found += _jobs(
            sources, str(one.get("name", name)), line, steps, _on(document.path, line, *kinds), one.get("env")
        )
    return pipeline("cirrus", document, found, active)
