"""What a server has to do with its registry, in a process of its own: who is champion, and what was released.

Each change of traffic becomes a tag of the registered model, under its own key: every machine that shares the
registry sees it, and two servers overwrite nothing of each other's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError
from runtime_lib.files import check_format
from runtime_lib.registry.trail import LONGEST_REASON
from runtime_lib.serving import apart
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["recorded", "ship"]

_TAG = "mlops.release."
_FORMAT = 1
# Characters of a registered model's tag in PostgreSQL and MySQL.
_LONGEST = 5000


def ship(settings: Settings, client: MlflowClient) -> str:
    """Record in the registry what the journal holds and the registry does not; the key of the last change."""
    changes = Journal(settings.releases).changes()
    tags = client.get_registered_model(settings.model_name).tags if changes else {}
    for change in changes:
        if _TAG + change.key not in tags:
            text = json.dumps({"format": _FORMAT, **change.to_dict()}, ensure_ascii=False)
            if len(text) > _LONGEST:
                text = json.dumps({"format": _FORMAT, **change.to_dict(), "figures": {}}, ensure_ascii=False)
            client.set_registered_model_tag(settings.model_name, _TAG + change.key, text)
    return changes[-1].key if changes else ""


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


def _sync(settings: Settings, known: str, back: Mapping[str, str] | None) -> dict[str, Any]:
    """
    Args:
        known: the champion that the server has seen last; its files need not be fetched again.
        back: the version that is to be champion again, the one that it is `left` for it, and the reason.
    """
    from runtime_lib.registry.choose import follow_back
    from runtime_lib.registry.files import fetch
    from runtime_lib.registry.versions import under_alias
    from runtime_lib.tracking.store import connect, service

    client = connect(settings)
    if back and settings.serving.follow:
        reason = back["reason"][:LONGEST_REASON]
        follow_back(settings, back["version"], left=[back["left"]], reason=reason)
    with service(settings):
        shipped = ship(settings, client)
        champion = under_alias(client, settings.model_name) if settings.serving.follow else None
        if champion is None or str(champion.version) == known:
            return {"shipped": shipped, "champion": None}
        found = fetch(settings, champion)
    held = {"folder": str(found.folder), "digest": found.digest}
    return {"shipped": shipped, "champion": {"version": found.version, "held": held}}


if __name__ == "__main__":
    apart.answer(_sync)
