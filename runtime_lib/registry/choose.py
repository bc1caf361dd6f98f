"""Decisions by hand: another champion, none, or the one before. Each needs a reason, and stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runtime_lib.errors import DataError
from runtime_lib.locks import locked
from runtime_lib.registry.decide import move, settle
from runtime_lib.registry.files import fetch
from runtime_lib.registry.standing import Registered, previous
from runtime_lib.registry.trail import Entry, checked_reason
from runtime_lib.registry.verdict import keep_choice
from runtime_lib.registry.versions import named, promoted, registered, versions, where
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import connect, service

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["choose", "clear", "rollback"]

_Decide = Callable[[Registered, Sequence["ModelVersion"]], Entry]


def choose(settings: Settings, version: str, *, reason: str) -> Entry:
    """Make a version champion, whatever the gate said of it; its files are fetched and checked first.

    Raises:
        SettingsError: no reason, or too long a one.
        DataError: there is no such version.
        ModelError: its files are not those that were registered.
        ServiceError: the registry does not answer.
    """
    reason = checked_reason(reason)

    def decide(model: Registered, found: Sequence[ModelVersion]) -> Entry:
        fetch(settings, named(settings, found, version))
        return Entry("set", version, model.champion, version, (reason,))

    return _decide(settings, decide)


def clear(settings: Settings, *, reason: str) -> Entry:
    """Leave the model without a champion. The gate may then judge again what it had refused.

    Raises:
        SettingsError: no reason, or too long a one.
        DataError: there is no champion.
        ServiceError: the registry does not answer.
    """
    reason = checked_reason(reason)

    def decide(model: Registered, found: Sequence[ModelVersion]) -> Entry:
        if model.champion is None:
            raise DataError(f"'{model.name}' has no champion in the registry at {where(settings)}.")
        return Entry("cleared", model.champion, model.champion, None, (reason,))

    return _decide(settings, decide)


def rollback(settings: Settings, *, reason: str) -> Entry:
    """Go back to the champion before this one, by the trail; its files are fetched and checked first.

    Raises:
        SettingsError: no reason, or too long a one.
        DataError: there was none before it, or it had been cleared.
        ModelError: its files are not those that were registered.
        ServiceError: the registry does not answer.
    """
    reason = checked_reason(reason)

    def decide(model: Registered, found: Sequence[ModelVersion]) -> Entry:
        before = previous(model, promoted(found))
        if before is None:
            held = f"version {model.champion}" if model.champion else "now"
            raise DataError(
                f"'{model.name}' had no champion right before {held} (`mlops champion trail` shows all). "
                f'Choose one of `mlops champion list` with `mlops champion set VERSION --reason "…"`.'
            )
        fetch(settings, named(settings, found, before))
        return Entry("rolled back", before, model.champion, before, (reason,))

    return _decide(settings, decide)


def _decide(settings: Settings, decide: _Decide) -> Entry:
    client = connect(settings)
    with locked(settings.lock("promote")), service(settings):
        model = settle(client, registered(client, settings.model_name))
        entry = move(client, model, decide(model, versions(client, model.name)))
        keep_choice(settings, client)
    return entry
