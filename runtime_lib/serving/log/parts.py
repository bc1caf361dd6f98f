"""Parquet files of compacted rows: written by row groups, checked before they are read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from runtime_lib.files import atomic_file
from runtime_lib.serving.log.frames import Damage, OnDamage
from runtime_lib.serving.log.manifest import Part
from runtime_lib.serving.log.shape import Shape
from runtime_lib.serving.log.wanted import Wanted, micros

__all__ = ["PartWriter", "part_of", "read_part", "write_part"]

_GROUP = 262_144  # rows of a row group, at most
_BATCH = 32_768
_END = 8  # bytes: the footer's length and `PAR1`


class PartWriter:
    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.rows = 0
        self.ids: list[tuple[int, int]] = []

    def write(self, table: Any, ids: tuple[int, int]) -> None:
        """Add rows whose ids are in these buckets, from the first to the last."""
        self._writer.write_table(table, row_group_size=_GROUP)
        self.rows += len(table)
        self.ids += [ids] * -(-len(table) // _GROUP)


@contextmanager
def write_part(path: Path, shape: Shape) -> Iterator[PartWriter]:
    """Write a file whole or not at all; it is the owner's alone, as the whole log is."""
    import pyarrow.parquet as pq

    schema, plain = _schema(shape), ("id", "time")
    with atomic_file(path) as temporary:
        temporary.touch(mode=0o600)
        with pq.ParquetWriter(
            temporary,
            schema,
            # Every join with labels reads the ids, and decompressing them would be most of its time.
            compression={name: "lz4" if name in plain else "zstd" for name in schema.names},
            use_dictionary=[name for name in schema.names if name not in plain],
        ) as writer:
            yield PartWriter(writer)


def _schema(shape: Shape) -> Any:
    import pyarrow as pa

    text = dict(shape.inputs) | {"id": True}
    kinds = [(name, pa.string() if text.get(name) else pa.float64()) for name in shape.columns]
    kinds[1] = ("time", pa.timestamp("us", tz="UTC"))
    return pa.schema(kinds, {"mlops.shape": shape.message})


def part_of(path: Path, shape: Shape, written: PartWriter) -> Part:
    """What the manifest says of a file that was written."""
    import pyarrow.parquet as pq

    with path.open("rb") as file, pq.ParquetFile(path) as parquet:
        size, footer = _footer(file)
        groups = (parquet.metadata.row_group(number) for number in range(parquet.num_row_groups))
        every = range(len(shape.columns))
        sums = [[_checksum(file, *_chunk(group, number)) for number in every] for group in groups]
    return Part(path.name, shape, written.rows, size, footer, written.ids, sums)


def _chunk(group: Any, column: int) -> tuple[int, int]:
    """Where a column of a row group begins, and its bytes."""
    chunk = group.column(column)
    return chunk.dictionary_page_offset or chunk.data_page_offset, chunk.total_compressed_size


def _checksum(file: IO[bytes], start: int, length: int) -> int:
    file.seek(start)
    return zlib.crc32(file.read(length))


def _footer(file: IO[bytes]) -> tuple[int, int]:
    """The file's size, and the checksum of its footer: -1 if there cannot be one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END))
    length = int.from_bytes(file.read(4), "little") + _END
    if length > size:
        return size, -1
    file.seek(size - length)
    return size, zlib.crc32(file.read())


def read_part(path: Path, part: Part, wanted: Wanted, on_damage: OnDamage) -> Iterator[Any]:
    """Yield its wanted rows, as tables of some ten thousand; a row group that is damaged is left out."""
    import pyarrow.parquet as pq

    read = wanted.read(part.shape)
    columns = [name for name in part.shape.columns if name in read]
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return on_damage(Damage(path, 0, part.size, "the file is missing"))
    with file:
        if _footer(file) != (part.size, part.footer):
            return on_damage(Damage(path, 0, part.size, "the file's end is damaged or cut short"))
        with pq.ParquetFile(path) as parquet:
            for number, ids in enumerate(part.ids):
                group = parquet.metadata.row_group(number)
                if not _reaches(group, ids, wanted):
                    continue
                if damage := _damage(path, file, part, number, group, columns):
                    on_damage(damage)
                    continue
                within = wanted.ids is None or (ids[0] >= wanted.ids.start and ids[1] < wanted.ids.stop)
                kept = replace(wanted, ids=None) if within else wanted
                for batch in parquet.iter_batches(_BATCH, row_groups=[number], columns=columns):
                    yield kept.rows(_table(batch, columns))


def _table(batch: Any, columns: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([batch]).select(columns)


def _damage(
    path: Path, file: IO[bytes], part: Part, number: int, group: Any, columns: Sequence[str]
) -> Damage | None:
    """The first of these columns of a row group that is not as it was written."""
    for place, name in enumerate(part.shape.columns):
        if name in columns:
            where = _chunk(group, place)
            if _checksum(file, *where) != part.columns[number][place]:
                reason = f"{group.num_rows:,} rows do not match the checksum of their column '{name}'"
                return Damage(path, *where, reason)
    return None


def _reaches(group: Any, ids: tuple[int, int], wanted: Wanted) -> bool:
    """Whether a row group may hold a wanted row."""
    if wanted.ids is not None and (ids[1] < wanted.ids.start or ids[0] >= wanted.ids.stop):
        return False
    times = group.column(1).statistics
    if times is None or not times.has_min_max:
        return True
    late = wanted.since is not None and micros(times.max) < wanted.since
    return not late and not (wanted.until is not None and micros(times.min) >= wanted.until)
