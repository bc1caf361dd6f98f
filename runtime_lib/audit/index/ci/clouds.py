"""Taskcluster, AWS CodeBuild, Google Cloud Build, Tekton and Argo Workflows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.ci.simple import pipeline, scripts
from runtime_lib.audit.index.ci.sources import Place, Sources, listed, strings, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.ci.wrappers import as_text
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger

__all__ = ["argo", "cloudbuild", "codebuild", "kubernetes_documents", "taskcluster", "tekton"]

Keys = tuple[str | int, ...]


def taskcluster(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """Commands of `payload.command`, wherever conditions of JSON-e put them."""
    lines = sources.lines(document)
    text = " ".join(str(entry.value) + " ".join(map(str, entry.keys)) for entry in document.entries)
    triggers = []
    if "github-pull-request" in text or "pull" in text:
        triggers.append(Trigger("pull_request", document.path, 1))
    if "github-push" in text or "push" in text or not triggers:
        triggers.append(Trigger("push", document.path, 1))
    found: list[Job] = []
    for keys, command in _payloads(table(document.data).get("tasks"), ("tasks",), 0):
        line = lines.of(*keys)
        steps = [Step(text, Place(document.path, line)) for text in _words(command)]
        found += jobs(sources, "task", line, steps, triggers, lambda *_: True)
    return pipeline("taskcluster", document, found, active)


def _payloads(value: Any, keys: Keys, depth: int) -> Iterator[tuple[Keys, Any]]:
    if depth > 20:
        return
    if isinstance(value, dict):
        if isinstance(command := table(value.get("payload")).get("command"), list):
            yield (*keys, "payload", "command"), command
        for key, one in value.items():
            if key != "payload":
                yield from _payloads(one, (*keys, str(key)), depth + 1)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _payloads(one, (*keys, number), depth + 1)


def _words(command: list[Any]) -> Iterator[str]:
    """A list of words, or a list of such lists; what JSON-e fills in is left out."""
    if all(isinstance(one, list) for one in command):
        for one in command:
            yield from _words(one)
        return
    plain = [one if isinstance(one, str) else _inner(one) for one in command]
    yield as_text([one for one in plain if one])


def _inner(value: Any) -> str:
    """The first text in a mapping such as `{$eval: …}` that is a script."""
    found = [one for one in table(value).values() if isinstance(one, str) and " " in one]
    return found[0] if found else ""


def codebuild(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """A buildspec; what starts it is set up at AWS, most often a push."""
    variables = strings(table(table(document.data).get("env")).get("variables"))
    steps: list[Step] = []
    for phase, one in table(table(document.data).get("phases")).items():
        keys = ("phases", str(phase), "commands")
        steps += list(scripts(sources, document, table(one).get("commands"), keys, variables=variables))
    push = Trigger("push", document.path, 1, "as CodeBuild is set up")
    found = jobs(sources, "build", 1, steps, [push], lambda *_: True, environment=variables)
    return pipeline("codebuild", document, found, active)


def cloudbuild(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """Steps of images with their words; what starts them is set up at Google, most often a push."""
    data, lines = table(document.data), sources.lines(document)
    variables = strings(data.get("substitutions"))
    steps: list[Step] = []
    for number, raw in enumerate(listed(data.get("steps"))):
        one, line = table(raw), lines.of("steps", number)
        image = str(one.get("name", ""))
        steps.append(Step(used=(image, line, {})))
        words = [str(word) for word in listed(one.get("args"))]
        entry = listed(one.get("entrypoint"))
        tool = str(entry[0]) if entry else image.rpartition("/")[2].partition(":")[0]
        tool = {"cloud-sdk": "gcloud", "gke-deploy": "gke-deploy", "kubectl": "kubectl"}.get(tool, tool)
        folder = str(one.get("dir", ""))
        where = Place(document.path, line, "" if "$" in folder else folder.strip("/"), variables=variables)
        if isinstance(one.get("script"), str):
            steps.append(Step(one["script"], where))
        elif words and tool in ("bash", "sh", "/bin/bash", "/bin/sh"):
            steps.append(Step(as_text(["bash", *words]), where))
        elif words or entry:
            steps.append(Step(" ".join([tool, *words]), where))
    for number, image in enumerate(listed(data.get("images"))):
        steps.append(Step(f"docker push {image}", Place(document.path, lines.of("images", number))))
    push = Trigger("push", document.path, 1, "as Cloud Build is set up")
    found = jobs(sources, "build", 1, steps, [push], lambda *_: True, environment=variables)
    return pipeline("cloudbuild", document, found, active)


def kubernetes_documents(document: Document) -> list[tuple[dict[Any, Any], Keys]]:
    """The parts of a file that are objects of Kubernetes, with the keys that lead to them."""
    many = document.data if isinstance(document.data, list) else [document.data]
    found = []
    for number, raw in enumerate(many):
        if isinstance(raw, dict) and isinstance(raw.get("apiVersion"), str) and "kind" in raw:
            keys: Keys = (number,) if isinstance(document.data, list) else ()
            found.append((raw, keys))
    return found


def tekton(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """Steps of tasks; events are those that annotations for Pipelines as Code name."""
    lines = sources.lines(document)
    found: list[Job] = []
    for data, keys in kubernetes_documents(document):
        notes = strings(table(data.get("metadata")).get("annotations"))
        events = " ".join(one for name, one in notes.items() if "on-event" in name or "on-cel" in name)
        triggers = [Trigger("pull_request", document.path, 1)] if "pull" in events else []
        if "push" in events or not triggers:
            triggers.append(Trigger("push", document.path, 1))
        steps = list(_containers(sources, document, data, keys, 0))
        name = str(table(data.get("metadata")).get("name", data["kind"]))
        found += jobs(sources, name, lines.of(*keys), steps, triggers, lambda *_: True)
    return pipeline("tekton", document, found, active)


def argo(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """Templates of workflows; a CronWorkflow starts by time, the others are submitted."""
    lines = sources.lines(document)
    found: list[Job] = []
    for data, keys in kubernetes_documents(document):
        name = str(table(data.get("metadata")).get("name", data["kind"]))
        line = lines.of(*keys)
        spec = table(data.get("spec"))
        trigger = Trigger("manual", document.path, line)
        if data["kind"] == "CronWorkflow":
            cron = spec.get("schedule", spec.get("schedules", ""))
            trigger = Trigger("schedule", document.path, lines.of(*keys, "spec", "schedule"), str(cron))
        steps = list(_containers(sources, document, data, keys, 0))
        disabled = spec.get("suspend") is True
        triggers = [] if disabled else [trigger]
        found += jobs(sources, name, line, steps, triggers, lambda *_: True, disabled=disabled)
    return pipeline("argo", document, found, active)


def _containers(sources: Sources, document: Document, value: Any, keys: Keys, depth: int) -> Iterator[Step]:
    """Everything below with an image and a script, or a command."""
    if depth > 20:
        return
    if isinstance(value, dict):
        if "image" in value and (
            "script" in value or "command" in value or "source" in value or "args" in value
        ):
            line = sources.lines(document).of(*keys)
            text = value.get("script", value.get("source"))
            words = [str(one) for key in ("command", "args") for one in listed(value.get(key))]
            if isinstance(text, str):
                yield Step(re.sub(r"^#!.*\n", "", text), Place(document.path, line))
            elif words:
                yield Step(as_text(words), Place(document.path, line))
            return
        for key, one in value.items():
            yield from _containers(sources, document, one, (*keys, str(key)), depth + 1)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _containers(sources, document, one, (*keys, number), depth + 1)
