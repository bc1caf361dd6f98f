"""The alias moves, and the trail says so: before and after, so that a kill leaves either state readable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime_lib.registry import trail
from runtime_lib.registry.standing import Registered
from runtime_lib.registry.trail import Entry
from runtime_lib.registry.versions import ALIAS

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["move", "note", "settle"]


def settle(client: MlflowClient, model: Registered) -> Registered:
    """Bring the trail up to what holds: note a move that a kill left unnoted, or that MLflow's pages made.

    Before a new decision, because the trail cannot tell afterwards.
    """
    if model.moved_elsewhere:
        before = model.moves[-1].after
        about = model.champion or before or ""
        why = "found so: the alias was moved in MLflow, not by `mlops`"
        moved = trail.decided(Entry("moved", about, before, model.champion, (why,), done=True), model.trail)
        trail.write(client, model.name, moved)
        return replace(model, trail=(*model.trail, moved))
    if model.held and not model.held[-1].done:
        last = replace(model.held[-1], done=True)
        trail.write(client, model.name, last)
        return replace(model, trail=(*model.trail[:-1], last))
    return model


def note(client: MlflowClient, model: Registered, entry: Entry, tags: Mapping[str, str]) -> Entry:
    """Write down a decision that leaves the champion as it is; once, while nothing of it changes."""
    about = [earlier for earlier in model.held if earlier.version == entry.version]
    _tag(client, model, entry, tags)
    if about and _said(about[-1]) == _said(entry):
        return about[-1]
    entry = replace(trail.decided(entry, model.trail), done=True)
    trail.write(client, model.name, entry)
    return entry


def move(
    client: MlflowClient, model: Registered, entry: Entry, tags: Mapping[str, str] | None = None
) -> Entry:
    """Carry out a decision: the trail, the version's tags, the alias, and the trail again.

    Killed before the alias, nothing has changed and the trail says so; killed after it, `settle` finishes.
    """
    entry = trail.decided(entry, model.trail)
    trail.write(client, model.name, entry)
    _tag(client, model, entry, tags or {})
    if entry.after:
        client.set_registered_model_alias(model.name, ALIAS, entry.after)
    else:
        client.delete_registered_model_alias(model.name, ALIAS)
    entry = trail.carried_out(entry)
    trail.write(client, model.name, entry)
    return entry


def _tag(client: MlflowClient, model: Registered, entry: Entry, tags: Mapping[str, str]) -> None:
    for tag, value in tags.items():
        client.set_model_version_tag(model.name, entry.version, tag, value)


def _said(entry: Entry) -> tuple[object, ...]:
    return entry.action, entry.before, entry.reasons
