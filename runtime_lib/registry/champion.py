"""The champion: the version under the alias `champion`, its files, and how another one gets there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.data.months import read_table
from runtime_lib.errors import DataError, MissingExtraError, ModelError
from runtime_lib.files import atomic_folder, check_format, read_json, write_json
from runtime_lib.locks import locked
from runtime_lib.registry import flavor
from runtime_lib.registry.gate import Decision, judge
from runtime_lib.registry.register import DIGEST_TAG, read_evaluation, register
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import connect, service, tracking_uri
from runtime_lib.training.judge import judge_table, open_model
from runtime_lib.training.model import digest

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["ALIAS", "Champion", "champion", "promote"]

ALIAS = "champion"
DECISION_TAG, REASONS_TAG, FIGURES_TAG = "mlops.decision", "mlops.reasons", "mlops.figures"
_FORMAT = 1  # of reports/promotion.json and of the figures in their tag


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


def champion(settings: Settings) -> Champion | None:
    """Return the champion, its files fetched to `var/models/` once; None while there is none.

    Raises:
        ServiceError: the registry does not answer.
        ModelError: the stored files are not those that were registered.
    """
    client = connect(settings)
    with service(settings):
        version = _under_alias(client, settings.model_name)
        return _fetch(settings, version) if version else None


def promote(settings: Settings) -> Decision:
    """Judge the registered candidate on the held-out test table; move the alias if it passes.

    A candidate that is the champion already stays so, unjudged. A champion that cannot predict the
    test table (the features changed) is represented by the figures of its own promotion; one without
    any is not replaced. Tags the version with the decision and writes `reports/promotion.json`.

    Raises:
        DataError, ModelError, ServiceError: something the decision needs is missing, damaged or down.
    """
    client = connect(settings)
    with locked(settings.lock("promote")), service(settings):
        version = _registered(settings, client)
        holder = _under_alias(client, settings.model_name)
        if holder and holder.tags.get(DIGEST_TAG) == version.tags[DIGEST_TAG]:
            decision = Decision(True, (f"version {holder.version} is already the champion: nothing changed",))
        else:
            decision = _decide(settings, version, holder)
            _carry_out(client, version, decision)
    report = {"format": _FORMAT, "version": str(version.version), **decision.to_dict()}
    write_json(settings.report("promotion"), report)
    return decision


def _decide(settings: Settings, version: ModelVersion, holder: ModelVersion | None) -> Decision:
    evaluation = read_evaluation(settings, version.tags[DIGEST_TAG])
    path = settings.split_part("test")
    if not path.exists():
        raise DataError(f"{path} does not exist: make it with `mlops run`, or fetch it with `dvc pull`.")
    table = read_table(path)
    if evaluation.get("rows") != len(table):
        raise DataError(
            f"reports/evaluation.json judged {evaluation.get('rows')} rows, {path.name} has {len(table)}: "
            f"the baselines are of another table. Evaluate again with `mlops run`."
        )
    figures = _evaluate(settings, _fetch(settings, version), table)
    incumbent, note = (None, "") if holder is None else _incumbent(settings, holder, table)
    if note and incumbent is None:
        return Decision(False, (note,), {"candidate": figures})
    decision = judge(figures, evaluation["naive"], incumbent, settings.registry)
    return Decision(decision.promoted, (*([note] if note else []), *decision.reasons), decision.figures)


def _incumbent(
    settings: Settings, holder: ModelVersion, table: pd.DataFrame
) -> tuple[Mapping[str, float] | None, str]:
    """The champion's figures, and a note when they are not of this table; no figures: cannot be judged."""
    try:
        return _evaluate(settings, _fetch(settings, holder), table), ""
    except (DataError, ModelError, MissingExtraError) as error:
        why = f"the champion (version {holder.version}) cannot be judged on this test table: {error}"
    if stored := _held_out(holder):
        rows = int(stored.get("rows", 0))
        return stored, f"{why} Its figures of {rows:,} rows at its own promotion are used instead."
    return None, (
        f"{why} It has no figures of an earlier promotion either: refused. To decide yourself, give the "
        f"alias '{ALIAS}' to the version of your choice in MLflow, or delete the alias."
    )


def _evaluate(settings: Settings, held: Champion, table: pd.DataFrame) -> dict[str, float]:
    return judge_table(settings, open_model(settings, held.folder), table)


def _carry_out(client: MlflowClient, version: ModelVersion, decision: Decision) -> None:
    # Tags first: killed in between, the next attempt judges again. The other way round, there would be a
    # champion without the figures of its promotion.
    for tag, value in {
        DECISION_TAG: "promoted" if decision.promoted else "refused",
        REASONS_TAG: "; ".join(decision.reasons),
        FIGURES_TAG: json.dumps({"format": _FORMAT, **decision.figures}),
    }.items():
        client.set_model_version_tag(version.name, version.version, tag, value)
    if decision.promoted:
        client.set_registered_model_alias(version.name, ALIAS, version.version)


def _registered(settings: Settings, client: MlflowClient) -> ModelVersion:
    """The version that `reports/registered.json` names; registered again where the registry lacks it,
    as after a fresh clone whose reports came from DVC.
    """
    from mlflow.exceptions import MlflowException

    known = read_json(settings.report("registered"), made_by="mlops run")
    try:
        version = client.get_model_version(known["name"], known["version"])
        if version.tags.get(DIGEST_TAG) == known["digest"]:
            return version
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    known = register(settings)
    return client.get_model_version(known["name"], known["version"])


def _under_alias(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no model, no alias
            return None
        raise


def _fetch(settings: Settings, version: ModelVersion) -> Champion:
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
        version.name, str(version.version), str(version.run_id), identity, folder, _held_out(version)
    )


def _held_out(version: ModelVersion) -> Mapping[str, float] | None:
    figures = json.loads(version.tags.get(FIGURES_TAG, "{}"))
    where = f"The tag {FIGURES_TAG} of version {version.version} of '{version.name}'"
    check_format(figures.get("format", 1), newest=_FORMAT, where=where)
    held_out: Mapping[str, float] | None = figures.get("candidate")
    return held_out


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
            for file in (got / flavor.FILES).iterdir():
                (new / file.name).write_bytes(file.read_bytes())


def _holds(folder: Path, identity: str) -> bool:
    try:
        return digest(folder) == identity
    except ModelError:
        return False
