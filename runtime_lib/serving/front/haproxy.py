"""HAProxy in front of the workers, on a socket that its supervisor holds.

It balances, sends a request again where that is no harm, and ends clients that are slow. It chooses no
version of a model: every worker has all of them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from runtime_lib.errors import ServiceError
from runtime_lib.files import atomic_file
from runtime_lib.serving.front import admin
from runtime_lib.serving.front.admin import Worker
from runtime_lib.serving.front.config import ADMIN, Limits, location, render, server
from runtime_lib.serving.front.program import Program, find

__all__ = ["HAProxy", "Limits", "Program", "Worker", "end_orphan", "find"]

_CONFIG, _PID, _OUTPUT = "haproxy.cfg", "haproxy.pid", "haproxy.err"
_START_SECONDS = 5.0  # it takes 0.02
# Of a stop: after this, whoever has not used the connection since loses it; as behind no HAProxy.
_SECONDS_TO_LEAVE = 5.0
_LONGEST_PATH = 100  # bytes of a socket's path; macOS takes 103
_BACKLOG = 4_096  # Linux's default of somaxconn, which caps it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class HAProxy:
    """One HAProxy process. Its calls wait for it, a few milliseconds each; `stop` waits longer.

    Args:
        listener: a TCP socket that listens. It stays open while HAProxy is restarted, so that connections
            wait instead of being refused. The caller closes it.
        folder: for its files, of this user alone. Not shared with another HAProxy.
        program: by default what `find` returns.

    Raises:
        ServiceError: there is no HAProxy, or the folder's path is too long for a socket.
    """

    def __init__(
        self,
        listener: socket.socket,
        folder: Path,
        *,
        limits: Limits | None = None,
        program: Program | None = None,
    ) -> None:
        self.program = program or find()
        self._listener = listener
        self._folder = folder.absolute()
        self._admin = self._folder / ADMIN
        if len(os.fsencode(self._admin)) > _LONGEST_PATH:
            raise ServiceError(f"{self._admin} is too long for a socket: choose a shorter folder.")
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, str] = {}  # address → name, of those that are to get requests
        self._addresses: dict[str, str] = {}  # name → address, of those that drain too
        self._named = 0

    @property
    def pid(self) -> int | None:
        """The id of its process; None if it does not run."""
        return self._process.pid if self._process and self.alive else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it with the workers that it was told of; return once it takes requests.

        Those count as up until a check fails.

        On Linux it is ended with the thread that calls this: call it from one that lasts.

        Raises:
            ServiceError: it does not start; the message has its words.
        """
        if self.alive:
            return
        self._prepare()
        if self._process is None:  # else what the record names is this one, which has died
            end_orphan(self._folder)
        self._addresses = {name: address for address, name in self._workers.items()}
        lines = [f"{name} {server(address, self._limits)}" for name, address in self._addresses.items()]
        with atomic_file(self._folder / _CONFIG) as temporary, _private(temporary) as config:
            config.write(render(self._listener.fileno(), self._limits, lines))
        with _private(self._folder / _OUTPUT) as output:
            self._process = subprocess.Popen(
                # -db: in the foreground; -q: no line for each worker that comes and goes
                [self.program.path, "-db", "-q", "-f", str(self._folder / _CONFIG)],
                cwd=self._folder,
                pass_fds=[self._listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # Ctrl-C is for the supervisor, which ends it when the requests are done
                preexec_fn=_tie_to_parent(),
            )
        with _private(self._folder / _PID) as record:
            record.write(f"{self._process.pid}\n")
        self._wait_until_up(self._process)

    def heal(self) -> bool:
        """Start it again if it has died; return whether it had."""
        if self.alive:
            return False
        self.start()
        return True

    def set_workers(self, addresses: Sequence[str]) -> None:
        """Balance over these workers and no others. One that is new gets requests once it is ready.

        Those that are left out drain: they finish what they have. To replace workers without a gap, add the
        new ones, wait until they are up, and leave out the old ones then. While HAProxy does not run, this is
        kept for its next start. After an error it may be called again.

        Args:
            addresses: each `unix@/path` or `host:port`.

        Raises:
            ServiceError: an address is none, or HAProxy does not take it.
        """
        for address in addresses:
            location(address)  # before anything is changed
        self._workers = {address: self._workers.get(address) or self._name() for address in addresses}
        self._addresses |= {name: address for address, name in self._workers.items()}
        if not self.alive:
            return
        known = self._known()
        for address, name in self._workers.items():
            if name not in known:
                admin.add(self._admin, name, server(address, self._limits))

    def drain(self, address: str) -> None:
        """Give a worker no further requests. `workers()` has it until it has none left."""
        self.set_workers([other for other in self._workers if other != address])

    def workers(self) -> dict[str, Worker]:
        """Return each worker by its address; one that drains too, until it has no request left.

        Raises:
            ServiceError: HAProxy does not answer.
        """
        known = self._known()
        return {
            address: known[name]  # of two at one address, one of which drains, the later
            for name, address in self._addresses.items()
            if name in known and (name == self._workers.get(address) or known[name].requests)
        }

    @property
    def waiting(self) -> int:
        """How many requests wait for a worker to be free."""
        return admin.waiting(self._admin)

    def stop(self, *, within: float = 30.0) -> bool:
        """End it: no new connections, and `within` seconds for what is under way.

        Of these, at most 5 are for clients to leave with their next answer. New connections are refused only
        if the caller has closed the listener.

        Returns:
            Whether all of it has finished.
        """
        if self._process is None:
            return True
        deadline = time.monotonic() + within
        self._let_leave(min(within, _SECONDS_TO_LEAVE))
        self._process.send_signal(signal.SIGUSR1)
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
            finished = True
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            finished = False
        self._process = None
        (self._folder / _PID).unlink(missing_ok=True)
        return finished

    def _let_leave(self, seconds: float) -> None:
        """Have clients leave with their next answer, until none is left or the time is over.

        A soft stop would end connections between two requests, and lose those that are on their way.
        """
        deadline = time.monotonic() + seconds
        with suppress(ServiceError):  # it does not answer: the soft stop is all that can be done
            admin.close(self._admin)
            while admin.connections(self._admin) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        self._listener.listen(_BACKLOG)  # Python's own default, 128, is soon full while HAProxy restarts

    def _name(self) -> str:
        self._named += 1
        return f"w{self._named}"

    def _known(self) -> dict[str, Worker]:
        """What HAProxy has, by name, once it has forgotten those that have drained."""
        known = admin.workers(self._admin)
        for name in known.keys() - self._workers.values():
            if admin.remove(self._admin, name):
                del known[name]
                self._addresses.pop(name, None)
        return known

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if admin.process_id(self._admin) == process.pid:
                    return
            except ServiceError:  # not yet
                time.sleep(0.005)
        ended = process.poll() is not None
        process.kill()
        process.wait()
        self._process = None
        said = (self._folder / _OUTPUT).read_text(encoding="utf-8", errors="replace").strip()
        why = "it ended" if ended else f"it did not answer within {_START_SECONDS:g} s"
        raise ServiceError(f"{self.program.path} did not start: {why}. It says: {said or 'nothing'}")


def end_orphan(folder: Path) -> bool:
    """End the HAProxy of `folder` that a killed supervisor has left; return whether there was one.

    It still listens, so this comes before the socket is opened. On Linux the kernel has ended it already.
    """
    record = folder.absolute() / _PID
    try:
        process = int(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    found = str(folder.absolute() / _CONFIG) in _command(process)  # its number may be another's by now
    if found:
        os.kill(process, signal.SIGKILL)
    record.unlink(missing_ok=True)
    return found


def _command(process: int) -> str:
    """The command line of a process; empty if there is none."""
    shown = subprocess.run(
        ["ps", "-ww", "-p", str(process), "-o", "command="], capture_output=True, text=True, check=False
    )
    return shown.stdout


def _private(path: Path) -> TextIO:
    """Open a file to write, which is of this user alone from its first moment."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8")


def _tie_to_parent() -> Callable[[], None] | None:
    """What the child does before it becomes HAProxy, so that it is killed with this process (Linux)."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed a moment ago
            os._exit(1)

    return tie
