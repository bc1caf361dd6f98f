"""What starts a pipeline of Azure, and what its conditions see then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.audit.index.ci.conditions import evaluate
from runtime_lib.audit.index.ci.sources import Sources, listed, table
from runtime_lib.audit.index.model import Document, Trigger

__all__ = ["holds", "triggers_of"]


def triggers_of(sources: Sources, document: Document) -> Iterator[Trigger]:
    """Those of a file; without `trigger` each push starts it, without `pr` each pull request."""
    data, lines, path = table(document.data), sources.lines(document), document.path
    trigger, pr = data.get("trigger", ""), data.get("pr", "")
    off = str(trigger).lower() == "none" or (isinstance(trigger, dict) and trigger.get("enabled") is False)
    if not off:
        branches, tags = table(trigger).get("branches"), table(trigger).get("tags")
        only_tags = tags and not branches
        named = (
            listed(table(branches).get("include"))
            if branches
            else listed(trigger)
            if isinstance(trigger, list)
            else []
        )
        if not only_tags:
            yield Trigger("push", path, lines.of("trigger"), ", ".join(map(str, named)))
        if tags:
            yield Trigger("tag", path, lines.of("trigger", "tags"))
    if str(pr).lower() != "none" and ("pr" in data or not off):
        yield Trigger("pull_request", path, lines.of("pr"))
    for number, raw in enumerate(listed(data.get("schedules"))):
        if cron := table(raw).get("cron"):
            yield Trigger("schedule", path, lines.of("schedules", number, "cron"), str(cron))
    for kind, resources in table(data.get("resources")).items():
        for number, raw in enumerate(listed(resources)):
            one = table(raw)
            if "trigger" in one and str(one["trigger"]).lower() not in ("none", "false"):
                yield Trigger("event", path, lines.of("resources", str(kind), number), f"resource {kind}")
    if off and str(pr or "none").lower() == "none":
        yield Trigger("manual", path, lines.of("trigger"))


def holds(condition: Any, trigger: Trigger, variables: Mapping[str, str]) -> bool | None:
    """Whether a condition holds when this starts the pipeline; None if only a run can tell."""

    def lookup(name: str) -> str | None:
        found = re.fullmatch(r"variables(?:\[\s*['\"]([\w.]+)['\"]\s*\]|\.([\w.]+))", name)
        known = (found[1] or found[2]) if found else ""
        if known == "Build.Reason":
            return {"pull_request": "PullRequest", "schedule": "Schedule", "manual": "Manual"}.get(
                trigger.kind, "IndividualCI"
            )
        if known in ("Build.SourceBranch", "Build.SourceBranchName"):
            ref = {"tag": "refs/tags/v1", "pull_request": "refs/pull/1/merge"}.get(trigger.kind)
            return ref if known == "Build.SourceBranch" or trigger.kind == "pull_request" else None
        return variables.get(known) if known and "$" not in variables.get(known, "$") else None

    return evaluate(condition, lookup)
