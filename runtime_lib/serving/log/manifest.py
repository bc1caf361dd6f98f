"""What a compacted day holds: `<day>/compacted.json`, which is replaced whole: the state of the day.

    number      of the compaction, from 1
    parts       the Parquet files that count, see `Part`; others are what a killed compaction left
    segments    name → bytes of it that the parts hold, for segments that are there still: a reader goes on
                behind them. A segment's name is never used again
    damage      what could not be read of segments while they were compacted: name, offset, bytes, reason
    checksum    CRC-32 of all that as JSON

A damaged segment is kept beside the parts as `<name>.damaged`. Format 1; to change it: raise `_FORMAT` and go
on reading every earlier number.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.files import atomic_file, check_format, sync_folder
from runtime_lib.serving.log.frames import Damage
from runtime_lib.serving.log.shape import Shape, read_shape

__all__ = ["ASIDE", "MANIFEST", "Manifest", "Part", "read_manifest", "write_manifest"]

MANIFEST = "compacted.json"
ASIDE = ".damaged"  # behind the name of a segment that is kept for what could not be read in it
_FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A Parquet file: rows of one shape.

    Attributes:
        size: in bytes.
        footer: checksum (CRC-32, as all here) of its last part, which tells where the others are.
        ids: of each row group the first and the last bucket of its ids.
        columns: of each row group the checksum of each column. Parquet's own leave out what describes a page.
    """

    file: str
    shape: Shape
    rows: int
    size: int
    footer: int
    ids: Sequence[tuple[int, int]]
    columns: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Manifest:
    number: int = 0
    parts: Sequence[Part] = ()
    segments: Mapping[str, int] = field(default_factory=dict)
    damage: Sequence[tuple[str, int, int, str]] = ()

    def damaged(self, day: Path) -> list[Damage]:
        """What could not be read, and where it is kept."""
        found = []
        for name, offset, skipped, reason in self.damage:
            aside = day / (name + ASIDE)
            found.append(Damage(aside if aside.exists() else day / name, offset, skipped, reason))
        return found


def read_manifest(day: Path) -> Manifest | Damage:
    """What a day's folder holds compacted, by default nothing; or that the file which tells is damaged.

    Raises:
        DataError: it was written by a later version of this library.
    """
    path = day / MANIFEST
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Manifest()
    try:
        content = json.loads(data)
        checksum = content.pop("checksum")
        whole = checksum == _checksum(content)
        number = content["format"]
    except (ValueError, KeyError, AttributeError, TypeError):
        whole, number = False, 1
    if not whole:
        return Damage(path, 0, len(data), "the list of the day's compacted rows is damaged")
    check_format(number, newest=_FORMAT, where=path, error=DataError)
    return Manifest(
        content["number"],
        [_part(part) for part in content["parts"]],
        content["segments"],
        [(name, offset, skipped, reason) for name, offset, skipped, reason in content["damage"]],
    )


def _part(stored: Mapping[str, Any]) -> Part:
    shape = read_shape(json.dumps(stored["shape"], separators=(",", ":")).encode())
    ids = [(first, last) for first, last in stored["ids"]]
    name, rows, size, footer, columns = (stored[of] for of in ("file", "rows", "size", "footer", "columns"))
    return Part(name, shape, rows, size, footer, ids, columns)


def write_manifest(day: Path, manifest: Manifest) -> None:
    """Make this the state of the day, durably."""
    content = {
        "format": _FORMAT,
        "number": manifest.number,
        "parts": [vars(part) | {"shape": json.loads(part.shape.message)} for part in manifest.parts],
        "segments": dict(manifest.segments),
        "damage": list(manifest.damage),
    }
    content["checksum"] = _checksum(content)
    with atomic_file(day / MANIFEST) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    sync_folder(day)


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
