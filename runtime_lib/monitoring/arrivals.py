"""The files of the labels, in the order in which they came: of one id the last counts.

    <folder>/<time of arrival>-<random>.parquet     columns id (text), label, time (UTC)

Format 2 (schema metadata `mlops.format`): a label is a whole number, a number or text, as the task says. In
format 1, until 0.6, it was 0 or 1 (the first two releases wrote no format). Since 0.9 a large file is ordered
by the buckets of its ids, and `mlops.ids` has the first and the last bucket of each row group; other files
hold any. To change the format: raise `_FORMAT` and keep reading every earlier number in `arrivals`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from runtime_lib.errors import ServiceError
from runtime_lib.files import atomic_file, check_format, sync_folder
from runtime_lib.locks import one_at_a_time, reading, removing
from runtime_lib.serving.log.ids import BUCKETS, buckets, buckets_for, hashes, latest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Arrival", "arrivals", "merge_arrivals", "write_arrival"]

_FORMAT = 2
_KEY, _IDS = b"mlops.format", b"mlops.ids"
_GROUP = 131_072  # labels of a row group, about; a file with fewer is small
_SMALL_ONES = 16  # small files that are left side by side
_MERGED = 1_048_576  # labels of a merged file, at most


@dataclass(frozen=True)
class Arrival:
    """A file of labels. `ids`: of each row group the first and the last bucket."""

    path: Path
    rows: int
    kind: str
    ids: Sequence[tuple[int, int]]

    def table(self, ids: range = range(BUCKETS)) -> Any:
        """Its labels whose ids are in these buckets, as an Arrow table: `id`, `label`, `time`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            groups = [n for n, (first, last) in enumerate(self.ids) if last >= ids.start and first < ids.stop]
            table = file.read_row_groups(groups, columns=["id", "label", "time"])
        if len(ids) == BUCKETS or not len(table):
            return table
        found = buckets(hashes(table["id"].combine_chunks()))
        return table.filter(pa.array((found >= ids.start) & (found < ids.stop)))


@contextmanager
def arrivals(folder: Path) -> Iterator[list[Arrival]]:
    """The files in `folder`, oldest first; none of them goes while the block runs. It may not exist yet.

    Raises:
        DataError: a file was written by a later version of this library.
    """
    if not folder.is_dir():
        yield []
        return
    with reading(folder):
        yield _arrivals(folder)


def _arrivals(folder: Path) -> list[Arrival]:
    import pyarrow.parquet as pq

    found = []
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            check_format(int(metadata.get(_KEY, b"1")), newest=_FORMAT, where=path)
            anywhere = [(0, BUCKETS - 1)] * file.num_row_groups
            ids = [(first, last) for first, last in json.loads(metadata.get(_IDS, b"[]"))] or anywhere
            kind = str(file.schema_arrow.field("label").type)
            found.append(Arrival(path, file.metadata.num_rows, kind, ids))
    return found


def write_arrival(folder: Path, labels: pd.DataFrame) -> None:
    """Keep labels that come now: columns `id` (text, no two alike) and `label`."""
    import pyarrow as pa

    now = datetime.now(UTC)
    # Names sort by arrival, which is what "last" means; the suffix keeps two writers of one moment apart.
    name = f"{now:%Y%m%dT%H%M%S.%fZ}-{uuid4().hex[:8]}.parquet"
    label = pa.array(labels["label"])
    label = label.cast(pa.string()) if pa.types.is_large_string(label.type) else label
    ids = pa.array(labels["id"], pa.string())
    kind = pa.timestamp("us", tz="UTC")
    time = pa.repeat(pa.scalar(now, kind), len(labels))
    _write(folder / name, pa.table({"id": ids, "label": label, "time": time}))


def _write(path: Path, table: Any) -> None:
    """Write a table; a large one in groups of whole buckets."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ranges = buckets_for(len(table), _GROUP)
    groups, metadata = [table], {_KEY: str(_FORMAT)}
    if ranges > 1:
        width = BUCKETS // ranges
        places = buckets(hashes(table["id"].combine_chunks())) // width
        table = table.take(pa.array(np.argsort(places, kind="stable")))
        ends = np.cumsum(np.bincount(places, minlength=ranges)).tolist()
        cuts = [(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        groups = [table.slice(begin, end - begin) for begin, end in cuts if begin < end]
        ids = [(n * width, (n + 1) * width - 1) for n, (begin, end) in enumerate(cuts) if begin < end]
        metadata[_IDS] = json.dumps(ids)
    schema = table.schema.with_metadata(metadata)
    plain = ["id", "time"]  # see `serving.log.parts`: decompressing ids is most of a join's time
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression={name: "lz4" if name in plain else "zstd" for name in schema.names},
            use_dictionary=["label", "time"],
        ) as writer,
    ):
        for group in groups:
            writer.write_table(group, row_group_size=max(1, len(group)))
    sync_folder(path.parent)


def merge_arrivals(folder: Path) -> int:
    """Bring many small files together, so that years of hourly labels are a few files; it changes no label.

    The merged file is there before the others go: read twice, a label is the same. While another process
    reads the labels nothing is done.

    Returns:
        How many files became fewer.

    Raises:
        ServiceError: the disk is full, or the folder cannot be written to. The labels stay as they are.
    """
    if not folder.is_dir():
        return 0
    try:
        with one_at_a_time(folder) as alone:
            if not alone:
                return 0
            with removing(folder) as unread:
                return sum(_merge(folder, run) for run in _runs(_arrivals(folder))) if unread else 0
    except OSError as error:
        raise ServiceError(
            f"The labels in {folder} cannot be brought together ({error.strerror or error}). None is lost. "
            f"Free space on that disk, or make the folder writable: the next `mlops monitor` tries again."
        ) from error


def _runs(files: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """Small files of one kind that lie side by side, where they are many: between them none may come."""
    run: list[Arrival] = []
    for file in [*files, None]:
        fits = (
            file is not None
            and file.rows < _GROUP
            and (not run or file.kind == run[0].kind)
            and sum(each.rows for each in run) + file.rows <= _MERGED
        )
        if not fits:
            if len(run) >= _SMALL_ONES:
                yield run
            run = []
        if file is not None and file.rows < _GROUP:
            run.append(file)


def _merge(folder: Path, run: Sequence[Arrival]) -> int:
    import pyarrow as pa

    table = pa.concat_tables([file.table().replace_schema_metadata() for file in run])
    kept = latest(table["id"].combine_chunks(), np.arange(len(table)))
    # The name sorts just before the last of them: what came later still does.
    moment, suffix = run[-1].path.stem.split("-")[:2]
    _write(folder / f"{moment}-{suffix}-{uuid4().hex[:8]}.parquet", table.take(pa.array(kept)))
    for file in run:
        file.path.unlink()
    return len(run) - 1
