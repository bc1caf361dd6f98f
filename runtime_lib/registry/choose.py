"""Decisions by hand: another champion, none, or the one before. Each needs a reason, and stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

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

__all__ = ["choose", "clear", "follow_back", "rollback"]

_Found = TypeVar("_Found", Entry, Entry | None)


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


def follow_back(
    settings: Settings,
    version: str,
    *,
    left: Sequence[str],
    reason: str,
    release: str = "",
    figures: Mapping[str, Any] | None = None,
) -> Entry | None:
    """Make the version champion that traffic was given back to.

    Args:
        left: the versions that traffic was taken from; if none of them is champion nothing is done.
        release: what gave it back by itself, as "canary"; empty: a person did.
        figures: on which that was decided.

    Returns:
        The decision; None: there was none to take.

    Raises:
        MlopsError: as `choose`.
    """

    def decide(model: Registered, found: Sequence[ModelVersion]) -> Entry | None:
        if model.champion not in left:
            return None
        fetch(settings, named(settings, found, version))
        entry = Entry("rolled back", version, model.champion, version, (reason,), figures or {})
        return replace(entry, release=release)

    return _decide(settings, decide)


def _decide(settings: Settings, decide: Callable[[Registered, Sequence[ModelVersion]], _Found]) -> _Found:
    client = connect(settings)
    with locked(settings.lock("promote")), service(settings):
        model = settle(client, registered(client, settings.model_name))
        entry = decide(model, versions(client, model.name))
        if entry is not None:
            entry = move(client, model, entry)
            keep_choice(settings, client)
    return entry
