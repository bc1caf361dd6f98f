"""How a version becomes champion: judged on the held-out table, next to the champion, by the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.months import read_labels, read_table
from runtime_lib.errors import DataError
from runtime_lib.files import read_json
from runtime_lib.locks import locked
from runtime_lib.registry.decide import move, note, settle
from runtime_lib.registry.describe import describe
from runtime_lib.registry.files import fetch
from runtime_lib.registry.gate import Decision, Other, judge
from runtime_lib.registry.incumbent import Judged, fingerprint, rival
from runtime_lib.registry.page import upload_page, write_page
from runtime_lib.registry.register import enter, read_evaluation
from runtime_lib.registry.standing import Registered
from runtime_lib.registry.suspects import hold_back
from runtime_lib.registry.trail import Entry
from runtime_lib.registry.verdict import is_kept, keep, reopened, verdict
from runtime_lib.registry.versions import (
    DECISION_TAG,
    DIGEST_TAG,
    FIGURES_FORMAT,
    FIGURES_TAG,
    REASONS_TAG,
    find,
    registered,
    where,
)
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import gate_metric
from runtime_lib.task.metric import Gain
from runtime_lib.tracking.store import connect, service
from runtime_lib.training.judge import answer_table, open_model
from runtime_lib.training.model import Model

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["promote"]


def promote(settings: Settings, *, again: bool = True) -> Decision:
    """Judge the registered candidate on the held-out test table; move the alias if it passes.

    A candidate that is the champion already stays so, unjudged; one that was set aside stays that. A registry
    that does not know the candidate is given it first. Tags the version with the decision, adds it to the
    trail, and writes `reports/promotion.json`.

    Args:
        again: judge also a version that was judged before (default), here or where it came from; else say
            what holds of it now. Other held-out rows are always a reason to judge again.

    Raises:
        DataError, ModelError, ServiceError: something the decision needs is missing, damaged or down.
    """
    client = connect(settings)
    with locked(settings.lock("promote")), service(settings):
        found, new = _candidate(settings, client)
        model = registered(client, settings.model_name)
        if again:
            model = settle(client, model)
        decision = verdict(settings, client, model, found, again=again or reopened(settings, found[0]))
        if decision is None:
            model = settle(client, model)
            decision = _judge(settings, client, model, found[0])
            describe(settings, client, found[0])
    decision = replace(decision, version=str(found[0].version), reasons=(*new, *decision.reasons))
    anew = again or decision.judged
    if anew or not is_kept(settings, found[0].tags[DIGEST_TAG], decision):
        keep(settings, found[0].tags[DIGEST_TAG], decision)
    if anew:
        with service(settings):
            upload_page(settings, client, str(found[0].run_id))
    else:
        write_page(settings)  # DVC may have brought the reports back without it
    return decision


def _candidate(settings: Settings, client: MlflowClient) -> tuple[list[ModelVersion], tuple[str, ...]]:
    """The versions with the digest in `reports/registered.json`, by whatever numbers this registry has them.

    Where this registry lacks it, because it is another one or new, it is registered there, and that is said.
    """
    known = read_json(settings.report("registered"), made_by="mlops run")
    if found := find(client, settings.model_name, known["digest"]):
        return found, ()
    version = enter(settings, client)
    what = f"version {version.version} of '{version.name}'"
    return [version], (f"registered as {what} in {where(settings)}, which did not know this model",)


def _judge(settings: Settings, client: MlflowClient, model: Registered, version: ModelVersion) -> Decision:
    table = _held_out_table(settings)
    holder = client.get_model_version(model.name, model.champion) if model.champion else None
    decision = _decide(settings, version, holder, table)
    number, action = str(version.version), "promoted" if decision.promoted else "refused"
    after = number if decision.promoted else model.champion
    tags = {
        DECISION_TAG: action,
        REASONS_TAG: "; ".join(decision.reasons),
        FIGURES_TAG: json.dumps(
            {
                "format": FIGURES_FORMAT,
                "table": fingerprint(table),
                "suspects": decision.suspects,
                **decision.figures,
            }
        ),
    }
    entry = Entry(
        "promoted" if decision.promoted else "refused",
        number,
        model.champion,
        after,
        decision.reasons,
        decision.figures,
    )
    if decision.promoted:
        move(client, model, entry, tags)
    else:
        note(client, model, entry, tags)
    return decision


def _decide(
    settings: Settings, version: ModelVersion, holder: ModelVersion | None, table: pd.DataFrame
) -> Decision:
    evaluation = read_evaluation(settings, version.tags[DIGEST_TAG])
    if evaluation.get("rows") != len(table):
        raise DataError(
            f"reports/evaluation.json judged {evaluation.get('rows')} rows, the test table has {len(table)}: "
            f"the baselines are of another table. Evaluate again with `mlops run`."
        )
    candidate = fetch(settings, version)
    model = open_model(settings, candidate.folder)
    judged = _answered(settings, candidate.folder, model, table)
    figures = model.task.figures(judged.label, judged.answer)
    other = rival(settings, holder, judged, table) if holder else None
    way = _way_on(version, holder)
    if other and other.blocks:
        return Decision(False, (other.note, f"refused. {way}"), {"candidate": figures})
    beside = other.beside if other else None
    decision = judge(judged.metric, figures, _baseline(evaluation, judged), beside, settings.registry)
    reasons = [other.note] if other and other.note else []
    reasons += decision.reasons
    if other and other.beside is None:  # the note says why, where the gate saw no champion
        reasons[-1] = "the baseline alone decides"
    if other and other.beside and not decision.promoted:
        reasons.append(way)
    return hold_back(replace(decision, reasons=tuple(reasons)), evaluation, settings.registry)


def _answered(settings: Settings, folder: Path, model: Model, table: pd.DataFrame) -> Judged:
    task, path = model.task, settings.split_part("test")
    label = read_labels(table["label"], task, path)
    return Judged(folder, task, gate_metric(settings, task), label, answer_table(settings, model, table))


def _baseline(evaluation: Mapping[str, Any], judged: Judged) -> Other:
    """The naive baseline as the evaluation has it; one of format 1 does not say how sure the gain is."""
    figures, metric = evaluation["naive"], judged.metric
    if gains := evaluation.get("gains"):
        return Other(figures, Gain(*gains["naive"][metric.name]))
    error = metric.error(judged.label, judged.answer)
    value = metric.value(judged.label, judged.answer)
    return Other(figures, metric.apart(value, figures.get(metric.name, math.nan), (error, error)))


def _way_on(version: ModelVersion, holder: ModelVersion | None) -> str:
    held = f"version {holder.version}" if holder else "the champion"
    return (
        f"If {held} is no measure (it knew the label, or its data is gone): "
        f'`mlops champion clear --reason "…"`, then `mlops promote`. To have version {version.version} '
        f'in any case: `mlops champion set {version.version} --reason "…"`.'
    )


def _held_out_table(settings: Settings) -> pd.DataFrame:
    path = settings.split_part("test")
    if not path.exists():
        raise DataError(f"{path} does not exist: make it with `mlops run`, or fetch it with `dvc pull`.")
    return read_table(path)
