"""Tell the channels what is new, what still fires and what is gone.

What is found is committed before it is sent, and that it was sent after: a kill in between sends it again at
the next run, under the same key and the same id, so that a receiver can tell that it has had it. Every alert
arrives at least once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runtime_lib.monitoring.alerts.alert import Alert, Finding, Outcome, Scope
from runtime_lib.monitoring.alerts.send import send
from runtime_lib.monitoring.alerts.silence import silenced
from runtime_lib.monitoring.alerts.state import State, held
from runtime_lib.monitoring.alerts.webhook import PLAIN
from runtime_lib.settings import Settings

__all__ = ["announce", "notify"]


def notify(
    settings: Settings,
    findings: Iterable[Finding],
    *,
    source: str,
    model: str = "",
    version: str = "",
    unjudged: Collection[str] = (),
    plain: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> tuple[Outcome, ...]:
    """Compare what was found with what fires, and tell each channel what it is due to know.

    Sent is an alert that is new, graver, about a new member, or due for a repeat. One of this source that is
    no longer found is resolved, and whoever was told of it is told so. What could not be delivered before is
    tried again. Alerts arrive at least once, see the module.

    Args:
        findings: all that fires now of this source and model; one for each kind and group.
        source: who asks: "monitor", "quality", …; what other sources found stays as it is.
        model: which one it is about; default: the registered model's name.
        version: the model's; what fires of another one and is not found again is over.
        unjudged: kinds that this run could not judge: what fires of them and this version stays as it is.
        plain: a body for `monitoring.webhook`, sent once and as it is.
        now: the time, with its zone; default: the clock's.

    Returns:
        One for each channel that there was something for, in the order of the settings.

    Raises:
        ServiceError: another run is sending, and for longer than this one would wait.
        DataError: the state cannot be read or written.
        SettingsError: `monitoring.webhook` is no address.
    """
    now = now or datetime.now(UTC)
    scope = _scope(settings, model)
    found = [Alert.of(each, scope, source, "firing", now, version=version) for each in findings]
    if len({alert.key for alert in found}) < len(found):
        raise ValueError("Two findings of one kind and group: make them one, or give each a group.")
    with _held(settings) as state:
        with state.change():
            gone = _gone(state, found, scope, source)
            for alert in found:
                state.put(replace(alert, since=_since(state, alert)))
            for alert in gone:
                if alert.kind not in unjudged or alert.version != version:
                    state.put(replace(alert, status="resolved", time=now))
            if plain is not None:
                _take_plain(state, Alert.of(_verdict(plain), scope, source, "event", now), found)
        return send(settings, state, now)


def announce(
    settings: Settings, finding: Finding, *, source: str, model: str = "", now: datetime | None = None
) -> tuple[Outcome, ...]:
    """Tell the channels once of something that happened and that nothing resolves: a retraining has begun.

    Its severity is info if the finding has none. For arguments, outcomes and errors see `notify`.
    """
    now = now or datetime.now(UTC)
    finding = replace(finding, severity=finding.severity or "info")
    with _held(settings) as state:
        with state.change():
            state.put(Alert.of(finding, _scope(settings, model), source, "event", now))
        return send(settings, state, now)


def _scope(settings: Settings, model: str) -> Scope:
    return Scope(settings.project.name, settings.environment, model or settings.model_name)


def _held(settings: Settings) -> AbstractContextManager[State]:
    longest = max((channel.deadline for channel in settings.monitoring.alerts.values()), default=30.0)
    return held(settings.alerts, wait=2 * longest)


def _since(state: State, alert: Alert) -> datetime:
    """When it was first found. One that is stored as gone was not told to all before a kill: it goes on."""
    stored = {each.key: each.since for each, _ in state.alerts() if each.status != "event"}
    return stored.get(alert.key, alert.since)


def _gone(state: State, found: Sequence[Alert], scope: Scope, source: str) -> list[Alert]:
    """What is stored of a scope and source as firing and was not found."""
    keys = {alert.key for alert in found}
    return [
        alert
        for alert, _ in state.alerts()
        if alert.status == "firing"
        and (alert.project, alert.environment, alert.model, alert.source) == (*scope, source)
        and alert.key not in keys
    ]


def _verdict(body: Mapping[str, Any]) -> Finding:
    return Finding(PLAIN, "", "", evidence=body)


def _take_plain(state: State, new: Alert, found: Sequence[Alert]) -> None:
    """Record a body for the old webhook, in the place of one that a kill left; none if all is silenced."""
    for alert, _ in state.alerts():
        if alert.key == new.key:
            state.forget(alert)
    silences = state.silences()
    if not found or not all(silenced(alert, silences, new.time)[0] for alert in found):
        state.put(new)
