"""The candidate becomes a registered version: once, whatever is killed on the way."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError, ModelError
from runtime_lib.files import read_json, write_json
from runtime_lib.locks import locked
from runtime_lib.registry import flavor
from runtime_lib.registry.describe import describe
from runtime_lib.registry.page import upload_page
from runtime_lib.registry.single import in_a_sentence
from runtime_lib.registry.versions import DIGEST_TAG, find
from runtime_lib.settings import Settings
from runtime_lib.tracking.record import RunState, read, record_folder
from runtime_lib.tracking.ship import plain_name, ship, ship_pending
from runtime_lib.tracking.store import connect, experiment_id, service
from runtime_lib.tracking.summary import NEEDS_TAG, WORST_TAG
from runtime_lib.training.evaluate import FORMAT as EVALUATION
from runtime_lib.training.model import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["enter", "read_evaluation", "register"]

_FORMAT = 1  # of reports/registered.json; `read_json` says how to raise it
_MOST_NEEDED = 5


def register(settings: Settings) -> dict[str, str]:
    """Deliver the candidate's training record, and register the candidate unless it is already.

    Also delivers what else waits in the spool. Writes `reports/registered.json`.

    Returns:
        `name`, `version`, `run_id`, `digest`: those of the one version with this digest.

    Raises:
        DataError, ModelError: no candidate, no record or evaluation of it, or one of another model.
        ServiceError: the registry does not answer.
    """
    version = enter(settings, connect(settings))
    result = {
        "name": settings.model_name,
        "version": str(version.version),
        "run_id": str(version.run_id),
        "digest": str(version.tags[DIGEST_TAG]),
    }
    write_json(settings.report("registered"), {"format": _FORMAT, **result})
    return result


def enter(settings: Settings, client: MlflowClient) -> ModelVersion:
    """Do what `register` does, but for its report: that is a file of DVC's, and no registry's own.

    Returns:
        The one version with the candidate's digest.
    """
    identity = digest(settings.candidate)
    state, _ = read(record_folder(settings))
    if state.model_digest != identity:
        raise ModelError(
            f"{settings.candidate} (digest {identity[:12]}) is not the model that {record_folder(settings)} "
            f"describes ({state.model_digest[:12] or 'no model'}): one of them was changed. Restore them "
            f"with `dvc checkout`, or train again with `mlops run`."
        )
    evaluation = read_evaluation(settings, identity)
    run_id = ship(settings, record_folder(settings), client)
    with locked(settings.lock("register")), service(settings):
        _log_evaluation(client, run_id, state, evaluation)
        version = _find(client, settings.model_name, identity)
        if version is None:
            model_id = _logged(settings, client, run_id, identity)
            version = _new_version(client, settings.model_name, model_id, run_id, identity)
        describe(settings, client, version)
        upload_page(settings, client, run_id)
    ship_pending(settings)
    return version


def read_evaluation(settings: Settings, identity: str) -> dict[str, Any]:
    """Read `reports/evaluation.json`, and refuse one that is of another model than `identity`."""
    path = settings.report("evaluation")
    evaluation = read_json(path, made_by="mlops run", newest=EVALUATION)
    if evaluation.get("digest") != identity:
        raise DataError(f"{path} is of another model than {identity[:12]}: evaluate again with `mlops run`.")
    return evaluation


def _find(client: MlflowClient, name: str, identity: str) -> ModelVersion | None:
    for version in find(client, name, identity):
        if _has_files(client, str(version.source).rpartition("/")[2]):
            return version
    return None


def _has_files(client: MlflowClient, model_id: str) -> bool:
    return any(file.path == "MLmodel" for file in client.list_logged_model_artifacts(model_id))


def _logged(settings: Settings, client: MlflowClient, run_id: str, identity: str) -> str:
    """The id of the logged model with this digest; one that a killed attempt left half-way is closed."""
    query = f"tags.`{DIGEST_TAG}` = '{identity}'"
    for model in client.search_logged_models([experiment_id(settings, client)], filter_string=query):
        if model.status == "READY" and _has_files(client, model.model_id):
            return str(model.model_id)
        if model.status == "PENDING":
            client.finalize_logged_model(model.model_id, "FAILED")
    return _log(settings, client, run_id, identity)


def _log(settings: Settings, client: MlflowClient, run_id: str, identity: str) -> str:
    # Step by step, because `log_model` in one call reads the whole history of every metric: seconds.
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory() as scratch:
        folder, packed = Path(scratch) / flavor.FILES.name, Path(scratch) / "packed"
        shutil.copytree(settings.candidate, folder)
        if digest(folder) != identity:
            raise ModelError(f"{settings.candidate} changed while it was registered. Register again.")
        model = client.create_logged_model(
            experiment_id(settings, client),
            name=settings.model_name,
            source_run_id=run_id,
            tags={DIGEST_TAG: identity},
        )
        flavor.save(packed, folder, model_id=model.model_id, run_id=run_id)
        client.log_model_artifacts(model.model_id, str(packed))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def _new_version(client: MlflowClient, name: str, model_id: str, run_id: str, identity: str) -> ModelVersion:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    return client.create_model_version(
        name, f"models:/{model_id}", run_id=run_id, tags={DIGEST_TAG: identity}, model_id=model_id
    )


def _log_evaluation(
    client: MlflowClient, run_id: str, state: RunState, evaluation: Mapping[str, Any]
) -> None:
    """The held-out figures as the run's metrics `test/…`, the baselines' as `test/naive/…`."""
    from mlflow.entities import Metric

    metrics = []
    for who, figures in evaluation.items():
        if isinstance(figures, Mapping):
            prefix = "test/" if who == "candidate" else f"test/{who}/"
            # The record's own time, so that doing it again stores nothing twice.
            metrics += [
                Metric(plain_name(prefix + name), float(value), state.end or state.start, 0)
                for name, value in figures.items()
                if isinstance(value, int | float)
            ]
    client.log_batch(run_id, metrics=metrics)
    if needed := evaluation.get("importance"):
        said = ", ".join(f"{item['column']} ({item['loss']:.4g})" for item in needed[:_MOST_NEEDED])
        client.set_tag(run_id, NEEDS_TAG, said)
    if worst := in_a_sentence(evaluation.get("examples", ())):
        client.set_tag(run_id, WORST_TAG, worst)
