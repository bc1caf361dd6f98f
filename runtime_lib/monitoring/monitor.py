"""Judge the champion on what it has served: drift, performance, the decision to retrain, report and alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import read_json, write_json
from runtime_lib.monitoring.alerts.payload import payload
from runtime_lib.monitoring.alerts.webhook import host_of, send_webhook
from runtime_lib.monitoring.drift import drift
from runtime_lib.monitoring.labelled import look_at
from runtime_lib.monitoring.labels import add_month, read_labels
from runtime_lib.monitoring.performance import by_period, judge_performance
from runtime_lib.monitoring.quality import judge_served
from runtime_lib.monitoring.skew import find_skew
from runtime_lib.monitoring.verdict import Alert, Verdict
from runtime_lib.serving.log import Damage, answers, lost_by, read_predictions
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import from_dict, gate_metric
from runtime_lib.task.task import Task
from runtime_lib.training.evaluate import FORMAT as EVALUATION
from runtime_lib.training.profile import FORMAT, read_profile

if TYPE_CHECKING:
    import pandas as pd

    from runtime_lib.data.raw import RawTypes

__all__ = ["Served", "answers_of", "known_labels", "monitor"]


class Served(Protocol):
    """What monitoring needs to know of the champion: `registry.champion.Champion` is one."""

    @property
    def version(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def held_out(self) -> Mapping[str, float] | None: ...


def monitor(
    settings: Settings,
    profile: Mapping[str, Any] | None = None,
    champion: Served | None = None,
    *,
    since: datetime | None = None,
    month: str = "",
) -> Verdict:
    """Compare the logged predictions of one model version with its profile.

    Also compares the features of rows that are in `data/features` too. Writes
    `var/monitoring/report.json` and `report.html`, and sends an alert to `monitoring.webhook` when a
    column has drifted, served features differ from training, or retraining is due. The verdict says when an
    alert could not be delivered: it must not be lost with it.

    Args:
        profile: what to compare with; default: the profile in the champion's folder.
        champion: whose predictions to judge; default: the registry's champion, or, when a profile is
            given, whatever was logged.
        since: only predictions made at or after this time (with a time zone).
        month: take the labels that are known by now of this month (`YYYY-MM`) first, see `add_month`.

    Raises:
        DataError: there is no champion, profile or prediction to judge; the message says what to do next.
    """
    if champion is None and profile is None:
        champion = _champion(settings)
    if profile is None:
        assert champion is not None
        profile = read_json(Path(champion.folder) / "profile.json", made_by="mlops run", newest=FORMAT)
    profile = read_profile(profile)
    if month:
        add_month(settings, month, _raw_types(champion))
    damage: list[Damage] = []
    table = _served(settings, champion, since, damage)
    labels = read_labels(settings.labels, from_dict(profile["task"]))
    verdict = _judge(settings, profile, champion, table.merge(labels[["id", "label"]], "left", "id"), labels)
    quality = judge_served(settings, verdict.version, since=since, on_damage=damage.append)
    verdict = replace(verdict, quality=quality, damage=tuple(dict.fromkeys(map(str, damage))))
    if verdict.found:
        verdict = _alert(settings, verdict)
    from runtime_lib.monitoring.report import write_page

    write_json(verdict.report_json, verdict.to_dict())
    write_page(verdict, verdict.report_html)
    return verdict


def _raw_types(champion: Served | None) -> RawTypes | None:
    from runtime_lib.training.model import read_raw_types

    return None if champion is None else read_raw_types(Path(champion.folder))


def _champion(settings: Settings) -> Served:
    from runtime_lib.registry.champion import champion, no_champion

    found: Served | None = champion(settings)
    if found is None:
        raise DataError(no_champion(settings))
    return found


def _served(
    settings: Settings, champion: Served | None, since: datetime | None, damage: list[Damage]
) -> pd.DataFrame:
    folder = settings.predictions
    if champion is not None:
        own = read_predictions(folder, since=since, version=str(champion.version), on_damage=damage.append)
        if not own.empty:
            return own
    table = read_predictions(folder, since=since, on_damage=damage.append)
    if table.empty:
        when = f" since {since.isoformat()}" if since else ""
        raise DataError(
            f"No predictions{when} in {folder}. Serve the champion (`mlops serve`), send it rows "
            f"(`mlops predict FILE`), then monitor again.{lost_by(damage)}"
        )
    if champion is None:  # whichever version answered: a label belongs to one row
        return table if table["id"].is_unique else table.drop_duplicates("id", keep="last")
    others = ", ".join(sorted(table["version"].unique()))
    raise DataError(
        f"The log holds {len(table):,} predictions of version {others}, but none of the champion, "
        f"version {champion.version}. Give it traffic with `mlops deploy @champion`, then "
        f"predict.{lost_by(damage)}"
    )


def _judge(
    settings: Settings,
    profile: Mapping[str, Any],
    champion: Served | None,
    table: pd.DataFrame,
    labels: pd.DataFrame,
) -> Verdict:
    rules, task = settings.monitoring, from_dict(profile["task"])
    metric, answer = gate_metric(settings, task), answers_of(task, table)
    columns = drift(
        profile,
        table,
        min_rows=rules.min_rows,
        threshold=rules.drift_threshold,
        answers=task.watched(answer),
    )
    known, label = known_labels(task, table["label"])
    performance = judge_performance(
        task,
        label[known],
        answer[known],
        # What the gate saw, on months that neither training nor early stopping had touched.
        (champion and champion.held_out) or profile["performance"],
        predictions=len(table),
        metric=metric,
        unknown=int((~labels["id"].isin(table["id"])).sum()),
        strange=table["label"][table["label"].notna() & ~known].astype(str).tolist(),
        max_drop=rules.max_drop,
        min_rows=rules.min_rows,
    )
    time = table["time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return Verdict(
        project=settings.project.name,
        environment=settings.environment,
        model=settings.model_name,
        version=None if champion is None else str(champion.version),
        time=datetime.now(UTC),
        first=table["time"].min().to_pydatetime(),
        last=table["time"].max().to_pydatetime(),
        rows=len(table),
        rules=rules,
        columns=tuple(c for c in columns if not c.prediction),
        predictions=tuple(c for c in columns if c.prediction),
        performance=performance,
        periods=by_period(task, time, answer, label, known, metric),
        report_html=settings.monitoring_page,
        report_json=settings.monitoring_report,
        skew=find_skew(table, profile["columns"], settings.features),
        labelled=look_at(task, label[known], answer[known], _held_out_curves(settings, champion)),
    )


def _held_out_curves(settings: Settings, champion: Served | None) -> Mapping[str, Any]:
    """Of the champion, as long as the last evaluation here is of that very model."""
    try:
        evaluation = read_json(settings.report("evaluation"), made_by="mlops run", newest=EVALUATION)
    except DataError:
        return {}
    same = evaluation["digest"] == getattr(champion, "digest", None)
    return evaluation.get("curves", {}).get("candidate", {}) if same else {}


def answers_of(task: Task, table: pd.DataFrame) -> Array:
    """The answers of a table from the log, as the task has them.

    Raises:
        DataError: they are of a model with other outputs.
    """
    found = answers(table)
    if missing := [name for name in task.outputs if name not in found or np.isnan(found[name]).any()]:
        raise DataError(
            f"The log's answers have no '{missing[0]}', only {', '.join(found) or 'none'}: another model "
            f"gave them. Serve the champion (`mlops serve`), predict, then monitor again."
        )
    return task.from_columns(found)


def known_labels(task: Task, values: pd.Series[Any]) -> tuple[Array, Array]:
    """Which labels are known by now, and all of them as the task reads them; the others are zeros."""
    known = values.notna().to_numpy(copy=True)
    known[known] = task.known(values[known])
    read = task.read(values[known])
    label = np.zeros(len(values), dtype=read.dtype)
    label[known] = read
    return known, label


def _alert(settings: Settings, verdict: Verdict) -> Verdict:
    if not settings.monitoring.webhook:
        return verdict
    host = host_of(settings.monitoring.webhook)
    try:
        send_webhook(settings.monitoring.webhook, payload(verdict))
    except ServiceError as error:
        return replace(verdict, alert=Alert(host, str(error)))
    return replace(verdict, alert=Alert(host))
