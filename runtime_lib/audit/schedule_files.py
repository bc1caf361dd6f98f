"""Active triggers in configurations: bundles, Kubernetes, clouds, Prefect, crontabs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.ci.clouds import kubernetes_documents
from runtime_lib.audit.index.ci.sources import listed, table
from runtime_lib.audit.index.model import Document, Evidence, Repo
from runtime_lib.audit.pipelines import definitions, says_train
from runtime_lib.audit.queries import at, calls
from runtime_lib.audit.running import starts_training, trains

__all__ = ["in_files"]

_ASIDE = re.compile(
    r"(^|/)(tests?|fixtures|examples?|samples?|docs?)/|\.(example|sample|tmpl|disabled|bak)\b|\{\{"
)
_TRAINS = re.compile(
    r"(?<![a-z])(re)?-?train(ing)?(?![a-z])|Train(ing)?[A-Z]|Train\b|Training\b|createTrainingJob"
)
_CRON = re.compile(r"^\s*(?:[\d*/,-]+\s+){4}[\d*/,A-Za-z-]+\s+(?:root\s+|\w+\s+)?(?P<command>\S.*)$")
_SHORT = re.compile(r"^\s*@(?:daily|hourly|weekly|monthly|midnight)\s+(?P<command>\S.*)$")
Keys = tuple[Any, ...]


def in_files(repo: Repo) -> Iterator[Evidence]:
    """Where a configuration starts training by time or data."""
    for path, document in repo.documents.items():
        if not _ASIDE.search(path) and document.kind in ("yaml", "json", "toml"):
            for read in (_databricks, _prefect, _kubernetes, _azureml, _cloud, _serverless, _taskcluster):
                yield from read(repo, document)
    yield from _crontabs(repo)
    yield from _timers(repo)


def _says(repo: Repo, value: Any, depth: int = 0) -> bool:
    """Whether something below trains, by commands or names."""
    if isinstance(value, str):
        return bool(_TRAINS.search(value)) or trains(repo, value) != ""
    if isinstance(value, dict) and depth < 12:
        return any(_says(repo, one, depth + 1) or says_train(str(key)) for key, one in value.items())
    if isinstance(value, list) and depth < 12:
        words = [one for one in value if isinstance(one, str)]
        return trains(repo, " ".join(words)) != "" or any(_says(repo, one, depth + 1) for one in value)
    return False


def _databricks(repo: Repo, document: Document) -> Iterator[Evidence]:
    many: list[tuple[Keys, Any]] = [(("resources",), table(document.data).get("resources"))]
    for name, one in table(table(document.data).get("targets")).items():
        many.append((("targets", name, "resources"), table(one).get("resources")))
    for keys, resources in many:
        for name, job in table(table(resources).get("jobs")).items():
            for kind in ("schedule", "trigger", "continuous"):
                settings = table(table(job).get(kind))
                paused = str(settings.get("pause_status", "UNPAUSED")).upper() == "PAUSED"
                if settings and not paused and _says(repo, [name, table(job).get("tasks")]):
                    yield at(document, document.line_of(*keys, "jobs", name, kind), f"{kind} of job {name}")


def _prefect(repo: Repo, document: Document) -> Iterator[Evidence]:
    data = table(document.data)
    for number, raw in enumerate(listed(data.get("deployments"))):
        one = table(raw)
        for key in ("schedule", "schedules"):
            for schedule in listed(one.get(key)):
                times = {"cron", "interval", "rrule"} & table(schedule).keys()
                on = table(schedule).get("active") is not False and one.get("paused") is not True
                if any(table(schedule)[time] for time in times) and on and _entry_trains(repo, one):
                    yield at(
                        document, document.line_of("deployments", number, key), f"{key} of {one.get('name')}"
                    )


def _entry_trains(repo: Repo, deployment: dict[Any, Any]) -> bool:
    path = str(deployment.get("entrypoint", "")).partition(":")[0].removeprefix("./")
    flows = {one.evidence.path for one in definitions(repo) if one.training}
    found = [one for one in (*repo.modules, *repo.notebooks) if one == path or one.endswith("/" + path)]
    return any(one in flows or starts_training(repo, one) for one in found if path) or _says(
        repo, [deployment.get("name"), path]
    )


def _kubernetes(repo: Repo, document: Document) -> Iterator[Evidence]:
    for data, keys in kubernetes_documents(document):
        spec = table(data.get("spec"))
        name = table(data.get("metadata")).get("name")
        if spec.get("suspend") is True or spec.get("enabled") is False:
            continue
        what = _commands(spec, 0) if data["kind"] == "CronJob" else spec
        if data["kind"] in ("CronJob", "CronWorkflow", "ScheduledWorkflow") and _says(repo, [name, what]):
            yield at(document, document.line_of(*keys, "spec", "schedule"), f"{data['kind']} {name}")


def _commands(value: Any, depth: int) -> list[Any]:
    """Commands and names of containers, without images and variables."""
    found: list[Any] = []
    if isinstance(value, dict) and depth < 12:
        for key, one in value.items():
            if key in ("command", "args") and isinstance(one, list):
                found.append(" ".join(map(str, one)))
            elif key == "name" and isinstance(one, str):
                found.append(one)
            elif key not in ("env", "volumes", "volumeMounts", "resources"):
                found += _commands(one, depth + 1)
    elif isinstance(value, list) and depth < 12:
        for one in value:
            found += _commands(one, depth + 1)
    return found


def _azureml(repo: Repo, document: Document) -> Iterator[Evidence]:
    data = table(document.data)
    trigger = table(data.get("trigger"))
    if (
        "create_job" in data
        and trigger.get("type") in ("cron", "recurrence")
        and data.get("is_enabled") is not False
    ):
        job = data["create_job"]
        name = (
            str(job if isinstance(job, str) else table(job).get("job", ""))
            .removeprefix("file:")
            .removeprefix("./")
        )
        other = next(
            (one for path, one in repo.documents.items() if path.endswith(name.lstrip("./")) and name), None
        )
        if _says(repo, [data.get("name"), job, other.data if other else None]):
            yield at(document, document.line_of("trigger"), f"{trigger['type']} of {data.get('name')}")


def _cloud(repo: Repo, document: Document) -> Iterator[Evidence]:
    """Rules of EventBridge and events of SAM, in templates."""
    data = table(document.data)
    resources = table(data.get("Resources"))
    for name, raw in resources.items():
        one, properties = table(raw), table(table(raw).get("Properties"))
        kind = str(one.get("Type", ""))
        timed = properties.get("ScheduleExpression") or properties.get("EventPattern")
        rule = kind in ("AWS::Events::Rule", "AWS::Scheduler::Schedule") and timed
        if rule and str(properties.get("State", "ENABLED")).upper() != "DISABLED":
            targets = [properties.get("Targets"), properties.get("Target"), name]
            if _says(repo, targets) or _aims_at_training(repo, resources, targets):
                yield at(document, document.line_of("Resources", name), f"{kind} {name}")
        for key, event in table(properties.get("Events")).items():
            inner = table(table(event).get("Properties"))
            on = inner.get("Enabled") is not False and str(inner.get("State", "")).upper() != "DISABLED"
            timed = str(table(event).get("Type", "")) in ("Schedule", "ScheduleV2", "S3", "EventBridgeRule")
            if (
                timed
                and on
                and (_says(repo, [name, one]) or _handler_trains(repo, properties.get("Handler")))
            ):
                yield at(
                    document,
                    document.line_of("Resources", name, "Properties", "Events", key),
                    f"{key} of {name}",
                )


def _serverless(repo: Repo, document: Document) -> Iterator[Evidence]:
    for name, raw in table(table(document.data).get("functions")).items():
        trains_here = _says(repo, name) or _handler_trains(repo, table(raw).get("handler"))
        for event in listed(table(raw).get("events")):
            settings = table(event).get("schedule", table(event).get("s3"))
            if trains_here and settings and table(settings).get("enabled") is not False:
                yield at(document, document.line_of("functions", name), f"schedule of {name}")


def _aims_at_training(repo: Repo, resources: dict[Any, Any], targets: list[Any]) -> bool:
    """Whether a target of a rule is a resource of the same template that trains."""
    text = str(targets)
    return any(
        re.search(rf"\b{re.escape(str(name))}\b", text) is not None
        and _says(repo, table(one).get("Properties"))
        for name, one in resources.items()
    )


def _handler_trains(repo: Repo, handler: Any) -> bool:
    """The function of a Lambda: "src/app.handler"."""
    path = str(handler or "").rpartition(".")[0].replace(".", "/") + ".py"
    found = [one for one in repo.modules if one == path or one.endswith("/" + path)]
    started = calls(repo, "*.create_training_job", "*.start_pipeline_execution", within=found)
    return any(starts_training(repo, one) for one in found) or any(True for _ in started)


def _taskcluster(repo: Repo, document: Document) -> Iterator[Evidence]:
    """Hooks: with the file of tasks that their command names."""
    data = table(document.data)
    if not data.get("schedule") or not isinstance(table(data.get("task")).get("payload"), dict):
        return
    words = [word for one in _commands(data.get("task"), 0) for word in str(one).split()]
    named = [
        one
        for path, one in repo.documents.items()
        if any(path.endswith(word) for word in words if "." in word)
    ]
    if _says(repo, _commands(data.get("task"), 0)) or any(_says(repo, one.data) for one in named):
        yield at(document, document.line_of("schedule"), "a hook that trains")


def _crontabs(repo: Repo) -> Iterator[Evidence]:
    for path, text in repo.texts.items():
        name = path.rpartition("/")[2].lower()
        inside = "crontab" in name or name.endswith(".cron") or "/cron.d/" in f"/{path}"
        image = "dockerfile" in name or name.endswith(".sh")
        if _ASIDE.search(path) or not (inside or image):
            continue
        for number, line in enumerate(text.lines, 1):
            plain = line
            if image:
                found = re.search(
                    r"[\"']([\d*]\S*(?:\s+[\d*]\S*){4}\s+[^\"']+)[\"'].*(?:crontab|cron\.d)", line
                )
                if line.lstrip().startswith("#") or not found:
                    continue
                plain = found[1]
            entry = _CRON.match(plain) or _SHORT.match(plain)
            if entry and _runs_training(repo, entry["command"]):
                yield at(text, number, line)


def _runs_training(repo: Repo, command: str) -> bool:
    """Of each part of a line of a crontab, and of the scripts that it names."""
    for part in re.split(r"&&|;|\|", command):
        plain = re.sub(r"^\s*(?:\S*/)?(python[\d.]*|bash|sh)\b", r"\1", part.split(">")[0].strip())
        if trains(repo, plain):
            return True
        script = next((word for word in plain.split() if word.endswith(".sh")), "")
        found = [
            one for path, one in repo.texts.items() if script and path.endswith(script.rpartition("/")[2])
        ]
        if any(trains(repo, line.strip()) for one in found for line in one.lines):
            return True
    return False


def _timers(repo: Repo) -> Iterator[Evidence]:
    """Timers of systemd, with the service of the same name."""
    for path, text in repo.texts.items():
        other = repo.texts.get(path.removesuffix(".timer") + ".service")
        if not path.endswith(".timer") or other is None or _ASIDE.search(path):
            continue
        started = (line.partition("=")[2] for line in other.lines if line.startswith("ExecStart="))
        if any(_runs_training(repo, one) for one in started):
            line = next((at_line for at_line, one in enumerate(text.lines, 1) if one.startswith("On")), 1)
            yield at(text, line, "a timer that trains")
