"""Past days as Parquet: of each id the last answer, for each version and role.

A day's segments are read, their rows written to new files, the manifest replaced, and only then the segments
removed. A kill leaves the day as it was, or compacted with segments that the manifest says are in it; the
next compaction takes away what is left over. A segment that comes later is merged into the day by the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runtime_lib.errors import ServiceError
from runtime_lib.files import scratch_folder, sync_folder
from runtime_lib.locks import try_lock
from runtime_lib.progress import counted
from runtime_lib.serving.log.days import days, lock_of, parts_of, segments_of
from runtime_lib.serving.log.frames import Damage
from runtime_lib.serving.log.ids import buckets_for
from runtime_lib.serving.log.manifest import ASIDE, Manifest, Part, read_manifest, write_manifest
from runtime_lib.serving.log.parts import PartWriter, part_of, write_part
from runtime_lib.serving.log.segments import Segment, read_segments
from runtime_lib.serving.log.shape import Shape
from runtime_lib.serving.log.spill import Group, Spill
from runtime_lib.serving.log.wanted import Wanted

__all__ = ["Compaction", "compact", "compacting"]

_SETTLED = 600  # seconds without a write, for writers of releases that did not lock their segments
_SHARE = 24 * 2**20  # bytes of segments whose rows are brought together in memory
_PACKED = 4  # times that a row is smaller in Parquet, about
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
    with compacting(folder) as alone:
        if not alone:
            return Compaction(busy=True)
        today = now.astimezone(UTC).date().isoformat()
        past = [day for day in days(folder) if day.name < today and _unfinished(day)]
        return _compact(folder, past, now.timestamp() - _SETTLED)


@contextmanager
def compacting(folder: Path) -> Iterator[bool]:
    """Say whether this process alone compacts and deletes while the block runs."""
    if not folder.is_dir():
        yield True
        return
    path = folder / ".compact.lock"
    try:
        if not path.exists():
            path.touch(mode=0o600)
        lock = try_lock(path)
    except OSError as error:
        raise _refused(folder, error) from error
    if lock is None:
        yield False
        return
    with lock:
        yield True


def _compact(folder: Path, past: Sequence[Path], settled: float) -> Compaction:
    done = Compaction()
    size = sum(path.stat().st_size for day in past for path in day.glob("*.arrows"))
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
    try:
        before = _finish(folder, day, before)
        segments = [one for each in segments_of(day, before) if (one := _closed(each, settled))]
        if not segments:
            return Compaction()
        after, repeated, damage = _rewrite(day, before, segments)
        _finish(folder, day, after)
    except OSError as error:
        raise _refused(day, error) from error
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
        found = segment.path.stat()
    # One without a byte may have been made just now, by a process that has not locked it yet.
    old = found.st_mtime <= settled
    return replace(segment, end=found.st_size) if old and found.st_size > segment.start else None


def _rewrite(day: Path, before: Manifest, segments: Sequence[Segment]) -> tuple[Manifest, int, list[Damage]]:
    """Write the day anew; return its manifest, how many answers were replaced, and the damage found."""
    damage: list[Damage] = []
    size = sum((each.end or 0) - each.start for each in segments)
    size += sum(part.size * _PACKED for part in before.parts)
    ranges = buckets_for(size, _SHARE)
    with ExitStack() as held:
        file = None
        if ranges > 1:
            scratch = held.enter_context(scratch_folder(day / "rows"))
            file = held.enter_context((scratch / "blocks").open("x+b"))
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
    lock = try_lock(lock_of(folder))
    if lock is None:
        return manifest
    with lock:
        for path in day.glob(".*.tmp"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        damaged = {name for name, *_ in manifest.damage}
        parts = {part.file for part in manifest.parts}
        for path in day.glob("*.parquet"):
            if path.name not in parts:
                _remove(path, aside=path.name in damaged)
        left = {}
        for name, size in manifest.segments.items():
            path = day / name
            if path.exists() and path.stat().st_size > size:  # its writer did not lock it, and wrote again
                left[name] = size
            elif path.exists():
                _remove(path, aside=name in damaged)
        if left != manifest.segments:
            manifest = replace(manifest, segments=left)
            write_manifest(day, manifest)
    return manifest


def _remove(path: Path, *, aside: bool) -> None:
    if aside:
        path.rename(path.with_name(path.name + ASIDE))
    else:
        path.unlink()
