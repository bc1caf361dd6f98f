"""The newest predictions whose labels have arrived, and the newest that wait for theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.monitoring.daily import Day, Source, answers_in
from runtime_lib.monitoring.join import LABEL, Tally, labelled
from runtime_lib.serving.log.days import days as folders
from runtime_lib.task.task import Task

__all__ = ["Recent", "begin", "known_labels", "recent", "waiting"]

# Labelled rows that a figure is taken of: more change its third digit no more, and memory has an end.
_MOST = 1_000_000
_MOST_WAITING = 20_000


@dataclass(frozen=True)
class Recent:
    """Labelled predictions, the newest first.

    Attributes:
        time: of the prediction, `datetime64[us]` in UTC, `(n,)`.
        label, answer: of the task, `(n,)` and `(n, …)`.
        parts: category inputs by name, `(n,)` texts, None where missing: what slices are cut by.
        strange: labels that the model does not know.
        unknown: labels whose id no prediction has; 0 where older predictions may have it.
    """

    time: Array
    label: Array
    answer: Array
    parts: Mapping[str, Array]
    strange: Sequence[str]
    unknown: int


def recent(source: Source, days: Sequence[Day], slices: Sequence[str]) -> Recent:
    """The labelled predictions of the days that are judged.

    Where none of them has a label yet, those of as many days before.
    """
    task, tally = source.task, Tally()
    batches: list[Any] = []
    for batch in _newest(source, days, slices, tally):
        batches.append(batch)
        if sum(each.num_rows for each in batches) >= _MOST:
            break
    values = [value for batch in batches for value in _column(batch, LABEL).to_pylist()]
    known, label = known_labels(task, values)
    strange = [str(value) for value, takes in zip(values, known, strict=True) if not takes]
    time = [_column(batch, "time").cast("int64").to_numpy() for batch in batches]
    answer = [answers_in(task, batch) for batch in batches]
    parts = {
        name: np.concatenate(
            [np.asarray(_column(batch, name).to_pylist(), dtype=object) for batch in batches]
        )
        for name in slices
        if batches
    }
    whole = [folder.name for folder in folders(source.settings.predictions)]
    is_all = not source.since and bool(days) and whole[:1] == [days[0].name]
    return Recent(
        (np.concatenate(time) if time else np.empty(0, np.int64)).astype("datetime64[us]")[known],
        label[known],
        (np.concatenate(answer) if answer else task.from_columns({n: np.empty(0) for n in task.outputs}))[
            known
        ],
        {name: each[known] for name, each in parts.items()},
        strange,
        tally.labels - tally.matched if is_all else 0,
    )


def _newest(source: Source, days: Sequence[Day], slices: Sequence[str], tally: Tally) -> Iterator[Any]:
    since = begin(source, days)
    read = partial(
        labelled,
        source.settings,
        source.task,
        version=source.version,
        columns=slices,
        on_damage=source.on_damage,
    )
    found = False
    for batch in read(since=since, tally=tally):
        found = True
        yield batch
    if not found and not source.since and days:
        yield from read(since=since - timedelta(days=source.settings.monitoring.period_days), until=since)


def begin(source: Source, days: Sequence[Day]) -> datetime:
    """When what is judged begins."""
    first = days[0].first.replace(hour=0, minute=0, second=0, microsecond=0)
    return max(first, source.since) if source.since else first


def waiting(source: Source, days: Sequence[Day]) -> Array:
    """The newest answers that have no label yet, as the task has them, `(m, …)`."""
    import pyarrow.compute as pc

    found: list[Array] = []
    for batch in labelled(
        source.settings,
        source.task,
        version=source.version,
        since=begin(source, days),
        unlabelled=True,
        on_damage=lambda damage: None,
    ):
        open_ones = batch.filter(pc.is_null(_column(batch, LABEL)))
        if open_ones.num_rows:
            found.append(answers_in(source.task, open_ones))
        if sum(map(len, found)) >= _MOST_WAITING:
            break
    return np.concatenate(found)[:_MOST_WAITING] if found else np.empty(0)


def _column(batch: Any, name: str) -> Any:
    return batch.column(batch.schema.names.index(name))


def known_labels(task: Task, values: Sequence[Any]) -> tuple[Array, Array]:
    """Which labels are known by now, and all of them as the task reads them; the others are zeros."""
    import pandas as pd

    series = pd.Series(list(values))
    known = series.notna().to_numpy(copy=True)
    known[known] = task.known(series[known])
    read = task.read(series[known])
    label = np.zeros(len(series), dtype=read.dtype)
    label[known] = read
    return known, label
