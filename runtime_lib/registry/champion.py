"""The champion: the version under the alias `champion`, and its files."""

from __future__ import annotations

from runtime_lib.registry.files import Champion, fetch
from runtime_lib.registry.promote import promote
from runtime_lib.registry.show import no_champion
from runtime_lib.registry.versions import ALIAS, under_alias
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import connect, service

__all__ = ["ALIAS", "Champion", "champion", "no_champion", "promote"]


def champion(settings: Settings) -> Champion | None:
    """Return the champion, its files fetched to `var/models/` once; None while there is none.

    Raises:
        ServiceError: the registry does not answer.
        ModelError: the stored files are not those that were registered.
    """
    client = connect(settings)
    with service(settings):
        version = under_alias(client, settings.model_name)
        return fetch(settings, version) if version else None
