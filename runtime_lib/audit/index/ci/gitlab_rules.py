"""What starts a job of GitLab CI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runtime_lib.audit.index.ci.conditions import evaluate
from runtime_lib.audit.index.ci.sources import listed, table
from runtime_lib.audit.index.model import Trigger, TriggerKind

__all__ = ["triggers_of"]

_SOURCES: dict[TriggerKind, str] = {
    "push": "push",
    "tag": "push",
    "pull_request": "merge_request_event",
    "schedule": "schedule",
    "manual": "web",
}
_ONLY: dict[str, TriggerKind] = {
    "branches": "push",
    "pushes": "push",
    "tags": "tag",
    "merge_requests": "pull_request",
    "schedules": "schedule",
    "web": "manual",
    "triggers": "event",
    "api": "event",
    "pipelines": "event",
}


def triggers_of(
    job: Mapping[str, Any],
    rules: list[Any] | None,
    workflow: list[Any],
    place: tuple[str, int],
    variables: Mapping[str, str],
) -> list[Trigger]:
    """What starts a job, by its rules, those of the workflow, or `only` and `except`.

    `place`: file and line of the job.
    """
    kinds: list[TriggerKind] = []
    if rules is not None or ("only" not in job and "except" not in job):
        for kind in _candidates(str(rules) + str(workflow)):
            by_workflow = _when(workflow, kind, variables, "always") if workflow else "always"
            by_rules = (
                _when(rules, kind, variables, str(job.get("when", "on_success")))
                if rules is not None
                else str(job.get("when", "on_success"))
            )
            if by_workflow != "never" and by_rules != "never":
                kinds.append("manual" if by_rules == "manual" else kind)
    else:
        kinds = _only(job)
        if job.get("when") == "manual":
            kinds = ["manual"]
    kinds = [] if job.get("when") == "never" else kinds
    return [
        Trigger(kind, *place, _SOURCES.get(kind, "") if kind == "schedule" else "")
        for kind in dict.fromkeys(kinds)
    ]


def _candidates(text: str) -> list[TriggerKind]:
    kinds: list[TriggerKind] = ["push", "tag"]
    if "merge_request" in text or "CI_MERGE_REQUEST" in text:
        kinds.append("pull_request")
    if "schedule" in text:
        kinds.append("schedule")
    return kinds


def _when(rules: list[Any], kind: TriggerKind, variables: Mapping[str, str], default: str) -> str:
    """What the rules say for this kind: "never", "manual", or that it runs. Unknown conditions may hold."""
    manual = False
    for raw in rules:
        rule = table(raw)
        holds = evaluate(rule["if"], lambda name: _value(name, kind, variables)) if "if" in rule else True
        if holds is False:
            continue
        when = str(rule.get("when", default if default != "never" else "on_success"))
        if when not in ("never", "manual"):
            return when
        if holds is True and not ({"changes", "exists"} & rule.keys()):
            return "manual" if manual and when == "never" else when
        manual = manual or when == "manual"
    return "manual" if manual else "never"


def _value(name: str, kind: TriggerKind, variables: Mapping[str, str]) -> str | None:
    plain = name.strip("${}")
    if plain == "CI_PIPELINE_SOURCE":
        return _SOURCES.get(kind)
    if plain == "CI_COMMIT_TAG":
        return "v1.0.0" if kind == "tag" else ""
    if plain == "CI_COMMIT_BRANCH":
        return "" if kind in ("tag", "pull_request") else None
    if plain.startswith("CI_MERGE_REQUEST"):
        return None if kind == "pull_request" else ""
    if plain == "CI_OPEN_MERGE_REQUESTS":
        return None
    if plain in variables:
        return variables[plain] if "$" not in variables[plain] else None
    return None


def _only(job: Mapping[str, Any]) -> list[TriggerKind]:
    """`only` and `except`: names of refs or kinds."""
    only, without = _refs(job.get("only")), _refs(job.get("except"))
    kinds: list[TriggerKind] = []
    for ref in only:
        kinds.append(_ONLY.get(ref, "tag" if re.match(r"^/\^?v", ref) else "push"))
    if not only:
        kinds = ["push", "tag"]
    never = {_ONLY[ref] for ref in without if ref in _ONLY}
    return [kind for kind in kinds if kind not in never]


def _refs(described: Any) -> list[str]:
    if isinstance(described, dict):
        described = described.get("refs")
    return [str(one) for one in listed(described)]
