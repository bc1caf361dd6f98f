"""What a version and its run say of themselves in MLflow's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime_lib.registry.versions import DECISION_TAG, REASONS_TAG
from runtime_lib.settings import Settings
from runtime_lib.tracking.ship import tell

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["describe"]

_LONGEST = 5000  # of a version's description, in MLflow's tables


def describe(settings: Settings, client: MlflowClient, version: ModelVersion) -> None:
    """Name the run of a version, and write the description of both.

    Call it after the tags of the version have changed: it reads figures and decision from the store, so
    that doing it twice changes nothing.
    """
    version = client.get_model_version(version.name, version.version)
    text = tell(settings, client, str(version.run_id), verdict=_verdict(version))[:_LONGEST]
    if text != version.description:
        client.update_model_version(version.name, version.version, description=text)


def _verdict(version: ModelVersion) -> str:
    decision = version.tags.get(DECISION_TAG)
    if not decision:
        return ""
    reasons = version.tags.get(REASONS_TAG, "").strip().rstrip(".")
    return f"**Gate, version {version.version}**: {decision}. {reasons}."
