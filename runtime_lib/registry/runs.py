"""The project's runs as a list: what each changed, its figure, and what became of it.

Runs of a sqlite store are read from its file, in a fraction of a second; MLflow takes seconds to be imported.
Its tables are not ours: where they are not as expected, MLflow itself is asked.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.locks import try_lock
from runtime_lib.registry.versions import ALIAS, DECISION_TAG, REASONS_TAG
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import metric_name
from runtime_lib.tracking.record import LOCK, Measure, RunState, read, spool_folder
from runtime_lib.tracking.ship import RECORD_TAG, flatten
from runtime_lib.tracking.store import connect, service, tracking_uri
from runtime_lib.tracking.summary import CHANGED_TAG, ERROR_TAG, KILLED, Known, figure, run_name

__all__ = ["Row", "runs"]


@dataclass(frozen=True)
class Row:
    """One run. `started`: UTC, ISO 8601. `figure`: the gate's metric, held-out, else of validation.

    `verdict`: champion (now), promoted or refused, or failed, killed or running; empty: not judged.
    `why`: the gate's reasons, or why there is no model.
    """

    name: str
    run_id: str
    started: str
    seconds: float
    changed: str
    metric: str
    figure: float | None
    verdict: str
    why: str
    version: str
    machine: str


@dataclass(frozen=True)
class _Run:
    """A run as its store has it; times in milliseconds since 1970."""

    id: str
    name: str
    status: str
    start: int
    end: int | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _Store:
    """The newest runs, each run's newest version with its tags, and the champion's number."""

    runs: Sequence[_Run] = ()
    versions: Mapping[str, tuple[int, Mapping[str, str]]] | None = None
    champion: int | None = None


def runs(settings: Settings, *, limit: int = 20) -> list[Row]:
    """List the newest runs, those that wait in the spool or are under way included.

    Raises:
        ServiceError: the tracking server does not answer.
    """
    store = _stored(settings, limit)
    known = {run.tags.get(RECORD_TAG) for run in store.runs}
    waiting = [run for run in _spooled(settings) if run.id not in known]
    newest = sorted([*store.runs, *waiting], key=lambda run: run.start, reverse=True)[:limit]
    return [_row(run, store, metric_name(settings)) for run in newest]


def _row(run: _Run, store: _Store, metric: str) -> Row:
    version, tags = (store.versions or {}).get(run.id, (None, {}))
    verdict, why = tags.get(DECISION_TAG, ""), tags.get(REASONS_TAG, "")
    if version is not None and version == store.champion:
        verdict = "champion"
    if run.status in ("FAILED", "KILLED", "RUNNING"):
        verdict, why = run.status.lower(), run.tags.get(ERROR_TAG, "")
    device = " ".join(run.tags[tag] for tag in ("mlops.framework", "mlops.device") if tag in run.tags)
    return Row(
        name=run.name,
        run_id=run.id,
        started=datetime.fromtimestamp(run.start / 1000, UTC).isoformat(timespec="seconds"),
        seconds=round(((run.end or time.time_ns() // 1_000_000) - run.start) / 1000, 1),
        changed=run.tags.get(CHANGED_TAG, ""),
        metric=metric,
        figure=figure(run.metrics, metric),
        verdict=verdict,
        why=why,
        version="" if version is None else str(version),
        machine=", ".join(part for part in (run.tags.get("mlops.chip", ""), device) if part),
    )


def _stored(settings: Settings, limit: int) -> _Store:
    uri = tracking_uri(settings)
    if uri.startswith("sqlite:"):
        path = Path(uri.removeprefix("sqlite:///"))
        if not path.exists():
            return _Store()
        with suppress(sqlite3.DatabaseError):
            return _from_file(settings, path, limit)
    return _from_mlflow(settings, limit)


def _from_file(settings: Settings, path: Path, limit: int) -> _Store:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        found = database.execute(
            "select run_uuid, name, status, start_time, end_time from runs where lifecycle_stage = 'active' "
            "and experiment_id = (select experiment_id from experiments where name = ?) "
            "order by start_time desc limit ?",
            (settings.experiment, limit),
        ).fetchall()
        listed = [
            _Run(
                *(run_id, name, status, start, end),
                dict(database.execute("select key, value from tags where run_uuid = ?", (run_id,))),
                dict(database.execute("select key, value from latest_metrics where run_uuid = ?", (run_id,))),
            )
            for run_id, name, status, start, end in found
        ]
        name, versions = settings.model_name, {}
        for run_id, version in database.execute(
            "select run_id, version from model_versions where name = ? order by version", (name,)
        ).fetchall():
            tags = "select key, value from model_version_tags where name = ? and version = ?"
            versions[run_id] = (version, dict(database.execute(tags, (name, version))))
        alias = database.execute(
            "select version from registered_model_aliases where name = ? and alias = ?", (name, ALIAS)
        ).fetchone()
    return _Store(listed, versions, int(alias[0]) if alias else None)


def _from_mlflow(settings: Settings, limit: int) -> _Store:
    client = connect(settings)
    with service(settings):
        experiment = client.get_experiment_by_name(settings.experiment)
        if experiment is None:
            return _Store()
        found = client.search_runs(
            [experiment.experiment_id], order_by=["attributes.start_time DESC"], max_results=limit
        )
        versions: dict[str, tuple[int, Mapping[str, str]]] = {}
        for version in client.search_model_versions(f"name = '{settings.model_name}'"):
            number, run_id = int(version.version), str(version.run_id)
            if number > versions.get(run_id, (0, {}))[0]:
                versions[run_id] = (number, version.tags)
        models = client.search_registered_models(f"name = '{settings.model_name}'")
    aliases: Mapping[str, Any] = models[0].aliases if models else {}
    listed = [
        _Run(i.run_id, i.run_name, i.status, i.start_time, i.end_time, run.data.tags, run.data.metrics)
        for run in found
        for i in (run.info,)
    ]
    return _Store(listed, versions, int(aliases[ALIAS]) if ALIAS in aliases else None)


def _spooled(settings: Settings) -> Iterator[_Run]:
    """Trainings under way, and those that were not delivered yet."""
    for folder in spool_folder(settings).glob("[!.]*"):
        with suppress(DataError, FileNotFoundError):  # damaged, or delivered meanwhile
            state, measures = read(folder)
            yield _undelivered(settings, _ended(folder, state), measures)


def _ended(folder: Path, state: RunState) -> RunState:
    """The state, with the status that it will be delivered with."""
    lock = try_lock(folder / LOCK, shared=True) if state.status == "RUNNING" else None
    if lock is None:
        return state
    lock.close()
    return replace(state, status="KILLED", tags={**state.tags, ERROR_TAG: KILLED})


def _undelivered(settings: Settings, state: RunState, measures: Sequence[Measure]) -> _Run:
    metrics = {measure.name: measure.value for measure in measures}
    known = Known(flatten(state.params), state.tags, metrics, state.data, state.status)
    last = max([state.start, *(measure.time for measure in measures)])
    end = None if state.status == "RUNNING" else state.end or last
    name = run_name(known, metric_name(settings))
    return _Run(state.id, name, state.status, state.start, end, state.tags, metrics)
