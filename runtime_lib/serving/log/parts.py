"""Parquet files of compacted rows: written by row groups, checked before they are read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
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
            write_page_checksum=True,
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
    with path.open("rb") as file:
        size, footer = _footer(file)
    return Part(path.name, shape, written.rows, size, footer, written.ids)


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

    try:
        with path.open("rb") as file:
            whole = _footer(file) == (part.size, part.footer)
    except FileNotFoundError:
        return on_damage(Damage(path, 0, part.size, "the file is missing"))
    if not whole:
        return on_damage(Damage(path, 0, part.size, "the file's end is damaged or cut short"))
    with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        for group, ids in enumerate(part.ids):
            if _reaches(parquet.metadata.row_group(group), ids, wanted):
                yield from _read_group(path, parquet, group, ids, wanted, part.shape, on_damage)


def _reaches(group: Any, ids: tuple[int, int], wanted: Wanted) -> bool:
    """Whether a row group may hold a wanted row."""
    if wanted.ids is not None and (ids[1] < wanted.ids.start or ids[0] >= wanted.ids.stop):
        return False
    times = group.column(1).statistics
    if times is None or not times.has_min_max:
        return True
    late = wanted.since is not None and micros(times.max) < wanted.since
    return not late and not (wanted.until is not None and micros(times.min) >= wanted.until)


def _read_group(
    path: Path,
    parquet: Any,
    group: int,
    ids: tuple[int, int],
    wanted: Wanted,
    shape: Shape,
    on_damage: OnDamage,
) -> Iterator[Any]:
    import pyarrow as pa

    read = wanted.read(shape)
    columns = [name for name in shape.columns if name in read]
    within = wanted.ids is None or (ids[0] >= wanted.ids.start and ids[1] < wanted.ids.stop)
    kept = replace(wanted, ids=None) if within else wanted
    try:
        for batch in parquet.iter_batches(_BATCH, row_groups=[group], columns=columns):
            yield kept.rows(pa.Table.from_batches([batch]).select(columns))
    except (OSError, pa.ArrowException) as error:
        stored = parquet.metadata.row_group(group)
        pages = [stored.column(number) for number in range(stored.num_columns)]
        start = min(p.dictionary_page_offset or p.data_page_offset for p in pages)
        size = sum(p.total_compressed_size for p in pages)
        on_damage(Damage(path, start, size, f"a group of rows does not match its checksum ({error})"))
