"""What starts a workflow of GitHub Actions, and what its conditions see then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.ci.sources import Lines, listed, table
from runtime_lib.audit.index.model import Trigger, TriggerKind

__all__ = ["read_triggers", "value_of"]

_KINDS: dict[str, TriggerKind] = {
    "pull_request": "pull_request",
    "pull_request_target": "pull_request",
    "merge_group": "pull_request",
    "workflow_dispatch": "manual",
    "workflow_call": "called",
    "release": "release",
}
_EVENTS = {"tag": "push", "manual": "workflow_dispatch", "called": "workflow_call"}


def read_triggers(path: str, lines: Lines, events: Any) -> tuple[Trigger, ...]:
    """Of `on: push`, a list of events, or events with their filters."""
    if isinstance(events, str | list):
        return tuple(
            Trigger(
                _KINDS.get(str(one), "push" if one == "push" else "event"),
                path,
                lines.of("on"),
                _what(str(one)),
            )
            for one in listed(events)
            if one != "schedule"
        )
    found: list[Trigger] = []
    for name, settings in table(events).items():
        found += _trigger(path, lines, str(name), settings)
    return tuple(found)


def _what(event: str) -> str:
    return "" if event == "push" or (event in _KINDS and event != "pull_request_target") else event


def _trigger(path: str, lines: Lines, name: str, settings: Any) -> Iterator[Trigger]:
    line = lines.of("on", name)
    own = table(settings)
    if name == "push":
        yield from _push(path, line, own)
    elif name == "schedule":
        for number, one in enumerate(listed(settings)):
            cron = table(one).get("cron")
            if cron:
                yield Trigger("schedule", path, lines.of("on", name, number, "cron"), str(cron))
    elif name == "workflow_run":
        yield Trigger(
            "event", path, line, "workflow_run " + ", ".join(map(str, listed(own.get("workflows"))))
        )
    elif name == "pull_request" and listed(own.get("types")) in (["labeled"], ["unlabeled"]):
        yield Trigger("event", path, line, "pull_request labeled")
    elif name == "pull_request" and listed(own.get("types")) == ["closed"]:
        yield Trigger("pull_request", path, line, "closed")
    elif name == "repository_dispatch":
        yield Trigger("event", path, line, " ".join([name, *map(str, listed(own.get("types")))]))
    elif name in _KINDS:
        what = ", ".join(map(str, listed(own.get("branches")))) if _what(name) == "" else name
        yield Trigger(_KINDS[name], path, line, what)
    else:
        yield Trigger("event", path, line, name)


def _push(path: str, line: int, settings: dict[str, Any]) -> Iterator[Trigger]:
    branches, tags = listed(settings.get("branches")), listed(settings.get("tags"))
    ignored = listed(settings.get("branches-ignore"))
    only_tags = bool(tags or "tags-ignore" in settings) and not branches and not ignored
    if not only_tags and ignored not in (["**"], ["*", "**"]) and settings.get("branches") != []:
        paths = [str(one) for one in listed(settings.get("paths"))]
        what = ", ".join(map(str, branches))
        yield Trigger("push", path, line, f"{what}; paths: {', '.join(paths)}" if paths else what)
    if tags and tags != ["!**"]:
        yield Trigger("tag", path, line, ", ".join(map(str, tags)))


def value_of(name: str, trigger: Trigger) -> str | None:
    """What a name of a condition is when this trigger starts the workflow; None if only a run can tell."""
    kind = trigger.kind
    if name == "github.event_name":
        if kind == "event" or trigger.what == "pull_request_target":
            return trigger.what.partition(" ")[0]
        return _EVENTS.get(kind, kind) if kind != "called" else None
    if name == "github.event.schedule":
        return trigger.what if kind == "schedule" else ""
    if name in ("github.ref", "github.ref_type"):
        return _ref(name, trigger)
    if name.startswith(("inputs.", "github.event.inputs.")):
        return None if kind in ("manual", "called") else ""
    if name.startswith("github.event.pull_request.") or name in ("github.head_ref", "github.base_ref"):
        if kind == "pull_request":
            return "false" if name.endswith(".draft") else None
        return None if kind in ("event", "called") else ""
    if name == "github.event.workflow_run.conclusion":
        return "success" if trigger.what.startswith("workflow_run") else ""
    if name.startswith("github.event.release."):
        return None if kind in ("release", "called") else ""
    return None


def _ref(name: str, trigger: Trigger) -> str | None:
    tagged = trigger.kind in ("tag", "release")
    if name == "github.ref_type":
        return "tag" if tagged else "branch" if trigger.kind == "push" and trigger.what else None
    if tagged:
        return "refs/tags/v"
    if trigger.kind == "pull_request":
        return "refs/pull/1/merge"
    branch = trigger.what.partition("; paths: ")[0]
    plain = trigger.kind == "push" and branch and not set("*,!?[") & set(branch)
    return f"refs/heads/{branch}" if plain else None
