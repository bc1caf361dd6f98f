"""The writing end of the prediction log."""

from __future__ import annotations

import fcntl
import os
import threading
import time as clock
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.errors import ServiceError
from runtime_lib.serving.log.format import frame, new_marker, preamble, probe
from runtime_lib.serving.log.shape import Role, encode

if TYPE_CHECKING:
    from runtime_lib.data.columns import Array

__all__ = ["PredictionLog"]

_PAUSE = 1.0  # seconds between two tries while the disk takes nothing
_FIRST_TRY = 4096  # bytes; a batch has some thousand
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PredictionLog:
    """The writing end, for one process; safe to share between threads and versions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._marker = new_marker()
        self._file: int | None = None
        self._path = Path()
        self._day = ""
        self._size = self._begin = 0  # of the segment: what counts, and without any frame
        self._failing: str | None = None
        self._tried = False
        self._again = 0.0  # when to try next while failing
        self._wanted = _FIRST_TRY  # bytes that the disk must take to be well again
        self._refused = 0

    @property
    def failing(self) -> str | None:
        """Why nothing can be logged now, with the folder; None: all is well.

        The first question, and while it fails one a second, tries to write.
        """
        if self._tried and self._failing is None:
            return None
        with self._lock:
            if self._due():
                self._attempt(datetime.now(UTC).date().isoformat())
            return self._failing

    @property
    def refused(self) -> int:
        """How many rows could not be logged, and so were not to be answered."""
        return self._refused

    def append(
        self,
        ids: Sequence[str],
        rows: Mapping[str, Array],
        answer: Mapping[str, Array],
        *,
        model: str,
        version: str,
        time: datetime,
        numbers: Array | None = None,
        role: Role = "primary",
    ) -> None:
        """Write `n` predictions; when this returns, they outlive the process.

        Args:
            ids: `n` identities, under which labels come later.
            rows: inputs as from `check_rows`, each of `n` values.
            answer: by output, each of shape `(n,)`.
            time: when they were answered; must carry a time zone.
            numbers: the columns of `rows` that are numbers, side by side in their order, `(n, d)`; `float64`
                in C order is taken as it is. Without it they are gathered from `rows`.
            role: `shadow` when no client was given these answers.

        Raises:
            DataError: an input has the name of one of the log's own columns (`is_reserved`).
            ServiceError: they could not be written, say because the disk is full: do not answer them.
        """
        if self._failing is not None:
            self._refuse_unless_due(len(ids))
        shape, batch = encode(ids, rows, answer, numbers=numbers, model=model, version=version, role=role)
        data = frame(self._marker, shape, batch, time=(time - _EPOCH) // _MICROSECOND)
        day = time.astimezone(UTC).date().isoformat()
        with self._lock:
            if not self._due() or not self._attempt(day, data):
                self._refused += len(ids)
                raise ServiceError(str(self._failing))

    def close(self) -> None:
        with self._lock:
            self._end()

    def _refuse_unless_due(self, rows: int) -> None:
        with self._lock:
            if not self._due():
                self._refused += rows
                raise ServiceError(str(self._failing))

    def _due(self) -> bool:
        return self._failing is None or clock.monotonic() >= self._again

    def _attempt(self, day: str, data: bytes = b"") -> bool:
        """Write `data`, or without it only try whether it could be; say whether that went well."""
        self._tried = True
        try:
            self._open(day)
            if data:
                self._write(data)
                self._size += len(data)
            else:
                self._write(probe(self._marker, self._wanted))
                self._cut()
        except OSError as error:
            self._failing = (
                f"The prediction log cannot be written to {self._folder} ({error.strerror or error}), and no "
                f"row is answered that is not logged. Free space there, or make the folder writable: it is "
                f"tried again every second."
            )
            self._again, self._wanted = clock.monotonic() + _PAUSE, len(data) or self._wanted
            return False
        self._failing = None
        return True

    def _open(self, day: str) -> None:
        """Have a segment of that day open: a new one too when the last was removed by someone."""
        if self._file is not None and day == self._day and os.fstat(self._file).st_nlink:
            return
        self._end()
        folder = self._folder / day
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path, self._file = _new_file(folder)
        self._day, self._size, self._begin = day, 0, 0
        try:
            data = preamble(self._marker)
            self._write(data)
        except OSError:
            self._end()
            raise
        self._size = self._begin = len(data)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        done = 0
        try:
            while done < len(data):
                done += os.write(self._file, data[done:] if done else data)
        except OSError:
            self._cut()
            raise

    def _cut(self) -> None:
        """Take back what was written since the last whole batch."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._end()  # readers skip the rest of it

    def _end(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        os.close(file)
        if self._size == self._begin:
            self._path.unlink(missing_ok=True)  # it holds nothing


def _new_file(folder: Path) -> tuple[Path, int]:
    """Create a segment whose name no other has had, and lock it: while it is, it is not compacted."""
    while True:
        path = folder / f"{os.getpid()}-{clock.time_ns():x}.arrows"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:  # another container's process with the same number
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a compaction looks just now whether it is in use
            os.close(file)
            path.unlink(missing_ok=True)
            continue
        except OSError:  # a disk without locks: compaction then relies on the time of the last write
            pass
        return path, file
