"""What a server has to do with its registry, in a process of its own: who is champion, and what was released.

Each change of traffic becomes a tag of the registered model, under its own key: every machine that shares the
registry sees it, and two servers overwrite nothing of each other's.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError, ModelError
from runtime_lib.files import check_format
from runtime_lib.registry.trail import LONGEST_REASON
from runtime_lib.serving import apart
from runtime_lib.serving.releases.actions import left
from runtime_lib.serving.releases.journal import Change, Journal
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["recorded", "ship"]

_TAG = "mlops.release."
_FORMAT = 1
# Characters of a registered model's tag in PostgreSQL and MySQL.
_LONGEST = 5000


def ship(settings: Settings, client: MlflowClient) -> str:
    """Record in the registry what the journal holds and the registry does not; the key of the last change.

    A rollback moves the champion too. That comes before its record, so that a kill in between repeats it.

    Raises:
        MlopsError: the version that traffic went back to cannot be champion again.
    """
    changes = Journal(settings.releases).changes()
    tags = client.get_registered_model(settings.model_name).tags if changes else {}
    for change in changes:
        if _TAG + change.key not in tags:
            if settings.serving.follow and _holds(change, changes[-1]):
                _give_back(settings, change)
            text = json.dumps({"format": _FORMAT, **change.to_dict()}, ensure_ascii=False)
            if len(text) > _LONGEST:
                text = json.dumps({"format": _FORMAT, **change.to_dict(), "figures": {}}, ensure_ascii=False)
            client.set_registered_model_tag(settings.model_name, _TAG + change.key, text)
    return changes[-1].key if changes else ""


def _holds(change: Change, last: Change) -> bool:
    """Whether a change is a rollback, and traffic is still where it went."""
    version = change.state.policy.only
    return change.action == "rolled back" and version is not None and version == last.state.policy.only


def _give_back(settings: Settings, change: Change) -> None:
    from runtime_lib.registry.choose import follow_back

    version = str(change.state.policy.only)
    follow_back(
        settings,
        version,
        left=left(change.before, version),
        reason=change.reason[:LONGEST_REASON],
        release="" if change.by == "hand" else change.by,
        figures=change.figures,
    )


def recorded(settings: Settings) -> list[dict[str, Any]]:
    """Every change of traffic that the registry knows of, and this server's own; oldest first.

    Raises:
        ServiceError: the registry does not answer.
        DataError: a record is of a later format.
    """
    from runtime_lib.tracking.store import connect, service

    client = connect(settings)
    with service(settings):
        ship(settings, client)
        tags = client.get_registered_model(settings.model_name).tags
    found = [_record(key, text) for key, text in tags.items() if key.startswith(_TAG)]
    return sorted(found, key=lambda record: (record["time"], record["key"]))


def _record(key: str, text: str) -> dict[str, Any]:
    where = f"The tag {key} of the registered model"
    try:
        record: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where} is damaged ({error}): remove it in MLflow's pages.") from error
    check_format(record.pop("format", None), newest=_FORMAT, where=where)
    return record


def _sync(settings: Settings, known: Collection[str]) -> dict[str, Any]:
    """
    Args:
        known: champions whose files are not needed: the one that was released last, one that cannot be.
    """
    from runtime_lib.registry.files import fetch
    from runtime_lib.registry.versions import under_alias
    from runtime_lib.tracking.store import connect, service

    client = connect(settings)
    with service(settings):
        shipped = ship(settings, client)
        answer: dict[str, Any] = {"shipped": shipped, "champion": None, "held": None, "damage": ""}
        champion = under_alias(client, settings.model_name) if settings.serving.follow else None
        if champion is None:
            return answer
        answer["champion"] = version = str(champion.version)
        if version not in known:
            try:
                found = fetch(settings, champion)
                answer["held"] = {"folder": str(found.folder), "digest": found.digest}
            except ModelError as error:
                answer["damage"] = str(error)
    return answer


if __name__ == "__main__":
    apart.answer(_sync)
