"""Past days as Parquet: of each id the last answer, for each version and role.

A day's segments are read, their rows written to new files, the manifest replaced, and only then the segments
removed. A kill leaves the day as it was, or compacted with segments that the manifest says are in it; the
next compaction takes away what is left over. A segment that comes later is merged into the day by the next.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from runtime_lib.errors import ServiceError
from runtime_lib.files import sync_folder
from runtime_lib.locks import one_at_a_time, removing, try_lock
from runtime_lib.progress import counted
from runtime_lib.serving.log.days import days, parts_of, segments_of, size_of
from runtime_lib.serving.log.frames import Damage
from runtime_lib.serving.log.manifest import ASIDE, Manifest, Part, read_manifest, write_manifest
from runtime_lib.serving.log.parts import PartWriter, part_of, write_part
from runtime_lib.serving.log.segments import Segment, read_segments
from runtime_lib.serving.log.shape import Shape
from runtime_lib.serving.log.spill import Group, Spill, ranges_for
from runtime_lib.serving.log.wanted import Wanted

__all__ = ["Compaction", "compact"]

_SETTLED = 600  # seconds without a write, for writers of releases that did not lock their segments
_LONG = 256 * 2**20  # bytes from which on progress is shown


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes:
        days: those that it compacted, as `YYYY-MM-DD`.
        rows: that it wrote.
        repeated: answers that it left out, as a later one to the same id counts.
        damage: what could not be read; the segments are kept.
        busy: another process compacts, so this one did nothing.
    """

    days: tuple[str, ...] = ()
    rows: int = 0
    repeated: int = 0
    damage: tuple[Damage, ...] = ()
    busy: bool = False


def compact(folder: Path, *, now: datetime | None = None) -> Compaction:
    """Turn the segments of past days into Parquet, in constant memory.

    A segment that a server holds open, or wrote to within ten minutes, waits for the next compaction. What
    readers of the log get stays the same, but that answers which a later one of the same day replaced are
    gone.

    Args:
        folder: as given to `PredictionLog`; may not exist yet.
        now: with a time zone; its UTC day and later ones are left alone. Default: the clock.

    Raises:
        ServiceError: the disk is full, or a file cannot be written. Nothing is lost, and the segments stay.
        DataError: a part was written by a later version of this library.
    """
    now = now or datetime.now(UTC)
    if not folder.is_dir():
        return Compaction()
    try:
        with one_at_a_time(folder) as alone:
            if not alone:
                return Compaction(busy=True)
            today = now.astimezone(UTC).date().isoformat()
            past = [day for day in days(folder) if day.name < today and _unfinished(day)]
            return _compact(folder, past, now.timestamp() - _SETTLED)
    except OSError as error:
        raise _refused(folder, error) from error


def _compact(folder: Path, past: Sequence[Path], settled: float) -> Compaction:
    done = Compaction()
    size = sum(size_of(day, "*.arrows") for day in past)
    with ExitStack() as shown:
        advance = shown.enter_context(counted(len(past), "compacting days")) if size > _LONG else None
        for day in past:
            done = _added(done, _compact_day(folder, day, settled))
            if advance:
                advance(note=day.name)
    return done


def _added(done: Compaction, more: Compaction) -> Compaction:
    days, damage = done.days + more.days, done.damage + more.damage
    return Compaction(days, done.rows + more.rows, done.repeated + more.repeated, damage)


def _unfinished(day: Path) -> bool:
    return any(path.suffix in (".arrows", ".tmp") for path in day.iterdir())


def _compact_day(folder: Path, day: Path, settled: float) -> Compaction:
    before = read_manifest(day)
    if isinstance(before, Damage):  # without it nobody knows which files count, so none may go
        return Compaction(damage=(before,))
    before = _finish(folder, day, before)
    segments = [one for each in segments_of(day, before) if (one := _closed(each, settled))]
    if not segments:
        return Compaction()
    try:
        after, repeated, damage = _rewrite(day, before, segments)
    except OSError as error:
        raise _refused(day, error) from error
    _finish(folder, day, after)
    return Compaction((day.name,), sum(part.rows for part in after.parts), repeated, tuple(damage))


