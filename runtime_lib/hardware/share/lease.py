"""Fair sharing of one machine between projects: hold a share of its memory and GPU while work runs.

    with lease(memory=0.7, gpu=1.0, project="flights"):
        …

All projects, terminals and users of the machine share one queue (runtime_lib/hardware/share/order.py has the
rule, files.py the files). Explicit rules for the rest:

- The kernel says who lives: a killed owner's lease, held or waiting, is gone at once.
- Sharing never stops work: where the folder of leases cannot be used, the work runs, with one warning.
- A lease inside a lease of the same thread, or of a process above that still holds it, is part of the outer
  one; asking for more than the outer one has is an error, because two that grow would wait for each other.
  Another thread asks for itself.
- A lease is an agreement among those who ask; it limits nobody's use by force.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import takewhile
from pathlib import Path

from runtime_lib.errors import BusyError, ServiceError, SettingsError
from runtime_lib.hardware.share.descriptors import watch_forks
from runtime_lib.hardware.share.files import Entry, folder, locked_folder, printable, read_leases
from runtime_lib.hardware.share.notice import Notice
from runtime_lib.hardware.share.order import Lease, Wait, admitted, in_order, in_words, thousandths

__all__ = ["Lease", "Wait", "holders", "lease"]

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.2
# Names to the processes started meanwhile the leases that they run under.
_VARIABLE = "MLOPS_LEASES_HELD"

_innermost: ContextVar[Entry | None] = ContextVar("lease", default=None)
# Names of leases that this module's process holds, with its number: a forked child owns none of them.
_own: dict[str, int] = {}
_exporting = threading.Lock()


@contextmanager
def lease(
    *,
    memory: float,
    gpu: float = 0.0,
    project: str,
    priority: int = 0,
    timeout: float = 3600.0,
    on_wait: Callable[[Wait], None] | None = None,
) -> Iterator[Lease]:
    """Hold shares of this machine while the block runs; wait for them if others hold them.

    Args:
        memory: share of the machine's memory, above 0, to 1.
        gpu: share of its GPU, 0 (the work does not use it) to 1.
        project: who asks, for those who have to wait.
        priority: the higher goes first; among equals, who came first.
        timeout: seconds to wait at most; 0 tries once, `math.inf` waits without end.
        on_wait: called with each change of the queue while waiting; without it, a status line (in a log: a
            line for each change) on stderr says who holds what.

    Yields:
        The lease held: the outer one if this is part of it.

    Raises:
        SettingsError: a share, the priority or the timeout is out of range, or more than the outer lease has.
        BusyError: `timeout` has passed.
    """
    asked = _asked(memory, gpu, project, priority, timeout)
    if outer := _outer(asked):
        yield outer
        return
    place = _Place(folder(), asked)
    try:
        _wait(place, timeout, Notice(on_wait))
        with _announced(place.entry):
            yield place.entry.lease if place.entry else asked
    finally:
        try:
            place.leave()
        except KeyboardInterrupt:  # a notebook survives Ctrl-C: it must not keep the lease
            place.leave()
            raise


def holders() -> list[Lease]:
    """Return who holds shares of this machine, longest first, then who waits, in order.

    Raises:
        ServiceError: the folder of leases cannot be read.
    """
    try:
        with locked_folder(folder(), create=False) as descriptor:
            leases = read_leases(descriptor)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ServiceError(f"The machine's leases cannot be read: {error}.") from error
    return _held(leases) + in_order(leases)


def _asked(memory: object, gpu: object, project: str, priority: object, timeout: float) -> Lease:
    if type(priority) is not int:
        raise SettingsError(f"A lease's priority is {priority!r}; it is a whole number, the higher first.")
    if not timeout >= 0:
        raise SettingsError(f"A lease's timeout is {timeout!r}; it is 0 or more seconds.")
    return Lease(
        project=printable(project),
        shares=(thousandths(memory, "memory", least=1), thousandths(gpu, "GPU")),
        priority=priority,
        uid=os.getuid(),
        process=os.getpid(),
        asked=time.time(),
    )


class _Place:
    """A place in the queue of this machine; the lease, once it is held."""

    def __init__(self, path: Path, asked: Lease) -> None:
        watch_forks()
        self._path = path
        self._asked = asked
        self.entry: Entry | None = None

    def look(self) -> Wait | None:
        """Take the lease if it is its turn (None), or say why not."""
        with locked_folder(self._path) as descriptor:
            if self.entry:
                self.entry.beat()
            leases = read_leases(descriptor)
            if not (self.entry and self.entry.name in {other.name for other in leases}):
                # The first time, or somebody has emptied the folder.
                self.leave()
                self.entry = Entry(self._asked)
                self.entry.enter(descriptor, leases)
                leases.append(self.entry.lease)
            name = self.entry.name
            if name in {starting.name for starting in admitted(leases)}:
                self.entry.hold(descriptor)
                return None
        before = takewhile(lambda other: other.name != name, in_order(leases))
        return Wait(self.entry.lease, tuple(_held(leases)), tuple(before))

    def leave(self) -> None:
        if self.entry:
            self.entry.leave(self._path)


def _wait(place: _Place, timeout: float, notice: Notice) -> None:
    """Return once the lease is held, or cannot be shared."""
    deadline = time.monotonic() + timeout
    got = False
    try:
        while wait := _look(place):
            notice(wait)
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusyError(_busy(wait, timeout))
            time.sleep(min(_PAUSE_SECONDS, left))
        got = True
    finally:
        notice.end(got=got)


def _look(place: _Place) -> Wait | None:
    try:
        return place.look()
    except OSError as error:
        place.leave()
        _warn(str(error))
        return None


def _busy(wait: Wait, timeout: float) -> str:
    return (
        f"This machine stayed busy for {timeout:g} s. {wait}. Wait for longer ([hardware] max_wait in "
        f"mlops.toml), ask for less (memory_share, gpu_share), go first (priority), or end one that holds it."
    )


@cache
def _warn(reason: str) -> None:
    _log.warning(
        "This machine is not shared fairly: the leases cannot be used (%s). The work runs without one, "
        "next to whatever else runs. Let all users write to that folder, or set MLOPS_LEASES to another.",
        reason,
    )


def _outer(asked: Lease) -> Lease | None:
    """The lease that this thread, or a living process above this one, already holds.

    Raises:
        SettingsError: it is smaller than what is asked for.
    """
    entry = _innermost.get()
    outers = [entry.lease] if entry and entry.is_mine else _inherited()
    if not outers:
        return None
    for outer in outers:
        if outer.covers(asked.shares):
            return outer
    raise SettingsError(
        f"'{asked.project}' asks for {in_words(asked.shares)} inside a lease: {outers[0]}. A lease cannot "
        f"grow while it is held (two that grow would wait for each other): ask for the larger shares outside."
    )


def _inherited() -> list[Lease]:
    names = {name for name in os.environ.get(_VARIABLE, "").split() if _own.get(name) != os.getpid()}
    if not names:
        return []
    try:
        with locked_folder(folder(), create=False) as descriptor:
            return [held for held in _held(read_leases(descriptor)) if held.name in names]
    except OSError:  # asking for a lease of its own says why
        return []


@contextmanager
def _announced(entry: Entry | None) -> Iterator[None]:
    """Let this thread, and processes started meanwhile, know that they run under the lease."""
    if entry is None:
        yield
        return
    around = _innermost.get()
    _own[entry.name] = os.getpid()
    _export(add=entry.name)
    _innermost.set(entry)
    try:
        yield
    finally:
        _innermost.set(around)
        _export(remove=entry.name)
        _own.pop(entry.name, None)


def _export(*, add: str = "", remove: str = "") -> None:
    with _exporting:
        names = [name for name in os.environ.get(_VARIABLE, "").split() if name != remove] + [add]
        if value := " ".join(names).strip():
            os.environ[_VARIABLE] = value
        else:
            os.environ.pop(_VARIABLE, None)


def _held(leases: list[Lease]) -> list[Lease]:
    return sorted(
        (found for found in leases if found.is_held), key=lambda found: (found.since or 0, found.name)
    )
