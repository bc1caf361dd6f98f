"""Judge the champion on what it has served: drift, performance, the decision to retrain, report and alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import read_json, write_json
from runtime_lib.monitoring.alerts.webhook import host_of, send_webhook
from runtime_lib.monitoring.drift import PREDICTION, ColumnDrift, drift
from runtime_lib.monitoring.labels import read_labels
from runtime_lib.monitoring.performance import Performance, Period, by_period, judge_performance
from runtime_lib.serving.log import read_predictions
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Alert", "Served", "Verdict", "monitor"]


class Served(Protocol):
    """What monitoring needs to know of the champion: `registry.champion.Champion` is one."""

    @property
    def version(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def held_out(self) -> Mapping[str, float] | None: ...


@dataclass(frozen=True)
class Alert:
    """An alert that was due: to which host, and why it was not delivered (None: it was)."""

    host: str
    error: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What monitoring found. `version` is None when every logged prediction was judged."""

    project: str
    environment: str
    model: str
    version: str | None
    time: datetime
    first: datetime
    last: datetime
    rows: int
    min_rows: int
    threshold: float
    max_drop: float
    columns: tuple[ColumnDrift, ...]
    prediction: ColumnDrift | None
    performance: Performance
    periods: tuple[Period, ...]
    report: Path
    page: Path
    alert: Alert | None = None

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        return tuple(c.name for c in self._judged() if c.drifted)

    @property
    def drifted(self) -> bool:
        """An input or the prediction has drifted: a reason to look."""
        return bool(self.drifted_columns)

    @property
    def retrain(self) -> bool:
        """Performance has dropped, surely and by enough: a reason to train again."""
        return self.performance.retrain

    @property
    def state(self) -> Literal["retrain", "drift", "early", "well"]:
        if self.retrain:
            return "retrain"
        if self.drifted:
            return "drift"
        return "early" if self.rows < self.min_rows else "well"

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence per finding; empty when all is well."""
        found = [f"{c.name}: {reason}" for c in self._judged() for reason in c.reasons]
        return (*([self.performance.reason] if self.retrain else []), *found)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values; the content of `report.json`, format 1."""
        performance = self.performance
        return {
            "format": 1,
            "project": self.project,
            "environment": self.environment,
            "model": self.model,
            "version": self.version,
            "time": self.time.isoformat(),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "rows": self.rows,
            "state": self.state,
            "drifted": self.drifted,
            "retrain": self.retrain,
            "reasons": list(self.reasons),
            "rules": {
                "min_rows": self.min_rows,
                "drift_threshold": self.threshold,
                "max_drop": self.max_drop,
            },
            "columns": [c.to_dict() for c in self.columns],
            "prediction": self.prediction and self.prediction.to_dict(),
            "performance": performance.to_dict(),
            "periods": [vars(p) for p in self.periods],
            "report": str(self.page),
            "alert": self.alert and vars(self.alert),
        }

    def _judged(self) -> tuple[ColumnDrift, ...]:
        return (*([self.prediction] if self.prediction else []), *self.columns)


def monitor(
    settings: Settings,
    profile: Mapping[str, Any] | None = None,
    champion: Served | None = None,
    *,
    since: datetime | None = None,
) -> Verdict:
    """Compare the logged predictions of one model version with its profile.

    Writes `var/monitoring/report.json` and `report.html`, and sends an alert to `monitoring.webhook` when a
    column has drifted or retraining is due. An alert that cannot be delivered is told in the verdict: the
    verdict itself must not be lost to it.

    Args:
        profile: what to compare with; default: the profile in the champion's folder.
        champion: whose predictions to judge; default: the registry's champion, or, when a profile is
            given, whatever was logged.
        since: only predictions made at or after this time (with a time zone).

    Raises:
        DataError: there is no champion, profile or prediction to judge; the message tells the next step.
    """
    if champion is None and profile is None:
        champion = _champion(settings)
    if profile is None:
        assert champion is not None
        profile = read_json(Path(champion.folder) / "profile.json", made_by="mlops run")
    table = _served(settings, champion, since)
    labels = read_labels(settings.var / "labels")
    verdict = _judge(settings, profile, champion, table.merge(labels[["id", "label"]], "left", "id"), labels)
    if verdict.drifted or verdict.retrain:
        verdict = _alert(settings, verdict)
    from runtime_lib.monitoring.report import write_page

    write_json(verdict.report, verdict.to_dict())
    write_page(verdict, verdict.page)
    return verdict


