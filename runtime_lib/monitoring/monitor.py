"""Judge the champion on what it has served: drift, quality, performance; whether to retrain; the alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runtime_lib.errors import DataError
from runtime_lib.files import read_json
from runtime_lib.monitoring.alerts.findings import tell
from runtime_lib.monitoring.daily import Day, Source, read_days
from runtime_lib.monitoring.drift import drift, read_reference
from runtime_lib.monitoring.estimate import estimate, is_estimable
from runtime_lib.monitoring.labelled import look_at
from runtime_lib.monitoring.labels import add_month
from runtime_lib.monitoring.loop.causes import causes
from runtime_lib.monitoring.loop.trail import newest
from runtime_lib.monitoring.performance import by_period, judge_performance
from runtime_lib.monitoring.quality import judge_served
from runtime_lib.monitoring.recent import begin, recent, waiting
from runtime_lib.monitoring.skew import find_skew
from runtime_lib.monitoring.slices import find_slices, sliced_columns
from runtime_lib.monitoring.timeline import timeline
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.monitoring.windows import windows
from runtime_lib.serving.log import Damage, lost_by, scan
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import from_dict, gate_metric
from runtime_lib.training.evaluate import FORMAT as EVALUATION
from runtime_lib.training.profile import FORMAT, read_profile

if TYPE_CHECKING:
    from runtime_lib.data.raw import RawTypes

__all__ = ["Served", "monitor"]


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

    Judges the newest `monitoring.period_days`, in memory that does not grow with the log. Also compares the
    features of rows that are in `data/features` too. Writes `var/monitoring/report.json` and `report.html`,
    and tells the channels of `[monitoring.alerts]` when a column has drifted, served features differ from
    training, a quality rule is broken, retraining is due, or one of these is over. The verdict says when an
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
    from runtime_lib.monitoring.report import write_report

    damage: list[Damage] = []
    version = None if champion is None else str(champion.version)
    source = Source(
        settings, read_reference(profile), from_dict(profile["task"]), version, since, damage.append
    )
    days = read_days(source)
    if not days:
        raise DataError(_nothing(source, damage))
    verdict = _judge(source, profile, champion, days)
    quality = judge_served(settings, version, since=begin(source, days), on_damage=damage.append)
    verdict = replace(verdict, quality=quality, damage=tuple(dict.fromkeys(map(str, damage))))
    verdict = replace(
        verdict,
        causes=causes(settings, verdict) if verdict.found else (),
        steps=newest(settings.loop_trail),
    )
    write_report(verdict)  # before the alerts: a channel may take its time
    if alerts := tell(settings, verdict):
        verdict = replace(verdict, alerts=alerts)
        write_report(verdict)
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


def _nothing(source: Source, damage: Sequence[Damage]) -> str:
    """What to do where there is no prediction to judge."""
    folder, others, rows = source.settings.predictions, set[str](), 0
    for batch in scan(folder, since=source.since, columns=["version"], on_damage=lambda damage: None):
        rows += batch.num_rows
        others.update(batch.column(batch.schema.names.index("version")).unique().to_pylist())
    if rows:
        return (
            f"The log holds {rows:,} predictions of version {', '.join(sorted(others))}, but none of the "
            f"champion, version {source.version}. Give it traffic with `mlops deploy @champion`, then "
            f"predict.{lost_by(damage)}"
        )
    when = f" since {source.since.isoformat()}" if source.since else ""
    return (
        f"No predictions{when} in {folder}. Serve the champion (`mlops serve`), send it rows "
        f"(`mlops predict FILE`), then monitor again.{lost_by(damage)}"
    )


def _judge(
    source: Source, profile: Mapping[str, Any], champion: Served | None, days: Sequence[Day]
) -> Verdict:
    settings, task, reference = source.settings, source.task, source.reference
    rules, metric = settings.monitoring, gate_metric(settings, task)
    columns = drift(reference, windows(source, days), rules)
    known = recent(source, days, sliced_columns(reference.profile))
    performance = judge_performance(
        task,
        known.label,
        known.answer,
        # What the gate saw, on months that neither training nor early stopping had touched.
        (champion and champion.held_out) or profile["performance"],
        predictions=sum(day.rows for day in days if day.is_kept),  # of others no label can be told
        metric=metric,
        unknown=known.unknown,
        strange=known.strange,
        max_drop=rules.max_drop,
        min_rows=rules.min_rows,
    )
    return Verdict(
        project=settings.project.name,
        environment=settings.environment,
        model=settings.model_name,
        version=source.version,
        time=datetime.now(UTC),
        first=days[0].first,
        last=days[-1].last,
        rows=sum(day.rows for day in days),
        rules=rules,
        columns=tuple(c for c in columns if not c.prediction),
        predictions=tuple(c for c in columns if c.prediction),
        performance=performance,
        periods=by_period(
            task, {day.name: day.rows for day in days}, known.time, known.answer, known.label, metric
        ),
        report_html=settings.monitoring_page,
        report_json=settings.monitoring_report,
        skew=find_skew(source, days, profile["columns"]),
        labelled=look_at(task, known.label, known.answer, _held_out_curves(settings, champion)),
        slices=find_slices(task, metric, known.label, known.answer, known.parts, max_drop=rules.max_drop),
        estimated=estimate(task, metric, waiting(source, days)) if is_estimable(task) else None,
        timeline=timeline(reference, days, rules),
    )


def _held_out_curves(settings: Settings, champion: Served | None) -> Mapping[str, Any]:
    """Of the champion, as long as the last evaluation here is of that very model."""
    try:
        evaluation = read_json(settings.report("evaluation"), made_by="mlops run", newest=EVALUATION)
    except DataError:
        return {}
    same = evaluation["digest"] == getattr(champion, "digest", None)
    return evaluation.get("curves", {}).get("candidate", {}) if same else {}
