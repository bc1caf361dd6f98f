"""Predictions next to their labels, a day at a time: memory depends neither on the days nor on the labels.

With more labels than fit, ids are taken by ranges of buckets: the labels of one range are in memory, and of
each day only its rows are read. Compacted days and large files of labels are ordered for that.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from runtime_lib.errors import ServiceError
from runtime_lib.locks import reading
from runtime_lib.monitoring.arrivals import arrivals
from runtime_lib.monitoring.lookup import Lookup, read_lookup
from runtime_lib.serving.log import ANSWER, Damage, OnDamage, Role
from runtime_lib.serving.log.days import days, is_once, rows_of
from runtime_lib.serving.log.ids import BUCKETS, buckets_for
from runtime_lib.serving.log.segments import Piece
from runtime_lib.serving.log.shape import Shape
from runtime_lib.serving.log.spill import Spill, ranges_for
from runtime_lib.serving.log.wanted import Wanted, wanted
from runtime_lib.settings import Settings
from runtime_lib.task.task import Task

__all__ = ["LABEL", "LABEL_TIME", "Tally", "labelled"]

LABEL, LABEL_TIME = "mlops.label", "mlops.label.time"  # the log lets no input have such a name
_MOST = 2**20  # labels in memory, about
_ROWS = 65_536


@dataclass
class Tally:
    """What a join found, once it is through.

    Attributes:
        labels: ids that have a label of the task.
        matched: those of them that have a prediction among what was asked for.
    """

    labels: int = 0
    matched: int = 0


def _warn(damage: Damage) -> None:
    warnings.warn(f"The prediction log is damaged: {damage}", stacklevel=2)


def labelled(
    settings: Settings,
    task: Task,
    *,
    version: str | None = None,
    role: Role = "primary",
    since: datetime | None = None,
    until: datetime | None = None,
    columns: Collection[str] = (),
    unlabelled: bool = False,
    on_damage: OnDamage = _warn,
    tally: Tally | None = None,
) -> Iterator[Any]:
    """Read predictions with their labels in constant memory, the newest day first.

    A label belongs to one prediction: the last one that this version gave to its id, or that any gave.

    Args:
        task: whose labels they are; those of another, as the project had before, are left out.
        version, role, since, until: which predictions, as `serving.log.scan` takes them.
        columns: inputs to read too, or `version`.
        unlabelled: yield the predictions without a label as well, of each day the last one to an id.
        on_damage: is told of every part of the log that could not be read; default: a warning.
        tally: is given the counts when the iterator ends.

    Yields:
        Arrow record batches of at most 65,536 rows, each of one version, with the columns `id`, `time`
        (UTC), `mlops.answer.<output>` for each output of the task that the version has, the inputs asked for
        that it has, `mlops.label` (as `Task.stored`) and `mlops.label.time`, when it came (UTC). The last
        two are null where there is no label.

    Raises:
        DataError: a file was written by a later version of this library.
        ServiceError: the disk is full; what is not compacted is put aside there while it is joined.
    """
    read = {"id", "time", *(ANSWER + name for name in task.outputs), *columns}
    asked = wanted(since=since, until=until, version=version, role=role, columns=read)
    known: set[Damage] = set()

    def tell_once(damage: Damage) -> None:
        if damage not in known:
            known.add(damage)
            on_damage(damage)

    with arrivals(settings.labels) as files, ExitStack() as held:
        ranges = buckets_for(sum(file.rows for file in files), _MOST)
        log = _Log(settings.predictions, asked, ranges, held, tell_once)
        for number in range(ranges):
            ids = range(number * BUCKETS // ranges, (number + 1) * BUCKETS // ranges)
            joined = _Joined(read_lookup(files, ids, task), asked, unlabelled)
            for shape, table in log.newest_first(ids):
                yield from joined.rows(shape, table)
            if tally:
                tally.labels += len(joined.lookup)
                tally.matched += int(joined.used.sum())


class _Joined:
    """The labels of a range of buckets, and which of them a prediction has."""

    def __init__(self, lookup: Lookup, asked: Wanted, unlabelled: bool) -> None:
        self.lookup, self._asked, self._unlabelled = lookup, asked, unlabelled
        self.used = np.zeros(len(lookup), bool)

    def rows(self, shape: Shape, table: Any) -> Iterator[Any]:
        """The rows of a table, in which no id comes twice, that have a label which no newer row had."""
        import pyarrow as pa

        rows, places = self.lookup.find(table["id"].combine_chunks())
        fresh = ~self.used[places]
        kept = rows[fresh]
        if self._unlabelled:
            kept = np.setdiff1d(np.arange(len(table)), rows[~fresh], assume_unique=True)
        label = np.full(len(table), -1)
        label[rows[fresh]] = places[fresh]
        self.used[places] = True
        if not len(kept):
            return
        taken = pa.array(label[kept], mask=label[kept] < 0)
        whole = shape.whole(table.take(pa.array(kept)), self._asked.columns)
        whole = whole.append_column(LABEL, self.lookup.labels.take(taken))
        whole = whole.append_column(LABEL_TIME, self.lookup.times.take(taken))
        yield from whole.to_batches(max_chunksize=_ROWS)


class _Log:
    """The days of a log by ranges of buckets; of a day the last answer to an id.

    What is not compacted yet is read once and put aside, in a file without a name.
    """

    def __init__(
        self, folder: Path, asked: Wanted, ranges: int, held: ExitStack, on_damage: OnDamage
    ) -> None:
        self._folder, self._asked, self._ranges = folder, asked, ranges
        self._held, self._on_damage = held, on_damage
        self._aside: dict[str, Spill] = {}

    def newest_first(self, ids: range) -> Iterator[Piece]:
        asked = self._asked if self._ranges == 1 else replace(self._asked, ids=ids)
        for day in reversed(days(self._folder)):
            if asked.day(day.name):
                yield from self._day(day, asked, ids)

    def _day(self, day: Path, asked: Wanted, ids: range) -> Iterator[Piece]:
        spill = self._aside.get(day.name)
        if spill is None:
            with reading(self._folder):
                if is_once(day, asked):
                    yield from rows_of(day, asked, self._on_damage)
                    return
                spill = self._aside[day.name] = self._put_aside(day)
        for number in range(ids.start // spill.width, ids.stop // spill.width):
            for group in spill.groups:
                yield from spill.last_answers(group, number)

    def _put_aside(self, day: Path) -> Spill:
        together = self._asked.version is None
        try:
            file = TemporaryFile(dir=self._folder)  # noqa: SIM115 (it serves every range of buckets)
            self._held.enter_context(file)
            spill = Spill(file, max(self._ranges, ranges_for(day)), self._asked, together=together)
            for shape, table in rows_of(day, self._asked, self._on_damage):
                spill.add(shape, table)
            file.flush()
        except OSError as error:
            raise ServiceError(
                f"The predictions in {day} cannot be put aside in {self._folder} to join them with labels "
                f"({error.strerror or error}). Free space on that disk, or make the folder writable."
            ) from error
        return spill
