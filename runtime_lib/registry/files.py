"""A version's files on this machine: fetched once, and checked against its digest every time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.errors import ModelError
from runtime_lib.files import atomic_folder
from runtime_lib.locks import locked
from runtime_lib.registry import flavor
from runtime_lib.registry.versions import DIGEST_TAG, held_out
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import tracking_uri
from runtime_lib.training.model import digest, model_files

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["Champion", "fetch"]


@dataclass(frozen=True)
class Champion:
    """A registered version with its model folder on this machine, checked against its digest.

    `held_out` are the figures that the gate saw when it judged this version; None if it never did.
    """

    name: str
    version: str
    run_id: str
    digest: str
    folder: Path
    held_out: Mapping[str, float] | None = None


def fetch(settings: Settings, version: ModelVersion) -> Champion:
    """Bring a version's model folder to `var/models/<version>-<digest>`, checked, whole or not at all."""
    identity = version.tags.get(DIGEST_TAG)
    if not identity:
        raise ModelError(
            f"Version {version.version} of '{version.name}' has no tag {DIGEST_TAG}: `mlops run` did not "
            f"register it, so its files cannot be checked. Give the alias to a version that it did."
        )
    folder = settings.fetched_models / f"{version.version}-{identity[:16]}"
    with locked(settings.lock("models")):
        if not _holds(folder, identity):
            _download(settings, version, identity, folder)
    return Champion(
        version.name, str(version.version), str(version.run_id), identity, folder, held_out(version)
    )


def _download(settings: Settings, version: ModelVersion, identity: str, folder: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as scratch:
        source = f"models:/{version.name}/{version.version}"
        got = Path(download_artifacts(source, dst_path=scratch, tracking_uri=tracking_uri(settings)))
        if not _holds(got / flavor.FILES, identity):
            raise ModelError(
                f"The files of version {version.version} of '{version.name}' are not those that were "
                f"registered (digest {identity[:12]}): they were changed, or are incomplete. Do not trust "
                f"them; delete the version in MLflow and register the model again."
            )
        with atomic_folder(folder) as new:
            for file in model_files(got / flavor.FILES):
                shutil.copyfile(file, new / file.name)


def _holds(folder: Path, identity: str) -> bool:
    try:
        return digest(folder) == identity
    except ModelError:
        return False
