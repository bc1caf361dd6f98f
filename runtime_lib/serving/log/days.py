"""The days of a log, and the rows of one: first what is compacted, then what segments hold beyond that.

Who reads a day holds `locks.reading` meanwhile, so that no file goes while someone counts on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

from runtime_lib.serving.log.frames import Damage, OnDamage
from runtime_lib.serving.log.manifest import Manifest, read_manifest
from runtime_lib.serving.log.parts import read_part
from runtime_lib.serving.log.segments import Piece, Segment, read_segments
from runtime_lib.serving.log.wanted import Wanted

__all__ = ["days", "is_once", "parts_of", "rows_of", "segments_of", "size_of"]


def days(folder: Path) -> list[Path]:
    """The folders of a log's days, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _is_day(path.name) and path.is_dir())


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def size_of(day: Path, pattern: str) -> int:
    """Bytes of the files of a day, some of which may go meanwhile: an empty segment goes with its writer."""
    size = 0
    for path in day.glob(pattern):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def rows_of(day: Path, wanted: Wanted, on_damage: OnDamage) -> Iterator[Piece]:
    """Read the wanted rows of a day, within `locks.reading`.

    Of what is compacted an id comes once for each version and role, its last answer; of the rest each answer.
    """
    found = read_manifest(day)
    if isinstance(found, Damage):
        on_damage(found)
        found = Manifest()
    for damage in found.damaged(day):
        on_damage(damage)
    yield from parts_of(day, found, wanted, on_damage)
    yield from read_segments(segments_of(day, found), wanted, on_damage)


def is_once(day: Path, wanted: Wanted) -> bool:
    """Whether no id comes twice among the wanted rows of a day, within `locks.reading`."""
    found = read_manifest(day)
    if isinstance(found, Damage) or segments_of(day, found):
        return False
    return len({part.shape.version for part in found.parts if wanted.of(part.shape)}) <= 1


def parts_of(day: Path, manifest: Manifest, wanted: Wanted, on_damage: OnDamage) -> Iterator[Piece]:
    """The wanted rows that are compacted."""
    for part in manifest.parts:
        if wanted.of(part.shape):
            for table in read_part(day / part.file, part, wanted, on_damage):
                yield part.shape, table


def segments_of(day: Path, manifest: Manifest) -> list[Segment]:
    """What the segments of a day hold that is not compacted."""
    return [Segment(path, manifest.segments.get(path.name, 0)) for path in sorted(day.glob("*.arrows"))]
