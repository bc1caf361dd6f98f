"""The reading end of the prediction log: whole as a table, or in constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.serving.log.frames import Damage, OnDamage, Window, read_frames
from runtime_lib.serving.log.shape import ANSWER, OWN, ROLE, Role, Shape, read_shape
from runtime_lib.serving.log.streams import Stream, read_stream

if TYPE_CHECKING:
    import pandas as pd

    from runtime_lib.data.columns import Array

__all__ = ["answers", "read_predictions", "scan"]

# What is brought together before it is handed on: a tiny batch takes some KiB, however few its rows.
_BATCHES, _BYTES = 1_024, 32 * 2**20
_ROWS = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _warn(damage: Damage) -> None:
    warnings.warn(f"The prediction log is damaged: {damage}", stacklevel=2)


def scan(
    folder: Path,
    *,
    since: datetime | None = None,
    version: str | None = None,
    role: Role | None = "primary",
    on_damage: OnDamage = _warn,
) -> Iterator[Any]:
    """Read the log in constant memory, every answer in it, in the order in which each process gave them.

    Args:
        folder: as given to `PredictionLog`; may not exist yet.
        since: only rows answered at or after this time (with a time zone).
        version: only the answers of this version; default: of every one.
        role: only what was answered to clients, or only what shadows answered; None: both.
        on_damage: is told of every part that could not be read; default: a warning.

    Yields:
        Arrow record batches of at most 65,536 rows, each of one version, with the columns `id`, `time`
        (UTC), `model`, `version`, one per input, `mlops.answer.<output>` for each output, `mlops.role`.

    Raises:
        DataError: a segment was written by a later version of this library.
    """
    held = _Held()
    first = since.astimezone(UTC).date().isoformat() if since else ""
    for path in sorted(folder.glob("*/*.arrows")):
        if path.parent.name < first:
            continue
        for part in _parts(path, since, version, role, on_damage):
            held.add(*part)
            if held.count >= _BATCHES or held.bytes >= _BYTES:
                yield from held.together(since, version)
    yield from held.together(since, version)


def read_predictions(
    folder: Path,
    *,
    since: datetime | None = None,
    version: str | None = None,
    role: Role | None = "primary",
    on_damage: OnDamage = _warn,
) -> pd.DataFrame:
    """Read the log back, oldest first; of the answers of one version to one id the last one counts.

    Args:
        folder, since, version, role, on_damage: as `scan`; of every version, an id which several answered
            comes once for each.

    Returns:
        Columns `id`, `time` (UTC), `model`, `version`, one per input, and `mlops.answer.<output>` for each
        output, see `answers`; with `role=None` also `mlops.role`. Empty if nothing was logged.

    Raises:
        DataError: a segment was written by a later version of this library.
    """
    import pyarrow as pa

    found = scan(folder, since=since, version=version, role=role, on_damage=on_damage)
    tables = [_empty(), *(pa.Table.from_batches([batch]) for batch in found)]
    whole = pa.concat_tables(_agreed(tables), promote_options="default")
    del tables
    if role is not None and ROLE in whole.column_names:
        whole = whole.drop_columns([ROLE])
    # The inputs first: another model's may come later than the first one's answers.
    inputs = [name for name in whole.column_names if not name.startswith(ANSWER)]
    whole = whole.select([*inputs, *(name for name in whole.column_names if name.startswith(ANSWER))])
    table = whole.to_pandas(split_blocks=True, self_destruct=True)
    if not table["time"].is_monotonic_increasing:
        table = table.sort_values("time", kind="stable")
    identity = ["id", "version", *([ROLE] if role is None and ROLE in table else [])]
    if (again := table.duplicated(identity, keep="last")).any():
        table = table[~again]
    pa.default_memory_pool().release_unused()  # of tiny batches and of hash tables, as much as the table
    return table.reset_index(drop=True)


def answers(table: pd.DataFrame) -> dict[str, Array]:
    """The answers of a table from `read_predictions`: output → numbers, NaN where a version lacks it."""
    found = [name for name in table.columns if name.startswith(ANSWER)]
    return {name.removeprefix(ANSWER): table[name].to_numpy("float64") for name in found}


def _parts(
    path: Path, since: datetime | None, version: str | None, role: str | None, on_damage: OnDamage
) -> Iterator[tuple[Shape | Stream, Any, int, int]]:
    """The batches of a segment, see `_Held.add`: what their rows share, batch, time (µs; format 3), bytes."""
    import pyarrow as pa

    earliest = None if since is None else (since - _EPOCH) // timedelta(microseconds=1)
    with (
        suppress(FileNotFoundError),
        path.open("rb", buffering=0) as file,
    ):  # an empty one goes with its writer
        window = Window(file)
        frames = read_frames(path, window, on_damage)
        if frames is None:
            if role != "shadow":
                for stream, batch, size in read_stream(path, window, on_damage):
                    yield stream, batch, 0, size
            return
        for frame in frames:
            if earliest is not None and frame.time < earliest:
                continue
            shape = read_shape(frame.shape)
            if version in (None, shape.version) and role in (None, shape.role):
                batch = pa.ipc.read_record_batch(pa.py_buffer(frame.batch), shape.schema)
                yield shape, batch, frame.time, len(frame.batch)


@dataclass
class _Held:
    """Batches that wait to be brought together, by what their rows share."""

    batches: dict[Shape | Stream, tuple[list[Any], list[int]]] = field(default_factory=dict)
    count: int = 0
    bytes: int = 0

    def add(self, shape: Shape | Stream, batch: Any, time: int, size: int) -> None:
        batches, times = self.batches.setdefault(shape, ([], []))
        batches.append(batch)
        times.append(time)
        self.count += 1
        self.bytes += size

    def together(self, since: datetime | None, version: str | None) -> Iterator[Any]:
        """Hand on what waits."""
        waiting, self.batches, self.count, self.bytes = self.batches, {}, 0, 0
        for shape, (batches, times) in waiting.items():
            table = shape.table(batches, times)
            if isinstance(shape, Stream):  # which tells version and time by row
                table = _of(table, since, version)
            yield from table.to_batches(max_chunksize=_ROWS)


def _of(table: Any, since: datetime | None, version: str | None) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if version is not None:
        table = table.filter(pc.equal(table["version"], version))
    if since is not None:
        table = table.filter(pc.greater_equal(table["time"], pa.scalar(since, table["time"].type)))
    return table


def _empty() -> Any:
    import pyarrow as pa

    kinds = (pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.string())
    return pa.schema(list(zip(OWN, kinds, strict=True))).empty_table()


def _agreed(tables: list[Any]) -> list[Any]:
    """Where an input was a number in one model and text in another, keep the later kind, null the rest."""
    import pyarrow as pa

    kinds = {field.name: field.type for table in tables for field in table.schema}
    for place, table in enumerate(tables):
        for number, column in enumerate(table.schema):
            if column.type != kinds[column.name]:
                nulls = pa.nulls(len(table), kinds[column.name])
                tables[place] = tables[place].set_column(number, column.name, nulls)
    return tables
