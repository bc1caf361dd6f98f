"""The machine's leases on disk: one file for each, locked by its owner for as long as it lives.

One file each, because the kernel then knows who is alive: it drops a `flock` however its owner ends, so a
file that nobody locks is a dead owner's, with no process number to look up, let alone one that was given
to another process since. The folder itself is locked while the queue is read or changed. A file's name holds
its place and its state (`<ticket>-<random>.waiting`, then `.held`), so that a lease is got in one step.

All users of the machine share `/var/tmp/mlops-leases` (mode 1777, sticky: nobody removes another's
lease). Somebody else may have made it, and anything may lie in it, so it is opened without following links,
its files are read without following links, blocking, or believing their size, and nothing in it is ever
written to but what was newly made here. What another user can still do is hold shares, as anybody may.
A dead lease of another user counts for nothing; its file stays until its owner's next one. A held one that
cannot be read is in use all the same, and nobody knows how much of it: while its owner lives, it counts as
the whole machine.

Format 1. Readers ignore fields that they do not know; a later format keeps the meaning of those of this one,
or takes other endings than `.waiting` and `.held`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.share.descriptors import close_descriptor, open_descriptor
from runtime_lib.hardware.share.order import Lease

__all__ = ["Entry", "folder", "locked_folder", "printable", "read_leases"]

# Survives a restart's and a day's cleaning, unlike /tmp, and is the same for all users, unlike $TMPDIR.
_SHARED = Path("/var/tmp/mlops-leases")  # noqa: S108 — guarded as the module says
_VARIABLE = "MLOPS_LEASES"
_NAME = re.compile(r"(?P<name>(?P<ticket>\d{12,20})-[0-9a-f]{8})\.(?P<state>waiting|held)")
_LONGEST = 4096
# What is beyond these was not written by this library.
_LATEST = 1e11  # seconds since 1970
_LAST_TICKET = 10**15
# The folder is locked for about a millisecond; whoever holds it for longer is stopped, or means harm.
_PATIENCE_SECONDS = 20.0
# A waiting process that has not looked for so long is suspended (Ctrl-Z): others go first until it looks.
_ASLEEP_SECONDS = 10.0
_BEAT_SECONDS = 2.0


def folder() -> Path:
    """The folder that this machine's leases are in: MLOPS_LEASES, or the one that all users share."""
    chosen = os.environ.get(_VARIABLE)
    if not chosen:
        return _SHARED
    if not Path(chosen).is_absolute():
        raise SettingsError(
            f"{_VARIABLE} is {chosen!r}, which is another folder for each working folder: give a full path."
        )
    return Path(chosen)


