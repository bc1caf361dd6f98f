"""The profiles of each day's predictions: folded once, kept for good.

    var/monitoring/profiles/<model>-<version>/<YYYY-MM-DD>.json

A day is folded again when its files or the reference have changed. So monitoring reads the newest days alone,
however long the log is; a day that retention has deleted is still judged by its profile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError
from runtime_lib.files import read_json, write_json
from runtime_lib.monitoring.drift import Reference
from runtime_lib.monitoring.join import labelled
from runtime_lib.profiles.stored import counts_from_dict, counts_to_dict, to_dict
from runtime_lib.profiles.table import TableProfile
from runtime_lib.progress import track
from runtime_lib.serving.log import ANSWER, OnDamage
from runtime_lib.serving.log.days import days as folders
from runtime_lib.settings import Settings
from runtime_lib.task.task import Task

__all__ = ["Day", "Source", "answers_in", "read_days"]

_FORMAT = 1
_MANY = 7  # days that are worth a progress bar


@dataclass(frozen=True)
class Day:
    """What was answered on one UTC day, `YYYY-MM-DD`. `is_kept`: its rows are still in the log."""

    name: str
    rows: int
    first: datetime
    last: datetime
    profile: TableProfile
    is_kept: bool = True


@dataclass(frozen=True)
class Source:
    """Which predictions are judged, and by what.

    Attributes:
        version: of the model; None: whichever answered.
        since: only what came at or after this time.
    """

    settings: Settings
    reference: Reference
    task: Task
    version: str | None
    since: datetime | None
    on_damage: OnDamage

    @property
    def inputs(self) -> list[str]:
        """Names of the columns that the reference compares, but the answers."""
        return [
            name for name in self.reference.profile.columns if name not in self.reference.answers.values()
        ]

    def rows(self, since: datetime, until: datetime) -> Iterator[Any]:
        """Arrow batches of the predictions between two times, with their inputs, each id once a day."""
        yield from labelled(
            self.settings,
            self.task,
            version=self.version,
            since=since,
            until=until,
            columns=self.inputs,
            unlabelled=True,
            on_damage=self.on_damage,
        )

    def columns(self, batch: Any) -> dict[str, Any]:
        """The columns of a batch as the reference names them."""
        values = {name: batch.column(place) for place, name in enumerate(batch.schema.names)}
        answers = self.task.watched(answers_in(self.task, batch))
        return self.reference.columns(values, answers if self.reference.answers else None)


def answers_in(task: Task, batch: Any) -> Array:
    """The answers of a batch or table of the log, as the task has them.

    Raises:
        DataError: they are of a model with other outputs.
    """
    names = batch.schema.names
    there = [name.removeprefix(ANSWER) for name in names if name.startswith(ANSWER)]
    found = {}
    for name in task.outputs:
        values = batch.column(names.index(ANSWER + name)) if name in there else None
        if values is None or values.null_count:
            raise DataError(
                f"The log's answers have no '{name}', only {', '.join(there) or 'none'}: another model "
                f"gave them. Serve the champion (`mlops serve`), predict, then monitor again."
            )
        found[name] = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
        if np.isnan(found[name]).any():
            raise DataError(
                f"The log's answers have no '{name}' in some rows: another model gave them. Serve the "
                f"champion (`mlops serve`), predict, then monitor again."
            )
    return task.from_columns(found)


def read_days(source: Source) -> list[Day]:
    """The days of the newest `monitoring.period_days`, oldest first; days without a prediction are left out.

    Raises:
        DataError: a column of the reference is missing from the log, or the answers are of another model.
    """
    settings = source.settings
    store = _Store(source)
    names = sorted({folder.name for folder in folders(settings.predictions)} | store.names())
    if source.since:
        names = [name for name in names if name >= source.since.astimezone(UTC).date().isoformat()]
    found: list[Day] = []
    newest_first = names[::-1][: settings.monitoring.period_days]
    for name in track(newest_first, "Folding the log") if len(newest_first) > _MANY else newest_first:
        if found and _days_between(name, found[0].name) >= settings.monitoring.period_days:
            break
        if day := store.read(name) or store.fold(name):
            found.append(day)
    return found[::-1]


def _days_between(one: str, other: str) -> int:
    return abs((datetime.fromisoformat(other) - datetime.fromisoformat(one)).days)


def _begin(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def _fold(source: Source, name: str) -> Day | None:
    import pyarrow.compute as pc

    begin = _begin(name)
    since = max(begin, source.since) if source.since else begin
    fold = source.reference.fold()
    rows, times = 0, []
    for batch in source.rows(since, begin + timedelta(days=1)):
        fold.add(source.columns(batch))
        rows += batch.num_rows
        times += pc.min_max(batch.column(batch.schema.names.index("time"))).as_py().values()
    return Day(name, rows, min(times), max(times), fold.profile()) if rows else None


class _Store:
    """The files of the days. A day that is cut by `since` is neither read from there nor written."""

    def __init__(self, source: Source) -> None:
        self._source = source
        model, version = source.settings.model_name, source.version or "all"
        self._folder = source.settings.daily_profiles / quote(f"{model}-{version}", safe="")
        described = {name: to_dict(column) for name, column in source.reference.profile.columns.items()}
        self._reference = _digest(described)

    def names(self) -> set[str]:
        """The days that have a profile."""
        return {path.stem for path in self._folder.glob("????-??-??.json")}

    def fold(self, name: str) -> Day | None:
        files = self._files(name)  # before: what comes while the day is read makes it another one
        day = _fold(self._source, name) if files else None
        if day and files:
            self._write(day, files)
        return day

    def read(self, name: str) -> Day | None:
        path = self._path(name)
        if self._is_cut(name) or not path.is_file():
            return None
        try:
            found = read_json(path, made_by="mlops monitor", newest=_FORMAT)
            files = self._files(name)
            if found["reference"] != self._reference or files not in (None, found["files"]):
                return None
            like = self._source.reference.profile.columns
            columns = {column: counts_from_dict(found["columns"][column], like[column]) for column in like}
            first, last = (datetime.fromisoformat(found[end]) for end in ("first", "last"))
            return Day(name, int(found["rows"]), first, last, TableProfile(columns), files is not None)
        except (DataError, AttributeError, KeyError, TypeError, ValueError):
            return None  # it is folded again

    def _write(self, day: Day, files: str) -> None:
        if self._is_cut(day.name):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        columns = {name: counts_to_dict(column) for name, column in day.profile.columns.items()}
        write_json(
            self._path(day.name),
            {
                "format": _FORMAT,
                "reference": self._reference,
                "files": files,
                "rows": day.rows,
                "first": day.first.isoformat(),
                "last": day.last.isoformat(),
                "columns": columns,
            },
        )

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _is_cut(self, name: str) -> bool:
        return self._source.since is not None and _begin(name) < self._source.since

    def _files(self, name: str) -> str | None:
        """Of the day's part of the log, which grows, is compacted, and may be damaged; None: it is gone."""
        folder = self._source.settings.predictions / name
        try:
            paths = sorted(folder.iterdir())
        except FileNotFoundError:
            return None
        return _digest([(path.name, *_written(path)) for path in paths])


def _written(path: Path) -> tuple[int, int]:
    """Bytes, and when the last came."""
    try:
        told = path.stat()
    except FileNotFoundError:  # compaction has just replaced it
        return 0, 0
    return told.st_size, told.st_mtime_ns


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
