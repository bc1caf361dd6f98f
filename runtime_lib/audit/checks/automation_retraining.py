"""A7: whether something other than a person or a change of code starts training again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from runtime_lib.audit.checks.automation import jobs, training_of
from runtime_lib.audit.index.model import Evidence, Job, Repo, Trigger
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.schedule_files import in_files
from runtime_lib.audit.schedule_terraform import in_terraform
from runtime_lib.audit.schedules import in_python

__all__: list[str] = []

# Paths of data; what an event from outside is called when it is about data, time, drift or quality.
_DATA = re.compile(r"^(\*\*/)?(data|datasets?|raw)/|\.(csv|tsv|parquet|dvc|xlsx|jsonl)$")
_EVENTS = re.compile(
    r"repository_dispatch.*(train|data|drift|perform|degrad|alert|schedule|monitor)", re.IGNORECASE
)


@check(
    "A7",
    "automation",
    "Is the model trained again by itself, by time, new data, drift or loss of quality?",
    looks_for="An active trigger that reaches training: a schedule of CI, Airflow, Prefect, Dagster, "
    "Kubeflow, a cloud, Kubernetes or cron, an event of new data. A push of code is none; neither is a "
    "schedule that is null, paused, disabled, an example, or that only runs tests.",
    why="The world changes without a commit; a model that is never trained again decays.",
    false_answers="Schedules that are set up in a web page leave no file.",
    fix="Run the training pipeline by time, with a gate before the new model is used.",
    effort="days",
    priority="medium",
    tools=("airflow", "github-actions schedule", "prefect"),
    brings="`copier copy` of this template writes a DAG by schedule; `mlops monitor` retrains after a drop.",
)
def retrained(repo: Repo, project: Project) -> Finding:
    found = chain(_in_ci(repo), in_python(repo), in_files(repo), in_terraform(repo))
    shown = tuple(islice(dict.fromkeys(found), 5))
    looked = (f"{len(repo.ci)} CI configurations", f"{len(repo.documents):,} configuration files")
    if shown:
        return Finding("pass", "Retraining starts by itself.", shown, value=True)
    if not project.ml:
        return Finding("n/a", "Nothing here trains.", looked_at=looked, value=False)
    return Finding(
        "fail", "Nothing but people and code changes starts training.", looked_at=looked, value=False
    )


def _in_ci(repo: Repo) -> Iterator[Evidence]:
    for pipeline, job in jobs(repo):
        started = [one for one in job.triggers if _counts(one)]
        if started and any(True for _ in training_of(repo, pipeline, job)):
            yield _shown(started[0], job)


def _counts(trigger: Trigger) -> bool:
    if trigger.kind == "push":  # of nothing but data
        paths = [one for one in trigger.what.partition("; paths: ")[2].split(", ") if one]
        return bool(paths) and all(_DATA.search(one) for one in paths)
    return trigger.kind == "schedule" or (trigger.kind == "event" and bool(_EVENTS.search(trigger.what)))


def _shown(trigger: Trigger, job: Job) -> Evidence:
    return at(trigger.path, trigger.line, f"{trigger.kind} {trigger.what} starts {job.name}")