@contextmanager
def locked_folder(path: Path, *, create: bool = True) -> Iterator[int]:
    """Yield a descriptor of the folder, exclusively locked.

    Raises:
        OSError: it cannot be made, opened or locked; TimeoutError: somebody has held it for long.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if create:
            _make(path)
        descriptor = open_descriptor(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(descriptor, path, deadline)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            try:
                close_descriptor(descriptor)
            except KeyboardInterrupt:  # a notebook survives Ctrl-C: it must not keep the folder locked
                close_descriptor(descriptor)
                raise


def _make(path: Path) -> None:
    if path != _SHARED:
        path.mkdir(parents=True, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    # The umask keeps others out, and a kill may come in between: whoever owns it opens it to all.
    found = path.lstat()
    if found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and found.st_mode & 0o7777 != 0o1777:
        path.chmod(0o1777)


def _lock(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"a process has kept {path} locked for {_PATIENCE_SECONDS:.0f} s"
                ) from error
            time.sleep(0.003)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the folder that was locked is still the one that others find."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def read_leases(descriptor: int) -> list[Lease]:
    """Return the leases of living owners from a locked folder; remove what dead or torn ones left."""
    leases = []
    for name in os.listdir(descriptor):
        if (match := _NAME.fullmatch(name)) and (lease := _read(descriptor, name, match)):
            leases.append(lease)
    return leases


def _read(descriptor: int, name: str, match: re.Match[str]) -> Lease | None:
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            _remove(name, descriptor)
            return None
        file = open_descriptor(name, os.O_RDONLY | os.O_NONBLOCK, descriptor)
    except (FileNotFoundError, PermissionError):  # its owner has just let go, or it is none of ours
        return None
    try:
        if not _is_locked(file):
            _remove(name, descriptor)
            return None
        return _lease(os.read(file, _LONGEST), os.fstat(file), match)
    finally:
        close_descriptor(file)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _lease(content: bytes, found: os.stat_result, match: re.Match[str]) -> Lease | None:
    """The lease of a living process; None for one that waits and does not look, or cannot be read."""
    lease = _parse(content, found, match)
    if match["state"] == "held":
        return replace(lease or _unreadable(content, found, match), since=found.st_mtime)
    return None if time.time() - found.st_mtime > _ASLEEP_SECONDS else lease


def _parse(content: bytes, found: os.stat_result, match: re.Match[str]) -> Lease | None:
    try:
        values = json.loads(content)
        memory, gpu, priority = (values[key] for key in ("memory", "gpu", "priority"))
        if not all(type(value) is int for value in (memory, gpu, priority)):
            return None
        asked = float(values["asked"])
        if not (0 < memory <= 1000 and 0 <= gpu <= 1000 and 0 <= asked < _LATEST):
            return None
        return Lease(
            project=printable(values["project"]),
            shares=(memory, gpu),
            priority=priority,
            ticket=int(match["ticket"]),
            name=match["name"],
            uid=found.st_uid,
            process=int(values["process"]),
            asked=asked,
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _unreadable(content: bytes, found: os.stat_result, match: re.Match[str]) -> Lease:
    """What is held by a file that says something else than a lease, or not all of it."""
    process = re.search(rb'"process": ?(\d{1,9})\b', content)
    return Lease(
        project=f"lease file {match[0]} is unreadable",
        shares=(1000, 1000),
        ticket=int(match["ticket"]),
        name=match["name"],
        uid=found.st_uid,
        process=int(process[1]) if process else 0,
        asked=found.st_mtime,
    )


def printable(text: object) -> str:
    """Keep what another user wrote from steering the terminal that it is shown on."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:80])


class Entry:
    """This process's own file in the queue: `enter`, `hold`, `leave`."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self._file = -1

    @property
    def name(self) -> str:
        return self.lease.name

    @property
    def is_mine(self) -> bool:
        """Whether it is in the queue for this process; in a forked child it stays the parent's."""
        return self._file >= 0 and self.lease.process == os.getpid()

    def enter(self, descriptor: int, others: list[Lease]) -> None:
        """Join the end of the queue, in a locked folder."""
        ticket = max((other.ticket for other in others if other.ticket < _LAST_TICKET), default=0) + 1
        name = f"{ticket:012d}-{secrets.token_hex(4)}"
        self.lease = replace(self.lease, ticket=ticket, name=name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        self._file = open_descriptor(f"{name}.waiting", flags, descriptor)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(self._file, 0o644)  # others must be able to ask whether it is locked
        content = _content(self.lease)
        if os.write(self._file, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def beat(self) -> None:
        """Show that the waiting process still looks."""
        if abs(time.time() - os.fstat(self._file).st_mtime) > _BEAT_SECONDS:
            os.utime(self._file)

    def hold(self, descriptor: int) -> None:
        """Turn waiting into holding, in one step."""
        os.utime(self._file)
        os.rename(
            f"{self.name}.waiting",
            f"{self.name}.held",
            src_dir_fd=descriptor,
            dst_dir_fd=descriptor,
        )
        self.lease = replace(self.lease, since=os.fstat(self._file).st_mtime)

    def leave(self, path: Path) -> None:
        """Take the file away and unlock it; needs no lock on the folder, so that it never waits."""
        if not self.is_mine:
            return
        with contextlib.suppress(OSError):
            descriptor = open_descriptor(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _remove(f"{self.name}.waiting", descriptor)
                _remove(f"{self.name}.held", descriptor)
            finally:
                close_descriptor(descriptor)
        close_descriptor(self._file)
        self._file = -1


def _content(lease: Lease) -> bytes:
    values = {
        "format": 1,
        "project": lease.project,
        "memory": lease.shares[0],
        "gpu": lease.shares[1],
        "priority": lease.priority,
        "process": lease.process,
        "asked": lease.asked,
    }
    return json.dumps(values).encode()


def _remove(name: str, descriptor: int) -> None:
    with contextlib.suppress(OSError):  # another user's: it counts for nothing, and may stay
        os.unlink(name, dir_fd=descriptor)
