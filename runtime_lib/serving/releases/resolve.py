"""Which version a name means, and its files on this machine: asked of the registry, in a process of its own.

MLflow takes seconds to import and hundreds of megabytes; a server has neither to spare. The process ends with
its answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.serving import apart
from runtime_lib.serving.releases.journal import Held
from runtime_lib.settings import Settings

__all__ = ["CHAMPION", "Resolved", "resolve", "resolve_apart"]

CHAMPION = "@champion"


@dataclass(frozen=True)
class Resolved:
    """A registered version, its files fetched and checked."""

    model: str
    version: str
    held: Held


def resolve(settings: Settings, name: str) -> Resolved:
    """Find a version by its number or by an alias, as `@champion`, and fetch its files.

    Raises:
        ServiceError: the registry does not answer, or there is no champion.
        DataError: there is no such version or alias.
        ModelError: its files are not those that were registered.
    """
    from runtime_lib.registry.champion import no_champion
    from runtime_lib.registry.files import fetch
    from runtime_lib.registry.versions import named, under_alias, versions
    from runtime_lib.tracking.store import connect, service

    client = connect(settings)
    with service(settings):
        if name.startswith("@"):
            found = under_alias(client, settings.model_name, name.removeprefix("@"))
            if found is None and name == CHAMPION:
                raise ServiceError(no_champion(settings))
            if found is None:
                raise DataError(f"'{settings.model_name}' has no version under the alias '{name}'.")
        else:
            found = named(settings, versions(client, settings.model_name), name)
        fetched = fetch(settings, found)
    return Resolved(fetched.name, fetched.version, Held(str(fetched.folder), fetched.digest))


async def resolve_apart(settings: Settings, name: str) -> Resolved:
    """As `resolve`, in a process of its own.

    Raises:
        MlopsError: as `resolve`.
    """
    found = await apart.ask("runtime_lib.serving.releases.resolve", settings, name=name)
    return Resolved(found["model"], found["version"], Held(**found["held"]))


def _answer(settings: Settings, name: str) -> dict[str, Any]:
    return asdict(resolve(settings, name))


if __name__ == "__main__":
    apart.answer(_answer)
