"""The labels of a range of buckets in memory, found by id a batch of predictions at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.monitoring.arrivals import Arrival
from runtime_lib.serving.log.ids import hashes, latest
from runtime_lib.task.task import Task

__all__ = ["Lookup", "read_lookup"]

_SPARSE = 8  # places of the filter for each label: of ids without one it lets through an eighth


class Lookup:
    """Attributes: `labels` and `times` of arrival (UTC), Arrow arrays `(n,)` in one order."""

    def __init__(self, ids: Any, labels: Any, times: Any) -> None:
        self.labels, self.times, self._ids = labels, times, ids
        found = hashes(ids)
        self._order = np.argsort(found)
        self._hashes = found[self._order]
        bits = max(10, (len(ids) * _SPARSE - 1).bit_length())
        self._mask = np.uint64(2**bits - 1)
        self._there = np.zeros(2**bits, bool)
        self._there[self._place(found)] = True
        self._alike = self._of_one_hash()

    def __len__(self) -> int:
        return len(self._ids)

    def _place(self, found: Array) -> Array:
        """Of each hash, in the filter."""
        return (found & self._mask).view(np.int64)

    def _of_one_hash(self) -> dict[str, int]:
        """Ids of which several share a hash: by chance none, but whoever chooses ids can make some."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        places = self._order[np.union1d(same, same + 1)]
        return {self._ids[place].as_py(): place for place in places.tolist()}

    def find(self, ids: Any) -> tuple[Array, Array]:
        """Which rows of `ids` `(m,)` have a label, in order, and the place of each one's label."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(self):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = hashes(ids)
        rows = np.flatnonzero(self._there.take(self._place(found), mode="clip"))
        wanted = found[rows]
        by_hash = np.argsort(wanted)  # neighbours in the search are neighbours in memory
        places = np.empty(len(rows), np.int64)
        places[by_hash] = np.searchsorted(self._hashes, wanted[by_hash])
        places[places == len(self._hashes)] = 0
        same = self._hashes[places] == wanted
        rows, places = rows[same], self._order[places[same]]
        equal = pc.equal(ids.take(pa.array(rows)), self._ids.take(pa.array(places)))
        good = equal.to_numpy(zero_copy_only=False)
        for number in np.flatnonzero(~good).tolist():
            place = self._alike.get(ids[int(rows[number])].as_py())
            if place is not None:
                places[number], good[number] = place, True
        return rows[good], places[good]


def read_lookup(files: Sequence[Arrival], ids: range, task: Task) -> Lookup:
    """The last label of each id in these buckets; what is no label of the task is left out."""
    import pyarrow as pa

    kind = pa.from_numpy_dtype(np.dtype(task.stored)) if task.stored != "str" else pa.string()
    schema = pa.schema([("id", pa.string()), ("label", kind), ("time", pa.timestamp("us", tz="UTC"))])
    tables = [schema.empty_table(), *(_own(file.table(ids), task, schema) for file in files)]
    table = pa.concat_tables(tables)
    columns = [table[name].combine_chunks() for name in schema.names]
    kept = latest(columns[0], np.arange(len(table)))
    if len(kept) < len(table):
        columns = [column.take(pa.array(kept)) for column in columns]
    return Lookup(*columns)


def _own(table: Any, task: Task, schema: Any) -> Any:
    """The table's labels as the task stores them."""
    import pyarrow as pa

    values = table["label"].to_pandas()
    good = ~task.wrong_labels(values)
    table = table.filter(pa.array(good))
    labels = pa.array(values[good].astype(task.stored), schema.field("label").type)
    return pa.table([table["id"], labels, table["time"].cast(schema.field("time").type)], schema=schema)