def _champion(settings: Settings) -> Served:
    from runtime_lib.registry.champion import champion

    found: Served | None = champion(settings)
    if found is None:
        raise DataError(
            f"'{settings.model_name}' has no champion to monitor: train and register one with `mlops run`."
        )
    return found


def _served(settings: Settings, champion: Served | None, since: datetime | None) -> pd.DataFrame:
    folder = settings.var / "predictions"
    if champion is not None:
        own = read_predictions(folder, since=since, version=str(champion.version))
        if not own.empty:
            return own
    table = read_predictions(folder, since=since)
    if table.empty:
        when = f" since {since.isoformat()}" if since else ""
        raise DataError(
            f"No predictions{when} in {folder}. Serve the champion (`mlops serve`), send it rows "
            "(`mlops predict FILE`), then monitor again."
        )
    if champion is None:  # whichever version answered: a label belongs to one row
        return table.drop_duplicates("id", keep="last")
    others = ", ".join(sorted(table["version"].unique()))
    raise DataError(
        f"The log holds {len(table):,} predictions of version {others}, but none of the champion, "
        f"version {champion.version}. Restart `mlops serve` so that it serves the champion, then predict."
    )


def _judge(
    settings: Settings,
    profile: Mapping[str, Any],
    champion: Served | None,
    table: pd.DataFrame,
    labels: pd.DataFrame,
) -> Verdict:
    rules = settings.monitoring
    probability = table["probability"].to_numpy()
    label = table["label"].to_numpy(dtype="float64", na_value=np.nan)
    known = ~np.isnan(label)
    columns = drift(
        profile, table, min_rows=rules.min_rows, threshold=rules.drift_threshold, probability=probability
    )
    performance = judge_performance(
        label[known],
        probability[known],
        # What the gate saw, on months that neither training nor early stopping had touched.
        (champion and champion.held_out) or profile["performance"],
        predictions=len(table),
        unknown=int((~labels["id"].isin(table["id"])).sum()),
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
        min_rows=rules.min_rows,
        threshold=rules.drift_threshold,
        max_drop=rules.max_drop,
        columns=tuple(c for c in columns if c.name != PREDICTION),
        prediction=next((c for c in columns if c.name == PREDICTION), None),
        performance=performance,
        periods=by_period(time, probability, label),
        report=settings.var / "monitoring" / "report.json",
        page=settings.var / "monitoring" / "report.html",
    )


def _alert(settings: Settings, verdict: Verdict) -> Verdict:
    if not settings.monitoring.webhook:
        return verdict
    host = host_of(settings.monitoring.webhook)
    try:
        send_webhook(settings.monitoring.webhook, evidence(verdict))
    except ServiceError as error:
        return replace(verdict, alert=Alert(host, str(error)))
    return replace(verdict, alert=Alert(host))


def evidence(verdict: Verdict) -> dict[str, Any]:
    """Return the alert's body: what was found, on how much, against which limit; `text` for chats."""
    what = "retraining is due" if verdict.retrain else f"drift in {', '.join(verdict.drifted_columns)}"
    version = f" version {verdict.version}" if verdict.version else ""
    full = verdict.to_dict()
    kept = ("effect", "second", "second_name", "q", "rows", "change", "nulls", "unseen", "reasons")
    columns = [c for c in (*verdict.columns, verdict.prediction) if c and c.drifted]
    names = (
        "project",
        "environment",
        "model",
        "version",
        "time",
        "rows",
        "retrain",
        "drifted",
        "reasons",
        "rules",
    )
    return {
        "format": 1,
        "event": "retrain" if verdict.retrain else "drift",
        "text": "\n".join(
            [f"{verdict.model}{version}: {what}", *(f"- {reason}" for reason in verdict.reasons)]
        ),
        **{name: full[name] for name in (*names, "performance", "report")},
        "columns": [{"name": c.name, **{k: c.to_dict()[k] for k in kept}} for c in columns],
    }
