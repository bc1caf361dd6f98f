"""The prediction log: what was asked and what each version answered, kept for monitoring.

    <folder>/<YYYY-MM-DD>/<pid>-<n>.arrows      UTC day; an Arrow IPC stream, one segment per process

Format 2 (schema metadata `mlops.format`): id, time, model, version, mlops.answer (a struct with a number for
each of the task's outputs), then one column per input. Of an image it is text, its size, mean brightness and
sha256 (`data/images.summaries`): pixels would outgrow all else. Format 1, until 0.6, had the column
`probability` in place of `mlops.answer`. A row is identified by its id and version: several versions may
answer one id, and of each the last answer counts. To change the format: raise `_FORMAT` and keep reading
every earlier number in `_read_segment`.

Each append is one record batch in one write, so it survives the death of the process (`kill -9`);
it is not forced to disk, so a power cut may take the last seconds. A process that dies within the
write leaves a torn tail, which readers skip.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.images import summaries
from runtime_lib.errors import DataError
from runtime_lib.files import check_format

if TYPE_CHECKING:
    import pandas as pd

    from runtime_lib.data.columns import Array

__all__ = ["PredictionLog", "answers", "is_reserved", "read_predictions"]

# The last with a name that no input has: inputs were free to be called `answer` until 0.6.
RESERVED = ("id", "time", "model", "version", "mlops.answer")
ANSWER = "mlops.answer."  # in front of an output's name, in a table that was read back
_FORMAT = 2
_KEY = b"mlops.format"


class PredictionLog:
    """The writing end, for one process; safe to share between threads."""

    failing: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: int | None = None
        self._day = ""
        self._schema: Any = None

    def append(
        self,
        ids: Sequence[str],
        rows: Mapping[str, Array],
        answer: Mapping[str, Array],
        *,
        model: str,
        version: str,
        time: datetime,
    ) -> None:
        """Write `n` predictions; when this returns, they outlive the process.

        Args:
            ids: `n` identities, under which labels come later.
            rows: inputs as from `check_rows`, each of `n` values.
            answer: by output, each of shape `(n,)`.
            time: when they were answered; must carry a time zone.

        Raises:
            DataError: an input has the name of one of the log's own columns (`RESERVED`).
            OSError: the segment cannot be written, for instance because the disk is full.
        """
        batch = _batch(ids, rows, answer, model=model, version=version, time=time)
        message = batch.serialize()
        with self._lock:
            day = time.astimezone(UTC).date().isoformat()
            if self._file is None or day != self._day or not batch.schema.equals(self._schema):
                self._open(day, batch.schema)
            self._write(message)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _open(self, day: str, schema: Any) -> None:
        self._end()
        folder = self._folder / day
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _new_file(folder)
        self._day, self._schema = day, schema
        self._write(schema.serialize())

    def _write(self, message: Any) -> None:
        assert self._file is not None
        view = memoryview(message)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self._end()  # what follows a half-written batch would be unreadable: start a new segment
            raise

    def _end(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None


def read_predictions(
    folder: Path, *, since: datetime | None = None, version: str | None = None
) -> pd.DataFrame:
    """Read the log back, oldest first; of the answers of one version to one id the last one counts.

    Args:
        folder: as given to `PredictionLog`; may not exist yet.
        since: only rows answered at or after this time (with a time zone).
        version: only the answers of this version; default: of every one, so that an id which several
            versions answered comes once for each.

    Returns:
        Columns `id`, `time` (UTC), `model`, `version`, one per input, and `mlops.answer.<output>` for each
        output, see `answers`. Empty if nothing was logged.

    Raises:
        DataError: a segment was written by a later version of this library.
    """
    import pyarrow as pa

    first = since.astimezone(UTC).date().isoformat() if since else ""
    tables = [_flat(_schema().empty_table())]
    for path in sorted(folder.glob("*/*.arrows")):
        if path.parent.name >= first and (batches := list(_read_segment(path))):
            tables.append(_flat(pa.Table.from_batches(batches)))
    if version is not None:
        # Before their columns are brought together: another version's inputs may be of other kinds.
        tables = [tables[0], *_answers_of(version, tables)]
    table = pa.concat_tables(_agreed(tables), promote_options="default").to_pandas()
    if since is not None:
        table = table[table["time"] >= since]
    table = table.sort_values("time", kind="stable").drop_duplicates(["id", "version"], keep="last")
    return table.reset_index(drop=True)


def answers(table: pd.DataFrame) -> dict[str, Array]:
    """The answers of a table from `read_predictions`: output → numbers, NaN where a version lacks it."""
    found = [name for name in table.columns if name.startswith(ANSWER)]
    return {name.removeprefix(ANSWER): table[name].to_numpy("float64") for name in found}


def _flat(table: Any) -> Any:
    """With a column for each output: versions of a model may answer differently, and structs do not agree."""
    import pyarrow as pa

    place = table.schema.get_field_index(RESERVED[-1])
    struct, table = table.column(place).combine_chunks(), table.remove_column(place)
    for field in struct.type:
        values = pa.compute.struct_field(struct, field.name)
        table = table.append_column(pa.field(ANSWER + field.name, field.type), values)
    return table


def _answers_of(version: str, tables: list[Any]) -> Iterator[Any]:
    import pyarrow.compute as pc

    for table in tables:
        own = table.filter(pc.equal(table["version"], version))
        if len(own):
            yield own


def _agreed(tables: list[Any]) -> list[Any]:
    """Where an input was a number in one model and text in another, keep the later kind, null the rest."""
    import pyarrow as pa

    kinds = {field.name: field.type for table in tables for field in table.schema}
    for place, table in enumerate(tables):
        for number, field in enumerate(table.schema):
            if field.type != kinds[field.name]:
                nulls = pa.nulls(len(table), kinds[field.name])
                tables[place] = tables[place].set_column(number, field.name, nulls)
    return tables


@cache
def _schema(inputs: tuple[tuple[str, bool], ...] = (), outputs: tuple[str, ...] = ()) -> Any:
    """The log's own columns, then the inputs (name, whether it is text). Kept, as it is slow to make."""
    import pyarrow as pa

    if clash := [name for name, _ in inputs if is_reserved(name)]:
        raise DataError(
            f"Input '{clash[0]}' has the name of a column of the prediction log. Rename the feature."
        )
    answer = pa.struct([pa.field(name, pa.float64(), nullable=False) for name in outputs])
    kinds = [pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.string(), answer]
    own = [pa.field(name, kind, nullable=False) for name, kind in zip(RESERVED, kinds, strict=True)]
    more = [pa.field(name, pa.string() if text else pa.float64()) for name, text in inputs]
    return pa.schema(own + more, metadata={_KEY: str(_FORMAT)})


