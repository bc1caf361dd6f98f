"""How a version becomes champion: judged on the held-out table, next to the champion, by the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime_lib.data.months import read_table
from runtime_lib.errors import DataError
from runtime_lib.files import read_json, write_json
from runtime_lib.locks import locked
from runtime_lib.registry.decide import move, note, settle
from runtime_lib.registry.describe import describe
from runtime_lib.registry.files import fetch
from runtime_lib.registry.gate import Decision, judge
from runtime_lib.registry.incumbent import fingerprint, rival
from runtime_lib.registry.page import upload_page, write_page
from runtime_lib.registry.register import enter, read_evaluation
from runtime_lib.registry.standing import Registered, set_aside
from runtime_lib.registry.suspects import hold_back
from runtime_lib.registry.trail import Entry
from runtime_lib.registry.versions import (
    DECISION_TAG,
    DIGEST_TAG,
    FIGURES_FORMAT,
    FIGURES_TAG,
    REASONS_TAG,
    figures_of,
    find,
    registered,
    where,
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


def promote(settings: Settings, *, again: bool = True) -> Decision:
    """Judge the registered candidate on the held-out test table; move the alias if it passes.

    A candidate that is the champion already stays so, unjudged; one that was set aside stays that. A registry
    that does not know the candidate is given it first. Tags the version with the decision, adds it to the
    trail, and writes `reports/promotion.json`.

    Args:
        again: judge also a version that this registry's gate has judged before (default); else say what holds
            of it now, and write nothing.

    Raises:
        DataError, ModelError, ServiceError: something the decision needs is missing, damaged or down.
    """
    client = connect(settings)
    with locked(settings.lock("promote")), service(settings):
        found, new = _candidate(settings, client)
        model = registered(client, settings.model_name)
        if again:
            model = settle(client, model)
        decision = _standing(client, model, found, again=again or _confirmed(found[0], settings))
        if decision is None:
            model = settle(client, model)
            decision = _judge(settings, client, model, found[0])
            describe(settings, client, found[0])
    decision = replace(decision, version=str(found[0].version), reasons=(*new, *decision.reasons))
    if again or decision.judged:
        write_json(settings.report("promotion"), {"format": _FORMAT, **decision.to_dict()})
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


def _standing(
    client: MlflowClient, model: Registered, found: list[ModelVersion], *, again: bool
) -> Decision | None:
    """What an earlier decision says of a model, registered once or more; None: the gate has to judge it."""
    newest, number = found[0], str(found[0].version)
    if model.champion and _digest(client, model) == newest.tags[DIGEST_TAG]:
        said = f"version {model.champion} is already the champion: nothing changed"
        return Decision(True, (said,), _figures(newest), judged=False)
    for version in found:
        if why := set_aside(model, str(version.version), version.tags.get(DECISION_TAG, "")):
            now = f"now version {model.champion} is" if model.champion else "now there is none"
            way = f'`mlops champion set {number} --reason "…"` makes it champion; a new version is judged'
            return Decision(False, (why, now, way), _figures(version), judged=False, set_aside=True)
    if again or newest.tags.get(DECISION_TAG) != "refused":
        return None
    reasons = (newest.tags.get(REASONS_TAG, ""), *_since(model, number))
    return Decision(False, reasons, _figures(newest), judged=False)


def _confirmed(version: ModelVersion, settings: Settings) -> bool:
    """Whether the version waited for columns to be confirmed, and all of them are by now."""
    waited = set(figures_of(version).get("suspects", ()))
    return bool(waited) and waited <= set(settings.registry.confirmed)


def _since(model: Registered, version: str) -> tuple[str, ...]:
    """What to do where a version was refused next to a champion that is none any more."""
    rivals = [entry.before for entry in model.held if entry.version == version and entry.action == "refused"]
    if not rivals or rivals[-1] == model.champion:
        return ()
    now = f"version {model.champion}" if model.champion else "none"
    return (f"that was next to champion {rivals[-1]}; now it is {now}: `mlops promote` judges again",)


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
    figures = judge_table(settings, open_model(settings, candidate.folder), table)
    other = rival(settings, holder, candidate, table) if holder else None
    way = _way_on(version, holder)
    if other and other.blocks:
        return Decision(False, (other.note, f"refused. {way}"), {"candidate": figures})
    decision = judge(figures, evaluation["naive"], other.figures if other else None, settings.registry)
    reasons = [other.note] if other and other.note else []
    reasons += decision.reasons
    if other and other.figures is None:  # the note says why, where the gate saw no champion
        reasons[-1] = "the baseline alone decides"
    if other and other.figures and not decision.promoted:
        reasons.append(way)
    return hold_back(replace(decision, reasons=tuple(reasons)), evaluation, settings.registry)


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


def _digest(client: MlflowClient, model: Registered) -> str | None:
    version = client.get_model_version(model.name, str(model.champion))
    return None if version is None else version.tags.get(DIGEST_TAG)


def _figures(version: ModelVersion) -> dict[str, Any]:
    return {who: what for who, what in figures_of(version).items() if isinstance(what, dict)}
