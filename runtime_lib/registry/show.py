"""What the registry holds, for people: the champion and why, every version, every decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runtime_lib.registry.standing import Registered, how, set_aside
from runtime_lib.registry.trail import Entry
from runtime_lib.registry.versions import (
    DECISION_TAG,
    REASONS_TAG,
    figures_of,
    held_out,
    registered,
    versions,
    where,
)
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import connect, service

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Row", "Status", "decisions", "no_champion", "rows", "status"]


@dataclass(frozen=True)
class Status:
    """The champion, or why there is none.

    Attributes:
        model, registry: its registered name, and where was asked.
        version: None: there is no champion.
        figures: on its held-out rows; empty if the gate never judged it.
        since: when it became champion, ISO 8601; empty if nobody wrote that down.
        decided, reasons: who or what decided, and why.
        notes: what else has to be known.
    """

    model: str
    registry: str
    version: str | None
    figures: Mapping[str, float] = field(default_factory=dict)
    since: str = ""
    decided: str = ""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Row:
    """One version.

    Attributes:
        made: ISO 8601.
        decision: promoted, refused, set aside, or not judged.
        suspects: the columns for which it was refused as too good to be true.
    """

    version: str
    made: str
    figures: Mapping[str, float]
    decision: str
    champion: bool
    suspects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(settings: Settings) -> Status:
    """Return the champion with its figures, since when, by whom and why.

    Raises:
        ServiceError: the registry does not answer.
    """
    model, found = _read(settings)
    holder = next((v for v in found if str(v.version) == model.champion), None)
    notes = _notes(model)
    if holder is None:
        said = _why_none(settings, model, found)
        return Status(model.name, where(settings), None, reasons=(said,), notes=notes)
    since, decided, reasons = _origin(model, holder)
    figures = held_out(holder) or {}
    return Status(model.name, where(settings), model.champion, figures, since, decided, reasons, notes)


def rows(settings: Settings) -> list[Row]:
    """Return every version, the newest first.

    Raises:
        ServiceError: the registry does not answer.
    """
    model, found = _read(settings)
    return [
        Row(
            str(version.version),
            datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            held_out(version) or {},
            _decision(model, version),
            str(version.version) == model.champion,
            tuple(figures_of(version).get("suspects", ())),
        )
        for version in found
    ]


def decisions(settings: Settings) -> list[Entry]:
    """Return the trail, oldest first; `done` says whether a decision was carried out.

    Raises:
        ServiceError: the registry does not answer.
    """
    model, _ = _read(settings)
    return list(model.trail)


def no_champion(settings: Settings) -> str:
    """Say why there is no champion in the registry that was asked, and the command that goes on."""
    return _why_none(settings, *_read(settings))


def _read(settings: Settings) -> tuple[Registered, list[ModelVersion]]:
    client = connect(settings)
    with service(settings):
        model = registered(client, settings.model_name)
        return model, versions(client, model.name)


def _why_none(settings: Settings, model: Registered, found: Sequence[ModelVersion]) -> str:
    head = f"'{model.name}' has no champion in the registry at {where(settings)}"
    if not found:
        return f"{head}: it holds no version. `mlops run` registers what is trained and asks the gate."
    newest = found[0]
    decision = _decision(model, newest)
    way = "`mlops promote` judges the newest candidate"
    if decision == "set aside":
        way = "the gate judges the next new version"
    if model.moves:
        why = "the alias was removed outside of `mlops`" if model.moved_elsewhere else how(model.moves[-1])
    else:
        why = f"version {newest.version} is {decision}"
        if refused := newest.tags.get(REASONS_TAG):
            why += f": {refused}"
    return (
        f"{head}: {why.rstrip('.')}. To go on, {way}, or "
        f'`mlops champion set VERSION --reason "…"` decides by hand (`mlops champion list`).'
    )


def _origin(model: Registered, holder: ModelVersion) -> tuple[str, str, tuple[str, ...]]:
    if origin := model.origin:
        by = origin.who if origin.by == "hand" else f"the {origin.by}"
        return origin.time.isoformat(timespec="seconds"), f"{by} ({origin.action})", origin.reasons
    if not model.moved_elsewhere and holder.tags.get(DECISION_TAG) == "promoted":
        return "", "the gate, before there was a trail", (holder.tags.get(REASONS_TAG, ""),)
    return "", "somebody, outside of `mlops`", ()


def _notes(model: Registered) -> tuple[str, ...]:
    notes = []
    if model.moved_elsewhere:
        notes.append(
            f"the alias was moved outside of `mlops`; the last decision before: {how(model.moves[-1])}"
        )
    if model.trail and model.trail[-1] not in model.held:
        notes.append(f"not carried out, or under way: {how(model.trail[-1])}; repeat the command")
    return tuple(notes)


def _decision(model: Registered, version: ModelVersion) -> str:
    decision: str = version.tags.get(DECISION_TAG, "")
    if decision != "refused" and set_aside(model, str(version.version), decision):
        return "set aside"
    return decision or "not judged"
