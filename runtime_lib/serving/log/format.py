"""How a segment is laid out: a preamble, then a frame around each batch.

Format 3, numbers little-endian:

    preamble    an Arrow schema without fields, whose metadata hold `mlops.format`, as in earlier formats, so
                that their readers refuse the file by its number, and `mlops.segment`, a text of number,
                marker, length of the preamble and checksum
    frame       marker (16 bytes), time (µs since 1970, int64), then as uint32 the bytes that follow, how many
                of them are the shape, their checksum, the checksum of all before; then the shape, and one
                record batch as a message of Arrow IPC (`shape`)

The marker is random but for its beginning, as in Avro's container files: behind damage a reader looks for
the next one, and no client can put one into its values. Each frame carries its shape, so that it can be
read whatever became of the others. A frame without one holds nothing: it tried whether the disk takes it.

Checksums are CRC-32 (`zlib.crc32`). Formats 1 and 2 were bare Arrow streams: `streams` reads them for good.
To change the format: raise `NEWEST`, change `MAGIC`, keep the preamble, and go on reading every earlier
number.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

__all__ = [
    "KEY",
    "MAGIC",
    "MOST_PREAMBLE",
    "NEWEST",
    "Header",
    "Preamble",
    "frame",
    "new_marker",
    "preamble",
    "probe",
    "read_header",
    "read_preamble",
]

NEWEST = 3
KEY = b"mlops.format"
MAGIC = b"\xff\xfemlops\x03"  # no text in UTF-8 holds it
MOST_PREAMBLE = 4096  # bytes; it has about 300
_HEADER = struct.Struct("<16sqIII")
_CHECKSUM = struct.Struct("<I")
_SEGMENT = re.compile(rb"mlops segment (\d{1,6}) ([0-9a-f]{32}) (\d{5}) ([0-9a-f]{8})")


@dataclass(frozen=True)
class Preamble:
    number: int
    marker: bytes
    length: int


@dataclass(frozen=True)
class Header:
    """What a frame says of itself. `time` in µs since 1970; `length` and `shape` in bytes."""

    marker: bytes
    time: int
    length: int
    shape: int
    checksum: int

    size = _HEADER.size + _CHECKSUM.size


def new_marker() -> bytes:
    return MAGIC + os.urandom(16 - len(MAGIC))


def preamble(marker: bytes) -> bytes:
    """The beginning of a segment whose frames have this marker."""
    length = len(_preamble(_segment(marker, 0)))
    return _preamble(_segment(marker, length))


def _segment(marker: bytes, length: int) -> str:
    text = f"mlops segment {NEWEST} {marker.hex()} {length:05d}"
    return f"{text} {zlib.crc32(text.encode()):08x}"


def _preamble(segment: str) -> bytes:
    import pyarrow as pa

    message: bytes = pa.schema([], {KEY: str(NEWEST), "mlops.segment": segment}).serialize().to_pybytes()
    return message


def read_preamble(data: bytes) -> Preamble | None:
    """What the beginning of a file says; None if it is damaged or of another format than 3 and later."""
    found = _SEGMENT.search(data[:MOST_PREAMBLE])
    if found is None or zlib.crc32(found[0][:-9]) != int(found[4], 16):
        return None
    return Preamble(int(found[1]), bytes.fromhex(found[2].decode()), int(found[3]))


def frame(marker: bytes, shape: bytes, batch: Any, *, time: int) -> bytes:
    """Put a header in front of a batch.

    Args:
        shape: its message.
        batch: a message of Arrow IPC.
        time: when the rows were answered, in µs since 1970.
    """
    checksum = zlib.crc32(batch, zlib.crc32(shape))
    header = _HEADER.pack(marker, time, len(shape) + len(batch), len(shape), checksum)
    return b"".join((header, _CHECKSUM.pack(zlib.crc32(header)), shape, batch))


def probe(marker: bytes, size: int) -> bytes:
    """A frame that holds nothing, of about `size` bytes."""
    return frame(marker, b"", bytes(size), time=0)


def read_header(data: bytes | memoryview) -> Header | None:
    """The header at the beginning of `data`; None if there is none, or it is damaged."""
    if len(data) < Header.size or data[: len(MAGIC)] != MAGIC:
        return None
    if _CHECKSUM.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        return None
    return Header(*_HEADER.unpack_from(data))
