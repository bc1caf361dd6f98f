"""What the registry knows of a model: its versions, their tags, and the one under the alias."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime_lib.files import check_format

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
    "held_out",
    "under_alias",
]

ALIAS = "champion"
DIGEST_TAG = "mlops.digest"
DECISION_TAG, REASONS_TAG, FIGURES_TAG = "mlops.decision", "mlops.reasons", "mlops.figures"
FIGURES_FORMAT = 1  # of the figures in their tag


def under_alias(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no model, no alias
            return None
        raise


def held_out(version: ModelVersion) -> Mapping[str, float] | None:
    figures = json.loads(version.tags.get(FIGURES_TAG, "{}"))
    where = f"The tag {FIGURES_TAG} of version {version.version} of '{version.name}'"
    check_format(figures.get("format", 1), newest=FIGURES_FORMAT, where=where)
    held_out: Mapping[str, float] | None = figures.get("candidate")
    return held_out
