"""What the registry knows of a model: its versions, their tags, and the one under the alias."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError
from runtime_lib.files import check_format
from runtime_lib.registry import trail
from runtime_lib.registry.standing import Registered
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = [
    "ALIAS",
    "DECISION_TAG",
    "DIGEST_TAG",
    "FIGURES_FORMAT",
    "FIGURES_TAG",
    "REASONS_TAG",
    "figures_of",
    "find",
    "held_out",
    "named",
    "promoted",
    "registered",
    "under_alias",
    "versions",
    "where",
]

ALIAS = "champion"
DIGEST_TAG = "mlops.digest"
DECISION_TAG, REASONS_TAG, FIGURES_TAG = "mlops.decision", "mlops.reasons", "mlops.figures"
FIGURES_FORMAT = 2  # of the figures in their tag; 1, until 0.6, were of binary tasks and had no intervals


def where(settings: Settings) -> str:
    """The registry that the settings name, without the password of its address."""
    return without_secrets(tracking_uri(settings))


def registered(client: MlflowClient, name: str) -> Registered:
    """The model's champion and trail, in one request; a registry that does not know it has neither."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return Registered(name)
        raise
    under = model.aliases.get(ALIAS)
    return Registered(name, None if under is None else str(under), trail.read(model.tags))


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version, the newest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        if not (token := page.token):
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def find(client: MlflowClient, name: str, identity: str) -> list[ModelVersion]:
    """The versions with this digest, the newest first."""
    query = f"name = '{name}' and tags.`{DIGEST_TAG}` = '{identity}'"
    return sorted(client.search_model_versions(query), key=lambda v: int(v.version), reverse=True)


def named(settings: Settings, found: Sequence[ModelVersion], version: str) -> ModelVersion:
    """The one of these versions that has this number.

    Raises:
        DataError: there is none.
    """
    for each in found:
        if str(each.version) == version:
            return each
    known = ", ".join(str(each.version) for each in found[:5]) or "none"
    more = f" and {len(found) - 5} older" if len(found) > 5 else ""
    raise DataError(
        f"'{settings.model_name}' has no version {version!r} in the registry at {where(settings)}. "
        f"Known: {known}{more}."
    )


def promoted(found: Iterable[ModelVersion]) -> list[str]:
    """The numbers of those that the gate has let pass."""
    return [str(version.version) for version in found if version.tags.get(DECISION_TAG) == "promoted"]


def under_alias(client: MlflowClient, name: str, alias: str = ALIAS) -> ModelVersion | None:
    """The version under an alias, by default the champion; None while there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no model, no alias
            return None
        raise


def held_out(version: ModelVersion) -> Mapping[str, float] | None:
    """The figures that the gate saw when it judged this version; None if it never did."""
    held_out: Mapping[str, float] | None = figures_of(version).get("candidate")
    return held_out


def figures_of(version: ModelVersion) -> dict[str, Any]:
    """All that the gate compared when it judged this version, and the fingerprint of the table.

    Raises:
        DataError: they are of a later format.
    """
    figures: dict[str, Any] = json.loads(version.tags.get(FIGURES_TAG, "{}"))
    where = f"The tag {FIGURES_TAG} of version {version.version} of '{version.name}'"
    check_format(figures.get("format", 1), newest=FIGURES_FORMAT, where=where)
    return figures
