"""Questions to a machine, and the machine that answers them; replay/folder.py answers from a recording.

Each command that the library asks is a `Question` in the list below, with the names of the files that
answer it in a replay. An answer is the command's standard output, or none: not there, failed, took too
long. What is in it is the parsers' business.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # where no command is started, they are not loaded
    import subprocess

__all__ = ["QUESTIONS", "Live", "Probe", "Question"]

TIMEOUT_SECONDS = 2.0
# Where macOS keeps the commands: the PATH of a service (cron, launchd, a scheduler) may lack some of them.
_SYSTEM_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_MOMENT_SECONDS = 0.1


@dataclass(frozen=True)
class Question:
    """A command, and the file patterns that answer it in a replay, best first."""

    argv: tuple[str, ...]
    files: tuple[str, ...]


# One call for everything; `-i` leaves unknown keys out instead of failing.
SYSCTL_KEYS = (
    "machdep.cpu.brand_string",
    "hw.model",
    "hw.memsize",
    "hw.ncpu",
    "hw.logicalcpu",
    "hw.physicalcpu",
    "hw.nperflevels",
    *(f"hw.perflevel{level}.{key}" for level in range(4) for key in ("name", "physicalcpu")),
    "hw.optional.arm64",
    "kern.osproductversion",
    "kern.hv_vmm_present",
    "sysctl.proc_translated",
    "kern.memorystatus_vm_pressure_level",
    "kern.memorystatus_level",
)
SYSCTL = Question(("sysctl", "-i", *SYSCTL_KEYS), ("sysctl*.txt",))
GPU = Question(("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"), ("ioreg*.txt", "ioreg*"))
BATTERY = Question(
    ("ioreg", "-r", "-d", "1", "-a", "-c", "AppleSmartBattery"),
    ("ioreg*Battery*", "ioreg*.plist", "ioreg*"),
)
THERMAL = Question(("notifyutil", "-g", "com.apple.system.thermalpressurelevel"), ("notifyutil*.txt",))
POWER_MODE = Question(("pmset", "-g"), ("pmset_g*.txt",))
VM_STAT = Question(("vm_stat",), ("vm_stat.txt",))
# Not a command: who has MLX loaded asks it in-process. Several recordings may lie next to each other.
MLX_INFO = Question((), ("mlx_device_info*.txt",))
QUESTIONS = (SYSCTL, GPU, BATTERY, THERMAL, POWER_MODE, VM_STAT, MLX_INFO)


class Probe(Protocol):
    """Answers questions about one machine. Never raises: what cannot be answered is `None`."""

    @property
    def platform(self) -> str | None:
        """`darwin`, `linux`, or None where nothing says."""

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        """For each question its answers: one, several from a folder that holds several, or none."""

    def read(self, path: str) -> str | None:
        """The text of a file such as `/proc/meminfo`."""

    def files(self, pattern: str) -> tuple[str, ...]:
        """Paths that match a pattern such as `/proc/driver/nvidia/gpus/*/information`."""


class Live:
    """Runs the commands side by side, each for at most `timeout` seconds."""

    def __init__(
        self,
        *,
        system: str | None = None,
        path: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """
        Args:
            system: `darwin` or `linux` (default: this one's). Commands are asked on `darwin` only.
            path: where commands are looked for (default: PATH and the system's own folders).
        """
        import platform

        self._system = system or platform.system().lower()
        self._path = path or os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)).lstrip(
            os.pathsep
        )
        self._timeout = timeout
        # Another system's, or with commands from elsewhere: what Python says is not about that machine.
        self.here = system is None and path is None

    @property
    def platform(self) -> str | None:
        return self._system

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        started: list[subprocess.Popen[bytes] | None] = []
        try:
            for question in questions:
                started.append(self._start(question))
            deadline = time.monotonic() + self._timeout
            answers = [_finish(process, deadline) if process else None for process in started]
        except BaseException:  # Ctrl-C reaches this process alone: nothing that was started stays behind
            for process in filter(None, started):
                _end(process)
            raise
        return tuple(() if text is None else (text,) for text in answers)

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):  # a torn path may hold a NUL
            return None

    def files(self, pattern: str) -> tuple[str, ...]:
        return tuple(sorted(str(path) for path in Path("/").glob(pattern.lstrip("/"))))

    def _start(self, question: Question) -> subprocess.Popen[bytes] | None:
        if self._system != "darwin" or not question.argv:
            return None
        import subprocess

        # A decimal comma or a translated word must not come into an answer.
        environment = {**os.environ, "LC_ALL": "C", "PATH": self._path}
        with suppress(OSError):
            return subprocess.Popen(
                question.argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # log lines
                start_new_session=True,  # so that what it started can be ended with it
            )
        return None


def _finish(process: subprocess.Popen[bytes], deadline: float) -> str | None:
    from subprocess import TimeoutExpired

    try:
        # A moment at least: an earlier one may have used the time up, and this answer lies ready.
        output, _ = process.communicate(timeout=max(_MOMENT_SECONDS, deadline - time.monotonic()))
    except TimeoutExpired:
        _end(process)
        return None
    return output.decode("utf-8", errors="replace") if process.returncode == 0 else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and what it started: a child of its own may hold the pipe open after it has gone.

    One that has answered is left alone: its number may be another's by now.
    """
    import signal

    if process.returncode is not None and process.stdout and process.stdout.closed:
        return
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
