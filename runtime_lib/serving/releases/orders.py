"""What a person or a pipeline orders of the server that runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError, MlopsError, ServiceError
from runtime_lib.files import is_alive, read_json
from runtime_lib.registry.trail import LONGEST_REASON, checked_reason, who
from runtime_lib.serving.control import ask
from runtime_lib.serving.releases import actions
from runtime_lib.serving.traffic import SLOTS, parse_weights
from runtime_lib.settings import Settings

__all__ = ["control", "deploy", "divide", "follow", "renew", "rollback", "rollback_champion", "status"]

# Loading a large model, first in a process of its own.
_SECONDS_TO_DEPLOY = 1200
# It only takes note; whoever tells it has other things to do.
_SECONDS_TO_FOLLOW = 2
# Each worker loads all versions anew, before the one that it replaces ends.
_SECONDS_TO_RENEW = 600


def control(settings: Settings) -> Path:
    """The socket of the project's server.

    Raises:
        ServiceError: none runs on this machine.
    """
    try:
        found = read_json(settings.server, made_by="mlops serve")
    except DataError:
        found = None
    if found is None or not is_alive(found["pid"]):  # one that was killed has left its file
        raise ServiceError(
            f"No server of this project runs on this machine. Start it with `mlops serve`; {settings.server} "
            f"then says how to reach it."
        )
    return Path(found["control"])


def status(settings: Settings) -> dict[str, Any]:
    """What the server does now.

    Raises:
        ServiceError: none runs here.
    """
    return _ask(settings, "status")


def deploy(settings: Settings, name: str, *, how: str, reason: str, **options: Any) -> dict[str, Any]:
    """Release a version: its files are fetched and checked, it is tried, and then it gets traffic.

    Args:
        name: of a version: its number, or an alias as `@champion`.
        how: "at once", "canary", "stage", "shadow" or "ab".

    Raises:
        MlopsError: there is no server, no such version, or it cannot be served. Then nothing has changed.
    """
    reason = checked_reason(reason or f"deployed {name}")
    path = control(settings)
    from runtime_lib.serving.releases.resolve import resolve

    found = resolve(settings, name)
    return _order(path, "deploy", reason, version=found.version, held=asdict(found.held), how=how, **options)


def divide(
    settings: Settings, words: Sequence[str], *, reason: str, unshadow: Sequence[str] = ()
) -> dict[str, Any]:
    """Divide traffic among versions that are loaded.

    Args:
        words: as `7=10`, see `parse_weights`.

    Raises:
        MlopsError: there is no server, or a version is not loaded. Then nothing has changed.
    """
    weights = parse_weights(words) if words else None
    reason = checked_reason(reason or ("traffic divided by hand" if words else "shadow ended by hand"))
    return _order(control(settings), "traffic", reason, weights=weights, unshadow=[*unshadow])


def rollback(settings: Settings, *, reason: str) -> dict[str, Any]:
    """Give all traffic back to the version that had it before.

    Raises:
        MlopsError: there is no server, or nothing to go back to.
    """
    return _order(control(settings), "roll back", checked_reason(reason or "rolled back by hand"))


def rollback_champion(settings: Settings, change: Mapping[str, Any]) -> str | None:
    """Make champion what `rollback` gave traffic to, in the registry's trail too, if that is to be.

    Returns:
        The champion now; the server that runs may have been faster.

    Raises:
        ServiceError: the registry does not answer; traffic has moved all the same.
    """
    from runtime_lib.registry.choose import follow_back
    from runtime_lib.registry.versions import under_alias
    from runtime_lib.tracking.store import connect, service

    version = next(version for version, weight in change["after"].items() if weight == SLOTS)
    left = actions.left(change["before"], version)
    follow_back(settings, version, left=left, reason=change["reason"])
    with service(settings):
        found = under_alias(connect(settings), settings.model_name)
    return None if found is None else str(found.version)


def follow(settings: Settings) -> bool:
    """Tell the server that runs here that the champion may have changed; False: none answers."""
    try:
        _ask(settings, "follow", seconds=_SECONDS_TO_FOLLOW)
    except MlopsError:
        return False
    return True


def renew(settings: Settings) -> None:
    """Have the server that runs here replace its workers one by one, as the project's code has changed.

    Raises:
        ServiceError: none runs here, or a new worker does not come up; then the others go on.
    """
    _ask(settings, "renew", seconds=_SECONDS_TO_RENEW)


def _order(path: Path, do: str, reason: str, **given: Any) -> dict[str, Any]:
    assert len(reason) <= LONGEST_REASON
    found: dict[str, Any] = ask(
        path, do, seconds=_SECONDS_TO_DEPLOY, by="hand", who=who(), reason=reason, **given
    )
    return found


def _ask(settings: Settings, do: str, *, seconds: float = 30) -> dict[str, Any]:
    found: dict[str, Any] = ask(control(settings), do, seconds=seconds)
    return found
