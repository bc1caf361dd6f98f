"""Rows as one Arrow batch, and back: numbers, texts and answers lie in one list each, not in a column each.

The columns of a batch: `id`; `numbers` and `texts`, of each row those inputs in their order; `answers`, of
each row its outputs. A list is left out when it would be empty. What all rows share is told once, as JSON:

    {"inputs": [["hour", false], ["carrier", true]], "outputs": […], "model": …, "version": …, "role": …}

of each input its name and whether it is text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from runtime_lib.errors import DataError

if TYPE_CHECKING:
    from runtime_lib.data.columns import Array

__all__ = ["ANSWER", "OWN", "ROLE", "Role", "Shape", "encode", "is_reserved", "read_shape"]

Role = Literal["primary", "shadow"]
OWN = ("id", "time", "model", "version")
ROLE = "mlops.role"
ANSWER = "mlops.answer."  # in front of an output's name, in a table that was read back
# Inputs were free to be called `answer` until 0.6, so the log's later columns have names that no input has.
_RESERVED = {*OWN, ROLE, "mlops.answer"}
_KEPT = 256  # shapes: a server holds some versions, a log some hundred


def is_reserved(name: str) -> bool:
    """Whether an input may not have this name, as the log has it for a column of its own."""
    return name in _RESERVED or name.startswith(ANSWER)


@dataclass(frozen=True, eq=False)  # it is a key for each batch that is read
class Shape:
    """What the rows of a batch share. `inputs`: name, and whether it is text."""

    inputs: tuple[tuple[str, bool], ...]
    outputs: tuple[str, ...]
    model: str
    version: str
    role: str

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        return tuple(name for name, text in self.inputs if not text)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(name for name, text in self.inputs if text)

    @cached_property
    def schema(self) -> Any:
        """Of Arrow."""
        import pyarrow as pa

        lists = (
            ("numbers", pa.float64(), self.numbers),
            ("texts", pa.string(), self.texts),
            ("answers", pa.float64(), self.outputs),
        )
        fields = [pa.field(name, pa.list_(kind, len(of)), False) for name, kind, of in lists if of]
        return pa.schema([pa.field("id", pa.string(), False), *fields])

    @cached_property
    def message(self) -> bytes:
        """All of it as JSON, from which the schema follows: Arrow's own message of it is far longer."""
        shared = {of: getattr(self, of) for of in ("inputs", "outputs", "model", "version", "role")}
        return json.dumps(shared, separators=(",", ":")).encode()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Of a table of such rows, in its order: what differs from row to row."""
        return "id", "time", *(name for name, _ in self.inputs), *(ANSWER + name for name in self.outputs)

    def table(self, batches: Sequence[Any], times: Sequence[int], columns: Collection[str]) -> Any:
        """Return batches as one table, with those of `self.columns` that are among `columns`.

        Args:
            times: when each batch was answered, in µs since 1970.
        """
        import numpy as np
        import pyarrow as pa

        whole = pa.concat_batches(batches)
        found = {"id": whole.column("id")}
        if "time" in columns:
            micros = np.repeat(np.asarray(times, dtype="int64"), [len(batch) for batch in batches])
            found["time"] = pa.array(micros).cast(pa.timestamp("us", tz="UTC"))
        found |= _apart(whole, "numbers", self.numbers, columns)
        found |= _apart(whole, "texts", self.texts, columns)
        outputs = [ANSWER + name for name in self.outputs]
        found |= _apart(whole, "answers", outputs, columns)
        return pa.table({name: found[name] for name in self.columns if name in columns})

    def whole(self, table: Any, columns: Collection[str] | None) -> Any:
        """A table with what its rows share as columns too, as `scan` gives it: those of `columns`, or all."""
        import pyarrow as pa

        shared = {"model": self.model, "version": self.version, ROLE: self.role}
        order = (*OWN, *self.columns[2:], ROLE)
        names = [name for name in order if columns is None or name in columns]
        values = {name: pa.repeat(shared[name], len(table)) for name in names if name in shared}
        return pa.table({name: values[name] if name in shared else table[name] for name in names})


def _apart(batch: Any, of: str, names: Sequence[str], wanted: Collection[str]) -> dict[str, Any]:
    """The values of each wanted name, which lie row by row."""
    import numpy as np
    import pyarrow as pa

    places = [place for place, name in enumerate(names) if name in wanted]
    if not places:
        return {}
    flat, width = batch.column(of).flatten(), len(names)
    if pa.types.is_string(flat.type):
        starts = np.arange(0, len(flat), width)
        return {names[place]: flat.take(pa.array(starts + place)) for place in places}
    columns = np.ascontiguousarray(flat.to_numpy().reshape(-1, width)[:, places].T)
    return {names[place]: pa.array(column) for place, column in zip(places, columns, strict=True)}


@lru_cache(_KEPT)
def _shape(
    inputs: tuple[tuple[str, bool], ...], outputs: tuple[str, ...], model: str, version: str, role: str
) -> Shape:
    """Kept, as its schema is slow to make."""
    if clash := [name for name, _ in inputs if is_reserved(name)]:
        raise DataError(
            f"Input '{clash[0]}' has the name of a column of the prediction log. Rename the feature."
        )
    return Shape(inputs, outputs, model, version, role)


@lru_cache(_KEPT)
def read_shape(message: bytes) -> Shape:
    """The shape whose `message` this is."""
    shared = json.loads(message)
    inputs = tuple((name, text) for name, text in shared["inputs"])
    return Shape(inputs, tuple(shared["outputs"]), shared["model"], shared["version"], shared["role"])


def encode(
    ids: Sequence[str],
    rows: Mapping[str, Array],
    answer: Mapping[str, Array],
    *,
    numbers: Array | None,
    model: str,
    version: str,
    role: str,
) -> tuple[bytes, Any]:
    """Return the messages of shape and batch; for the arguments see `PredictionLog.append`."""
    import pyarrow as pa

    from runtime_lib.data.rows import Stacked

    kinds = rows.kinds if isinstance(rows, Stacked) else _kinds(rows)
    shape, count = _shape(kinds, tuple(answer), model, version, role), len(ids)
    columns = [_strings(ids)]
    if shape.numbers:
        if numbers is None:
            numbers = _together([rows[name] for name in shape.numbers])
        columns.append(_lists(numbers, count, len(shape.numbers)))
    if shape.texts:
        columns.append(_texts([rows[name] for name in shape.texts]))
    if shape.outputs:
        columns.append(_lists(_together(list(answer.values())), count, len(shape.outputs)))
    return shape.message, pa.RecordBatch.from_arrays(columns, schema=shape.schema).serialize()


def _kinds(rows: Mapping[str, Array]) -> tuple[tuple[str, bool], ...]:
    return tuple([(name, values.dtype.kind == "O" or values.ndim > 1) for name, values in rows.items()])


def _together(columns: Sequence[Array]) -> Array:
    """The columns side by side."""
    import numpy as np

    if len(columns) == 1:
        return columns[0].reshape(-1, 1)
    return np.concatenate(columns, dtype=np.float64).reshape(len(columns), -1).T


def _lists(numbers: Array, count: int, width: int) -> Any:
    """A list for each row, where the numbers lie."""
    import numpy as np
    import pyarrow as pa

    if numbers.shape != (count, width):
        raise ValueError(f"The numbers to log have the shape {numbers.shape}, not {(count, width)}.")
    values = pa.py_buffer(np.ascontiguousarray(numbers, dtype=np.float64))
    kind = _list(width)
    flat = pa.Array.from_buffers(kind.value_type, count * width, [None, values], 0)
    return pa.Array.from_buffers(kind, count, [None], 0, 0, [flat])


@lru_cache(_KEPT)
def _list(width: int) -> Any:
    import pyarrow as pa

    return pa.list_(pa.float64(), width)


def _texts(columns: Sequence[Array]) -> Any:
    import pyarrow as pa

    lists = [_summaries(values) if values.ndim > 1 else values.tolist() for values in columns]
    flat = lists[0] if len(lists) == 1 else [value for row in zip(*lists, strict=True) for value in row]
    return pa.FixedSizeListArray.from_arrays(_strings(flat), len(lists))


def _strings(values: Sequence[str | None]) -> Any:
    """Texts as Arrow has them. Not by `pa.array`: it imports pandas, which takes a server 0.5 s and 40 MB."""
    import numpy as np
    import pyarrow as pa

    there, known = None, values
    if None in values:
        there = pa.py_buffer(np.packbits([value is not None for value in values], bitorder="little"))
        known = [value or "" for value in values]
    joined = "".join(known)  # type: ignore[arg-type]
    lengths = map(len, known if joined.isascii() else map(str.encode, known))  # type: ignore[arg-type]
    offsets = np.fromiter(accumulate(lengths, initial=0), np.int32, len(values) + 1)
    return pa.Array.from_buffers(
        pa.string(), len(values), [there, pa.py_buffer(offsets), pa.py_buffer(joined.encode())]
    )


def _summaries(images: Array) -> list[str | None]:
    """Pixels would outgrow all else."""
    from runtime_lib.data.images import summaries

    return summaries(images)