def is_reserved(name: str) -> bool:
    """Whether an input may not have this name, as the log has it for a column of its own."""
    return name in RESERVED or name.startswith(ANSWER)


def _batch(
    ids: Sequence[str],
    rows: Mapping[str, Array],
    answer: Mapping[str, Array],
    *,
    model: str,
    version: str,
    time: datetime,
) -> Any:
    import pyarrow as pa

    logged = {name: summaries(values) if values.ndim > 1 else values for name, values in rows.items()}
    inputs = tuple((name, rows[name].dtype == object or rows[name].ndim > 1) for name in logged)
    schema, count = _schema(inputs, tuple(answer)), len(ids)
    numbers = [pa.array(values, pa.float64()) for values in answer.values()]
    answers = pa.StructArray.from_arrays(numbers, fields=[*schema.field(RESERVED[-1]).type])
    columns = [list(ids), [time] * count, [model] * count, [version] * count]
    arrays = [pa.array(values, type=kind) for values, kind in zip(columns, schema.types[:4], strict=True)]
    more = [pa.array(v, type=kind) for v, kind in zip(logged.values(), schema.types[5:], strict=True)]
    return pa.RecordBatch.from_arrays([*arrays, answers, *more], schema=schema)


def _new_file(folder: Path) -> int:
    """Create the first free `<pid>-<n>.arrows`; a container's pid may have been used before."""
    number = 0
    while True:
        try:
            path = folder / f"{os.getpid()}-{number}.arrows"
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            number += 1


def _read_segment(path: Path) -> Iterator[Any]:
    """Yield the whole batches of a segment; it may be torn, or still be written to."""
    import pyarrow as pa

    try:
        reader = pa.ipc.open_stream(pa.memory_map(str(path)))
    except (pa.ArrowInvalid, OSError):
        return  # empty, or torn within its first message
    found = (reader.schema.metadata or {}).get(_KEY, b"none").decode()
    number = check_format(int(found) if found.isdigit() else found, newest=_FORMAT, where=path)
    while True:
        try:
            batch = reader.read_next_batch()
        except (StopIteration, pa.ArrowInvalid, OSError):
            return
        yield _of_format_1(batch) if number == 1 else batch


def _of_format_1(batch: Any) -> Any:
    """With the probability, which stood alone, as the only output of the answer."""
    import pyarrow as pa

    place = batch.schema.get_field_index("probability")
    field = pa.field("probability", pa.float64(), nullable=False)
    answers = pa.StructArray.from_arrays([batch.column(place)], fields=[field])
    return batch.set_column(place, pa.field(RESERVED[-1], answers.type, nullable=False), answers)
