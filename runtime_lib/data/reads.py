"""Which months are read from the source, and which are taken as they were read before.

DVC sees code and parameters, not the source. So `mlops run` keeps a ledger of the reads, for each month of
`data/raw` when it was read and by what:

    var/ingest/reads.json      format 1: raw (DVC's hash of the data/raw that it speaks of), months
    var/ingest/months/         the months of an ingest under way, by name; `mlops run` puts those of
                               data/raw here before DVC deletes them, and removes the folder at the end

A month is written before the ledger names it, and one whose digest is not the ledger's is not there: after a
kill the next ingest goes on with what was read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from runtime_lib.data import calendar
from runtime_lib.files import atomic_file, check_format

__all__ = ["Ledger", "Read", "Reads", "digest", "late", "link", "plan", "read_by"]

_FORMAT = 1
# Where the ledger is and what reads the months now, for the stage that `mlops run` starts.
_FOLDER, _KEY = "MLOPS_INGEST", "MLOPS_INGEST_KEY"


class Read(msgspec.Struct, frozen=True):
    """How a month was read: when (at the latest), by what, what came, and whether it must be read again."""

    read: datetime
    key: str
    rows: int
    digest: str
    again: bool = False


class Ledger(msgspec.Struct):
    """The reads of the months that are in data/raw, whose hash by DVC is `raw`."""

    format: int = _FORMAT
    raw: str = ""
    months: dict[str, Read] = {}


def late(month: str, read: Read, labels_after: int) -> bool:
    """Whether it was read before its labels were complete."""
    return read.read.date() < calendar.complete_on(month, labels_after)


def plan(
    months: Iterable[str],
    reads: Mapping[str, Read],
    *,
    today: date,
    labels_after: int,
    key: str | None = None,
) -> dict[str, str]:
    """Say for each month why it is read from the source: "" if it is taken as it was read before.

    Args:
        key: what reads the months now; None: whatever read them.
    """
    return {month: _why(month, reads.get(month), today, labels_after, key) for month in months}


def _why(month: str, read: Read | None, today: date, labels_after: int, key: str | None) -> str:
    if read is None:
        return "new"
    if read.again:
        return "asked for"
    if key is not None and read.key != key:
        return "what reads it has changed"
    complete = calendar.complete_on(month, labels_after)
    if complete <= today and late(month, read, labels_after):
        return f"complete since {complete}, last read on {read.read.date()}"
    return ""


@dataclass(frozen=True)
class Reads:
    """The ledger and the months of an ingest under way, in the folder `var/ingest`."""

    folder: Path

    @property
    def months(self) -> Path:
        return self.folder / "months"

    def file(self, month: str) -> Path:
        return self.months / f"{month}.parquet"

    def load(self) -> Ledger:
        """The ledger; an empty one where there is none, or where it is damaged: then nothing is known."""
        path = self.folder / "reads.json"
        try:
            content = msgspec.json.decode(path.read_bytes())
            check_format(content.get("format"), newest=_FORMAT, where=path)
            return msgspec.convert(content, Ledger)
        except (FileNotFoundError, msgspec.DecodeError, AttributeError):
            return Ledger()

    def save(self, ledger: Ledger) -> None:
        with atomic_file(self.folder / "reads.json") as temporary:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(ledger, order="sorted")) + b"\n")

    def held(self, ledger: Ledger) -> dict[str, Read]:
        """The months of the ledger that are here, as they were read."""
        return {
            month: read
            for month, read in ledger.months.items()
            if self.file(month).is_file() and digest(self.file(month)) == read.digest
        }

    def set_aside(self, raw: Path) -> None:
        """Keep the months of `raw` here, unless an ingest that did not finish has read them since."""
        held = self.held(self.load()) if self.months.is_dir() else {}
        self.months.mkdir(parents=True, exist_ok=True)
        for path in raw.glob("*.parquet"):
            if path.stem not in held:
                with atomic_file(self.file(path.stem)) as temporary:
                    link(path, temporary)

    def unfinished(self, raw: Path) -> bool:
        """Whether a month was read here that is not in `raw` yet."""
        held = self.held(self.load()) if self.months.is_dir() else {}
        return any(not _same(self.file(month), raw / f"{month}.parquet") for month in held)

    def clear(self) -> None:
        shutil.rmtree(self.months, ignore_errors=True)

    @classmethod
    def found(cls) -> tuple[Reads, str] | None:
        """In a stage that `mlops run` started: its ledger, and the key of what reads the months."""
        folder, key = os.environ.get(_FOLDER), os.environ.get(_KEY)
        return (cls(Path(folder)), key) if folder and key else None

    @contextmanager
    def named(self, key: str) -> Iterator[None]:
        """Within it, the stages that start find this ledger, and what reads the months: `key`."""
        os.environ.update({_FOLDER: str(self.folder), _KEY: key})
        try:
            yield
        finally:
            del os.environ[_FOLDER], os.environ[_KEY]


def digest(path: Path) -> str:
    """The sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and (one.samefile(other) or digest(one) == digest(other))


def link(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it with its time."""
    source = source.resolve()  # DVC's cache may be linked by symlinks
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def read_by(path: Path, *, by: datetime | None = None) -> datetime:
    """When a month's file was read at the latest: when it was written, and no later than `by`."""
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return min(written, by) if by else written
