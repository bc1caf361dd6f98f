"""What holds of the candidate without judging it: by this registry, or by the report that came in git."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime_lib.data.months import read_table
from runtime_lib.files import read_json, write_json
from runtime_lib.registry.gate import Decision
from runtime_lib.registry.incumbent import fingerprint
from runtime_lib.registry.standing import Registered, set_aside
from runtime_lib.registry.versions import (
    DECISION_TAG,
    DIGEST_TAG,
    REASONS_TAG,
    figures_of,
    find,
    registered,
)
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["is_kept", "keep", "keep_choice", "reopened", "verdict"]

_FORMAT = 1  # of reports/promotion.json


def verdict(
    settings: Settings, client: MlflowClient, model: Registered, found: list[ModelVersion], *, again: bool
) -> Decision | None:
    """Return what an earlier decision says of a model; None: the gate has to judge it.

    Args:
        found: its versions, the newest first; at least one.
        again: judge also what was refused before.
    """
    newest, number = found[0], str(found[0].version)
    if model.champion and _digest(client, model) == newest.tags[DIGEST_TAG]:
        said = f"version {model.champion} is already the champion: nothing changed"
        return Decision(True, (said,), _figures(newest), judged=False)
    for version in found:
        if why := set_aside(model, str(version.version), version.tags.get(DECISION_TAG, "")):
            now = f"now version {model.champion} is" if model.champion else "now there is none"
            way = f'`mlops champion set {number} --reason "…"` makes it champion; a new version is judged'
            return Decision(False, (why, now, way), _figures(version), judged=False, set_aside=True)
    if again:
        return None
    if DECISION_TAG not in newest.tags:
        return _elsewhere(settings, newest)
    if newest.tags[DECISION_TAG] != "refused":
        return None
    reasons = (newest.tags.get(REASONS_TAG, ""), *_since(model, number))
    return Decision(False, reasons, _figures(newest), judged=False)


def reopened(settings: Settings, version: ModelVersion) -> bool:
    """Whether a refusal holds no longer: what it waited for is confirmed, or the held-out rows are others."""
    figures = figures_of(version)
    waited = set(figures.get("suspects", ()))
    if waited and waited <= set(settings.registry.confirmed):
        return True
    path = settings.split_part("test")
    if version.tags.get(DECISION_TAG) != "refused" or "table" not in figures or not path.exists():
        return False
    return bool(figures["table"] != fingerprint(read_table(path)))


def keep(settings: Settings, digest: str, decision: Decision) -> None:
    """Write `reports/promotion.json`, which git takes to other machines with the model that it is about."""
    content = {"format": _FORMAT, "digest": _named(digest), **decision.to_dict()}
    write_json(settings.report("promotion"), content)


def is_kept(settings: Settings, digest: str, decision: Decision) -> bool:
    """Whether the report says so already; a kill, or a hand in MLflow's pages, may have left it behind."""
    path = settings.report("promotion")
    if not path.is_file():
        return False
    known = read_json(path, made_by="mlops promote")
    now = _named(digest), decision.promoted, decision.set_aside
    return (known.get("digest"), known["promoted"], known.get("set_aside", False)) == now


def keep_choice(settings: Settings, client: MlflowClient) -> None:
    """Do so after a decision by hand, if that says anything of the present candidate."""
    report = settings.report("registered")
    if not report.is_file():
        return
    digest = read_json(report, made_by="mlops run")["digest"]
    if found := find(client, settings.model_name, digest):
        model = registered(client, settings.model_name)
        if decision := verdict(settings, client, model, found, again=True):
            keep(settings, digest, replace(decision, version=str(found[0].version)))


def _elsewhere(settings: Settings, version: ModelVersion) -> Decision | None:
    """What was decided where this model came from: its report is in git, its registry is not."""
    path = settings.report("promotion")
    if not path.is_file():
        return None
    known = read_json(path, made_by="mlops promote")
    if known.get("digest") != _named(version.tags[DIGEST_TAG]) or known["promoted"]:
        return None
    what = "set aside" if known["set_aside"] else "refused"
    way = "`mlops promote` judges it here. To share decisions, share the registry: tracking.uri in mlops.toml"
    reasons = (f"{what} before, in another registry ({path.name} in {path.parent.name}/)", *known["reasons"])
    return Decision(False, (*reasons, way), known["figures"], judged=False, set_aside=known["set_aside"])


def _named(digest: str) -> str:
    """With its kind: a hook that looks for secrets would take bare hexadecimal digits for one."""
    return f"sha256:{digest}"


def _since(model: Registered, version: str) -> tuple[str, ...]:
    """What to do where a version was refused next to a champion that is none any more."""
    rivals = [entry.before for entry in model.held if entry.version == version and entry.action == "refused"]
    if not rivals or rivals[-1] == model.champion:
        return ()
    now = f"version {model.champion}" if model.champion else "none"
    return (f"that was next to champion {rivals[-1]}; now it is {now}: `mlops promote` judges again",)


def _digest(client: MlflowClient, model: Registered) -> str | None:
    version = client.get_model_version(model.name, str(model.champion))
    return None if version is None else version.tags.get(DIGEST_TAG)


def _figures(version: ModelVersion) -> dict[str, Any]:
    return {who: what for who, what in figures_of(version).items() if isinstance(what, dict)}
