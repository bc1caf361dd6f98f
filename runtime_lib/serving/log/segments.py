"""The rows of segments as tables, in constant memory; tiny batches are brought together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_lib.serving.log.frames import OnDamage, Window, read_frames
from runtime_lib.serving.log.shape import Shape, read_shape
from runtime_lib.serving.log.streams import Stream, read_stream
from runtime_lib.serving.log.wanted import Wanted

__all__ = ["Piece", "Segment", "read_segments"]

Piece = tuple[Shape, Any]  # what rows share, and their table
# What is brought together before it is handed on: a tiny batch takes some KiB, however few its rows.
_BATCHES, _BYTES = 1_024, 8 * 2**20


@dataclass(frozen=True)
class Segment:
    """The bytes of a segment from `start` to `end`; None: to where it ends by now."""

    path: Path
    start: int = 0
    end: int | None = None


def read_segments(segments: Iterable[Segment], wanted: Wanted, on_damage: OnDamage) -> Iterator[Piece]:
    """Yield what they hold of the wanted, each process's rows in the order in which it answered them."""
    held = _Held()
    for segment in segments:
        for part in _batches(segment, wanted, on_damage):
            held.add(*part)
            if held.count >= _BATCHES or held.bytes >= _BYTES:
                yield from held.together(wanted)
    yield from held.together(wanted)


def _batches(
    segment: Segment, wanted: Wanted, on_damage: OnDamage
) -> Iterator[tuple[Shape | Stream, Any, int, int]]:
    """Its batches, see `_Held.add`: what their rows share, batch, time (µs; format 3), bytes."""
    import pyarrow as pa

    with (
        suppress(FileNotFoundError),
        segment.path.open("rb", buffering=0) as file,
    ):  # an empty one goes with its writer
        window = Window(file, segment.end)
        frames = read_frames(segment.path, window, on_damage, segment.start)
        if frames is None:
            if wanted.role != "shadow":
                for stream, batch, size in read_stream(segment.path, window, on_damage, segment.start):
                    yield stream, batch, 0, size
            return
        for frame in frames:
            if not wanted.at(frame.time):
                continue
            shape = read_shape(frame.shape)
            if wanted.of(shape):
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

    def together(self, wanted: Wanted) -> Iterator[Piece]:
        """Hand on what waits."""
        waiting, self.batches, self.count, self.bytes = self.batches, {}, 0, 0
        for shared, (batches, times) in waiting.items():
            if isinstance(shared, Shape):
                table = shared.table(batches, times, wanted.read(shared))
                yield shared, table if wanted.ids is None else wanted.rows(table)
                continue
            for shape, table in shared.apart(batches):  # which tells version and time by row
                if wanted.of(shape):
                    read = wanted.read(shape)
                    yield shape, wanted.rows(table).select([n for n in shape.columns if n in read])
