"""The rows of a day, apart by version, role and range of buckets, so that each share fits into memory.

What does not fit lies in one file, in blocks; where each is, is in memory: some bytes for a thousand rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from runtime_lib.serving.log.days import size_of
from runtime_lib.serving.log.ids import BUCKETS, buckets, buckets_for, hashes, latest
from runtime_lib.serving.log.segments import Piece
from runtime_lib.serving.log.shape import Shape
from runtime_lib.serving.log.wanted import Wanted

__all__ = ["Group", "Spill", "ranges_for"]

Group = tuple[str, str]  # version and role: of the answers of one to an id the last counts
_SHARE = 24 * 2**20  # bytes of segments whose rows are brought together in memory
_PACKED = 4  # times that a row is smaller in Parquet, about
_ALL = Wanted()
_Block = tuple[Shape, Any]  # a batch, or where it lies: offset and length


def ranges_for(day: Path) -> int:
    """Into how many ranges of buckets the rows of a day are cut, so that one of them fits into memory."""
    return buckets_for(size_of(day, "*.arrows") + _PACKED * size_of(day, "*.parquet"), _SHARE)


class Spill:
    def __init__(
        self, file: IO[bytes] | None, ranges: int, asked: Wanted = _ALL, *, together: bool = False
    ) -> None:
        """Take rows in.

        Args:
            file: new, open to write and read; None: all stays in memory.
            ranges: a power of two; 1 without a file.
            asked: for which the tables that are added were read, with `time` among its columns.
            together: of the answers of all versions to an id only the last counts.
        """
        self._file, self._asked, self._together = file, asked, together
        self.ranges = ranges
        self.width = BUCKETS // ranges  # buckets of a range
        self.rows = 0
        self._shapes: dict[bytes, Shape] = {}
        self._blocks: dict[Group, dict[int, list[_Block]]] = defaultdict(lambda: defaultdict(list))

    @property
    def groups(self) -> list[Group]:
        return sorted(self._blocks)

    def add(self, shape: Shape, table: Any) -> None:
        """Put rows aside, behind all that came before."""
        import pyarrow as pa

        shape = self._shapes.setdefault(shape.message, shape)  # `read_shape` keeps some of many only
        order = pa.array(np.arange(self.rows, self.rows + len(table)))
        columns = [*(column.combine_chunks() for column in table.columns), order]
        batch = pa.RecordBatch.from_arrays(columns, names=_numbered(len(columns)))
        self.rows += len(table)
        blocks = self._blocks[("", "") if self._together else (shape.version, shape.role)]
        if self._file is None:
            blocks[0].append((shape, batch))
            return
        places = buckets(hashes(batch.column(0))) // self.width
        batch = batch.take(pa.array(np.argsort(places, kind="stable")))
        ends = np.cumsum(np.bincount(places, minlength=self.ranges))
        for number, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if begin < end:
                data = batch.slice(begin, end - begin).serialize()
                blocks[number].append((shape, (self._file.tell(), data.size)))
                self._file.write(data)

    def last_answers(self, group: Group, number: int) -> Iterator[Piece]:
        """The rows of a range, a table for each shape: of each id the last, oldest first."""
        import pyarrow as pa

        found = [(shape, self._batch(shape, block)) for shape, block in self._blocks[group].pop(number, ())]
        if not found:
            return
        found.sort(key=lambda one: one[0].message)  # each shape's rows side by side
        ids = pa.concat_arrays([batch.column(0) for _, batch in found])
        time = np.concatenate([batch.column(1).view(pa.int64()).to_numpy() for _, batch in found])
        order = np.concatenate([batch.column(-1).to_numpy() for _, batch in found])
        places = np.empty(len(ids), np.int64)
        places[np.lexsort((order, time))] = np.arange(len(ids))
        kept = latest(ids, places)
        begin = 0
        for shape in dict.fromkeys(shape for shape, _ in found):
            whole = pa.concat_batches([batch for own, batch in found if own is shape])
            own = kept[(kept >= begin) & (kept < begin + len(whole))] - begin
            begin += len(whole)
            if len(own):
                table = pa.Table.from_batches([whole.take(pa.array(own))])
                columns = self._columns(shape)
                yield shape, table.select(range(len(columns))).rename_columns(columns)

    def _columns(self, shape: Shape) -> list[str]:
        read = self._asked.read(shape)
        return [name for name in shape.columns if name in read]

    def _batch(self, shape: Shape, block: Any) -> Any:
        import pyarrow as pa

        if self._file is None:
            return block
        offset, length = block
        self._file.seek(offset)
        text = dict(shape.inputs)
        kinds = [pa.string(), pa.timestamp("us", tz="UTC")]
        kinds += [pa.string() if text.get(name) else pa.float64() for name in self._columns(shape)[2:]]
        schema = pa.schema(list(zip(_numbered(len(kinds) + 1), [*kinds, pa.int64()], strict=True)))
        return pa.ipc.read_record_batch(pa.py_buffer(self._file.read(length)), schema)


def _numbered(count: int) -> list[str]:
    """Names of columns and of the order behind them: numbers, as an input may have any name."""
    return [str(number) for number in range(count)]
