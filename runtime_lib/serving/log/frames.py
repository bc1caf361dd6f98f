"""The frames of a segment of format 3, in constant memory; damage is named and skipped."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime_lib.files import check_format
from runtime_lib.serving.log.format import (
    MAGIC,
    MOST_PREAMBLE,
    NEWEST,
    Header,
    read_header,
    read_preamble,
)

__all__ = ["Damage", "Frame", "OnDamage", "Window", "lost_by", "read_frames"]

_CHUNK = 4 * 2**20  # bytes read at once


@dataclass(frozen=True)
class Damage:
    """Bytes of a segment that could not be read; what comes before and after them was."""

    path: Path
    offset: int
    skipped: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, byte {self.offset:,}: {self.reason}; {self.skipped:,} bytes were skipped."


OnDamage = Callable[[Damage], None]


def lost_by(damage: Sequence[Damage]) -> str:
    """A sentence to put behind the message that something is not in the log; empty without damage."""
    if not damage:
        return ""
    more = f", and {len(damage) - 1:,} more" if len(damage) > 1 else ""
    return f" It may have been in what could not be read: {damage[0]}{more}"


@dataclass(frozen=True)
class Frame:
    """`time`: when its rows were answered, in µs since 1970; shape and batch: messages, see `shape`."""

    time: int
    shape: bytes
    batch: bytes


class Window:
    """A file that is read from front to back, some MiB of it in memory."""

    def __init__(self, file: IO[bytes], end: int | None = None) -> None:
        """`end`: what comes behind it is not looked at; default: the file's end by now."""
        self._file = file
        self._data, self._start = b"", 0
        size = os.fstat(file.fileno()).st_size
        self.size = size if end is None else min(size, end)

    def at(self, offset: int, length: int) -> memoryview:
        """Return `length` bytes from `offset` on, or as many as the file had when it was opened."""
        length = max(0, min(length, self.size - offset))
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._data):
            kept = self._data[begin:] if 0 <= begin < len(self._data) else b""
            self._file.seek(offset + len(kept))
            self._data = kept + self._file.read(max(_CHUNK, length - len(kept)))
            self._start, begin = offset, 0
        return memoryview(self._data)[begin : begin + length]

    def find(self, wanted: bytes, offset: int) -> int | None:
        """Where `wanted` comes next, from `offset` on."""
        while offset + len(wanted) <= self.size:
            if len(self.at(offset, len(wanted))) < len(wanted):
                return None  # its writer took back the half of a batch
            found = self._data.find(wanted, offset - self._start)
            if found >= 0:
                return self._start + found
            offset = max(offset + 1, self._start + len(self._data) - len(wanted) + 1)
        return None

    def changed(self) -> bool:
        """Whether the file is longer or shorter than when it was opened: its end is being written."""
        return os.fstat(self._file.fileno()).st_size != self.size


def read_frames(path: Path, window: Window, on_damage: OnDamage, start: int = 0) -> Iterator[Frame] | None:
    """Read the frames of a segment; None if it is of an earlier format, or holds no frame at all.

    Args:
        start: where to begin, if not at the first frame: the end of another.

    Raises:
        DataError: it was written by a later version of this library.
    """
    head = read_preamble(bytes(window.at(0, MOST_PREAMBLE)))
    if head:
        check_format(head.number, newest=NEWEST, where=path)
    if head and head.length <= window.size:
        return _frames(path, window, max(start, head.length), head.marker, on_damage)
    first = _first(window)
    if first is None:
        return None
    offset, marker = first
    if not start:
        on_damage(Damage(path, 0, offset, "the beginning is damaged"))
    return _frames(path, window, max(start, offset), marker, on_damage)


def _first(window: Window) -> tuple[int, bytes] | None:
    """Where the first frame is whose header is whole, and its marker."""
    offset = window.find(MAGIC, 0)
    while offset is not None:
        if header := read_header(window.at(offset, Header.size)):
            return offset, header.marker
        offset = window.find(MAGIC, offset + 1)
    return None


def _frames(path: Path, window: Window, offset: int, marker: bytes, on_damage: OnDamage) -> Iterator[Frame]:
    damaged: tuple[int, str] | None = None
    while offset < window.size:
        frame = _frame(window, offset, marker)
        if isinstance(frame, str):
            damaged = damaged or (offset, frame)
            offset = window.find(marker, offset + 1) or window.size
            continue
        if damaged:
            on_damage(Damage(path, damaged[0], offset - damaged[0], damaged[1]))
            damaged = None
        offset += Header.size + len(frame.shape) + len(frame.batch)
        if frame.shape:
            yield frame
    if damaged and not window.changed():
        on_damage(Damage(path, damaged[0], window.size - damaged[0], damaged[1]))


def _frame(window: Window, offset: int, marker: bytes) -> Frame | str:
    """The frame there, or what is wrong with it."""
    header = read_header(window.at(offset, Header.size))
    if header is None or header.marker != marker:
        return "no batch begins where one should"
    content = window.at(offset + Header.size, header.length)
    if len(content) < header.length:
        return "a batch is cut short"
    if zlib.crc32(content) != header.checksum:
        return "a batch does not match its checksum"
    shape, batch = bytes(content[: header.shape]), bytes(content[header.shape :])
    return Frame(header.time, shape, batch)