def _refused(path: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"The predictions in {path} cannot be compacted ({error.strerror or error}). Nothing is lost: what "
        f"was logged stays as it is. Free space on that disk, or make the folder writable: the next "
        f"`mlops monitor` tries again. `keep_days` below [monitoring] deletes old days."
    )


def _closed(segment: Segment, settled: float) -> Segment | None:
    """The segment with its end, if no process writes to it any more and it holds something new."""
    try:
        lock = try_lock(segment.path, create=False)
    except FileNotFoundError:  # it was empty, and went with its writer
        return None
    if lock is None:
        return None
    with lock:
        found = os.fstat(lock.fileno())
    # One without a byte may have been made just now, by a process that has not locked it yet.
    old = found.st_mtime <= settled
    return replace(segment, end=found.st_size) if old and found.st_size > segment.start else None


def _rewrite(day: Path, before: Manifest, segments: Sequence[Segment]) -> tuple[Manifest, int, list[Damage]]:
    """Write the day anew; return its manifest, how many answers were replaced, and the damage found."""
    damage: list[Damage] = []
    ranges = ranges_for(day)
    with ExitStack() as held:
        file: IO[bytes] | None = None
        if ranges > 1:
            file = held.enter_context(TemporaryFile(dir=day))  # without a name: a kill leaves nothing
        spill = Spill(file, ranges)
        for shape, table in parts_of(day, before, Wanted(), damage.append):
            spill.add(shape, table)
        for shape, table in read_segments(segments, Wanted(), damage.append):
            spill.add(shape, table)
        number = before.number + 1
        parts = [part for group in spill.groups for part in _write(day, number, spill, group)]
    sync_folder(day)
    ends = {each.path.name: each.end or 0 for each in segments}
    found = [(each.path.name, each.offset, each.skipped, each.reason) for each in damage]
    after = Manifest(number, parts, {**before.segments, **ends}, [*before.damage, *found])
    write_manifest(day, after)
    return after, spill.rows - sum(part.rows for part in parts), damage


def _write(day: Path, number: int, spill: Spill, group: Group) -> list[Part]:
    """Write the last answers of a version in a role: a file for each shape that its rows have."""
    files: dict[Shape, tuple[Path, PartWriter]] = {}
    name = f"{number:04}-{spill.groups.index(group)}"
    with ExitStack() as open_files:
        for place in range(spill.ranges):
            ids = place * spill.width, (place + 1) * spill.width - 1
            for shape, table in spill.last_answers(group, place):
                if shape not in files:
                    path = day / f"{name}-{len(files)}.parquet"
                    files[shape] = path, open_files.enter_context(write_part(path, shape))
                files[shape][1].write(table, ids)
    return [part_of(path, shape, written) for shape, (path, written) in files.items()]


def _finish(folder: Path, day: Path, manifest: Manifest) -> Manifest:
    """Remove what the manifest has made superfluous, unless someone reads the log just now."""
    with removing(folder) as alone:
        if not alone:
            return manifest
        for path in day.glob(".*.tmp"):
            path.unlink()
        damaged = {name for name, *_ in manifest.damage}
        parts = {part.file for part in manifest.parts}
        for path in day.glob("*.parquet"):
            if path.name not in parts:
                _remove(path, aside=path.name in damaged)
        left = {name: size for name, size in manifest.segments.items() if _stays(day / name, size, damaged)}
        if left != manifest.segments:
            manifest = replace(manifest, segments=left)
            write_manifest(day, manifest)
    return manifest


def _stays(path: Path, size: int, damaged: Collection[str]) -> bool:
    """Whether a segment holds more than is compacted; else it goes."""
    if not path.exists():
        return False
    if path.stat().st_size > size:  # its writer is of a release that locks nothing, and wrote again
        return True
    _remove(path, aside=path.name in damaged)
    return False


def _remove(path: Path, *, aside: bool) -> None:
    if aside:
        path.rename(path.with_name(path.name + ASIDE))
    else:
        path.unlink()
