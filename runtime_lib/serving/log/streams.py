"""Segments of formats 1 and 2, until 0.7: bare Arrow streams without checksums, checked as far as can be.

Columns: id, time, model, version, mlops.answer (a struct with a number for each of the task's outputs), then
one per input. Format 1, until 0.6, had the column `probability` in place of `mlops.answer`.

A flipped bit may leave a number that is merely another; but no list of bytes makes the process die.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib.serving.log.format import KEY
from runtime_lib.serving.log.frames import Damage, OnDamage, Window
from runtime_lib.serving.log.shape import ANSWER, OWN, Shape, read_shape

__all__ = ["Stream", "read_stream"]

_START = b"\xff\xff\xff\xff"  # in front of each message of Arrow IPC, then its length as int32
_BEGIN = len(_START) + 4
_USUAL = 2**20  # bytes within which a message mostly ends
_LARGEST = 256 * 2**20  # and always: 10,000 rows of 1,000 columns are 80 MB
_LATEST = 9_000_000_000_000_000  # µs since 1970: the year 2255, which pandas can hold in every unit


@dataclass(frozen=True, eq=False)
class Stream:
    """What the batches of such a segment share."""

    schema: Any
    number: int

    def apart(self, batches: Sequence[Any]) -> Iterator[tuple[Shape, Any]]:
        """Yield batches as tables, one for each model and version among the rows, as `Shape.table` does."""
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = pa.Table.from_batches(batches).combine_chunks()
        columns = {name: whole[name] for name in whole.column_names}
        if self.number == 1:
            answers = {"probability": columns.pop("probability")}
        else:
            struct = columns.pop("mlops.answer")
            names = [field.name for field in struct.type]
            answers = dict(zip(names, struct.flatten(), strict=True))
        inputs = tuple((name, pa.types.is_string(of.type)) for name, of in columns.items() if name not in OWN)
        table = pa.table({**columns, **{ANSWER + name: values for name, values in answers.items()}})
        shared = table.select(["model", "version"]).group_by(["model", "version"], use_threads=False)
        for row in shared.aggregate([]).to_pylist():
            shape = Shape(inputs, tuple(answers), row["model"], row["version"], "primary")
            own = pc.and_(pc.equal(table["model"], shape.model), pc.equal(table["version"], shape.version))
            yield read_shape(shape.message), table.filter(own).select(shape.columns)


def read_stream(
    path: Path, window: Window, on_damage: OnDamage, start: int = 0
) -> Iterator[tuple[Stream, Any, int]]:
    """Yield the whole batches of a segment and their bytes; it may be torn, damaged, or still be written.

    Args:
        start: batches that begin before are left out.
    """
    first = _message(window, 0)
    stream = _stream(first) if first else None
    if first is None or stream is None:
        if window.size and not window.changed():
            on_damage(Damage(path, 0, window.size, "the beginning is damaged or cut short"))
        return
    damaged: int | None = None
    offset = len(first)
    while offset < window.size:
        message = _message(window, offset)
        batch = _batch(message, stream) if message else None
        if message is None or batch is None:
            damaged = offset if damaged is None else damaged
            offset = window.find(_START, offset + 1) or window.size
            continue
        if damaged is not None:
            on_damage(Damage(path, damaged, offset - damaged, "a batch is damaged"))
            damaged = None
        if offset >= start:
            yield stream, batch, len(message)
        offset = _next(window, offset, message)
    if damaged is not None and not window.changed():
        on_damage(Damage(path, damaged, window.size - damaged, "a batch is damaged or cut short"))


def _message(window: Window, offset: int) -> bytes | None:
    """The message that begins there, whole; None if none does."""
    import pyarrow as pa

    start = bytes(window.at(offset, _BEGIN))
    described = int.from_bytes(start[len(_START) :], "little", signed=True)
    if len(start) < _BEGIN or not start.startswith(_START) or described <= 0:
        return None
    for most in (_USUAL, _LARGEST):
        data = window.at(offset, most)
        try:
            body = pa.ipc.read_message(pa.py_buffer(data)).body
        except (pa.ArrowException, OSError, ValueError):
            if len(data) < most:
                return None
            continue
        return bytes(data[: _BEGIN + described + (body.size if body else 0)])
    return None


def _next(window: Window, offset: int, message: bytes) -> int:
    """Where the next message begins: within this one, if its length is damaged and reaches over others."""
    after = offset + len(message)
    if after >= window.size or window.at(after, len(_START)) == _START:
        return after
    inner = window.find(_START, offset + 1)
    while inner is not None and inner < after:
        if _message(window, inner):
            return inner
        inner = window.find(_START, inner + 1)
    return after


def _stream(message: bytes) -> Stream | None:
    """What a schema tells; None if the log never had such a one."""
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(message))
        number = {b"1": 1, b"2": 2}.get((schema.metadata or {}).get(KEY, b""))
        kinds = _kinds(schema)
        answer = kinds.pop("probability" if number == 1 else "mlops.answer")
        answers = _kinds(answer).values() if number == 2 else [answer]
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None
    own = zip(OWN, (pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.string()), strict=True)
    fits = (
        all(kinds.pop(name, None) == kind for name, kind in own)
        and all(kind == pa.float64() for kind in answers)
        and all(kind in (pa.float64(), pa.string()) for kind in kinds.values())
    )
    return Stream(schema, number) if fits and number else None


def _kinds(fields: Any) -> dict[str, Any]:
    """The type of each field, whose names must differ."""
    kinds = {field.name: field.type for field in fields}
    if len(kinds) < len(list(fields)):
        raise ValueError("a name occurs twice")
    return kinds


def _batch(message: bytes, stream: Stream) -> Any:
    """A batch whose every value can be read; None if it is none."""
    import pyarrow as pa

    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(message), stream.schema)
        batch.validate(full=True)
        times = batch.column("time").view(pa.int64()).to_numpy()
        if times.min() < 0 or times.max() > _LATEST:
            return None
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return None
    return batch
