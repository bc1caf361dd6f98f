"""How a version becomes champion: judged on the held-out table, next to the champion, by the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime_lib.data.months import read_table
from runtime_lib.errors import DataError, MissingExtraError, ModelError
from runtime_lib.files import read_json, write_json
from runtime_lib.locks import locked
from runtime_lib.registry.files import Champion, fetch
from runtime_lib.registry.gate import Decision, judge
from runtime_lib.registry.register import read_evaluation, register
from runtime_lib.registry.suspects import hold_back
from runtime_lib.registry.versions import (
    ALIAS,
    DECISION_TAG,
    DIGEST_TAG,
    FIGURES_FORMAT,
    FIGURES_TAG,
    REASONS_TAG,
    held_out,
    under_alias,
)
from runtime_lib.settings import Settings
from runtime_lib.tracking.store import connect, service
from runtime_lib.training.judge import judge_table, open_model

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["promote"]

_FORMAT = 1  # of reports/promotion.json


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
        holder = under_alias(client, settings.model_name)
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
    figures = _evaluate(settings, fetch(settings, version), table)
    incumbent, note = (None, "") if holder is None else _incumbent(settings, holder, table)
    if note and incumbent is None:
        return Decision(False, (note,), {"candidate": figures})
    decision = judge(figures, evaluation["naive"], incumbent, settings.registry)
    decision = hold_back(decision, evaluation, settings.registry)
    return replace(decision, reasons=(*([note] if note else []), *decision.reasons))


def _incumbent(
    settings: Settings, holder: ModelVersion, table: pd.DataFrame
) -> tuple[Mapping[str, float] | None, str]:
    """The champion's figures, and a note when they are not of this table; no figures: cannot be judged."""
    try:
        return _evaluate(settings, fetch(settings, holder), table), ""
    except (DataError, ModelError, MissingExtraError) as error:
        why = f"the champion (version {holder.version}) cannot be judged on this test table: {error}"
    if stored := held_out(holder):
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
        FIGURES_TAG: json.dumps({"format": FIGURES_FORMAT, **decision.figures}),
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
