"""Questions to a machine, and who answers: the machine itself, or a folder of recorded answers.

Each command that the library asks is a `Question` in the list below, with the names of the files that
answer it in a replay. An answer is the command's standard output, or `None`: not there, failed, took too
long. What is in it is the parsers' business (facts.py, state.py).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase  # Path.match takes five times as long
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runtime_lib.errors import SettingsError

if TYPE_CHECKING:  # where no command is started, they are not loaded
    import subprocess

__all__ = ["REPLAY", "Live", "Probe", "Question", "Replay", "recorded_name", "replayed", "this_machine"]

# The variable that names a recording which stands in for this machine, in a whole process.
REPLAY = "MLOPS_HARDWARE_REPLAY"
TIMEOUT_SECONDS = 2.0
# Where macOS keeps the commands: the PATH of a service (cron, launchd, a scheduler) may lack some of them.
_SYSTEM_FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_MOMENT_SECONDS = 0.1


@dataclass(frozen=True)
class Question:
    """A command, and the file patterns that answer it in a replay, best first.

    `slow` ones take longer than a look at the machine may (or need root): only replays and recordings
    ask them.
    """

    argv: tuple[str, ...]
    files: tuple[str, ...]
    slow: bool = False


# One call for everything; `-i` leaves unknown keys out instead of failing.
SYSCTL_KEYS = (
    "machdep.cpu.brand_string",
    "hw.model",
    "hw.memsize",
    "hw.ncpu",
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
SW_VERS = Question(("sw_vers",), ("sw_vers*.txt",), slow=True)
HARDWARE = Question(
    ("system_profiler", "SPHardwareDataType", "-json"),
    ("system_profiler_SPHardwareDataType.json", "system_profiler_SPHardwareDataType.*.json"),
    slow=True,
)
DISPLAYS = Question(
    ("system_profiler", "SPDisplaysDataType", "-json"),
    ("system_profiler_SPDisplaysDataType.json", "system_profiler_SPDisplaysDataType.*.json"),
    slow=True,
)
GPU = Question(("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"), ("ioreg*.txt", "ioreg*"))
BATTERY = Question(
    ("ioreg", "-r", "-d", "1", "-a", "-c", "AppleSmartBattery"),
    ("ioreg*Battery*", "ioreg*.plist", "ioreg*"),
)
THERMAL = Question(("notifyutil", "-g", "com.apple.system.thermalpressurelevel"), ("notifyutil*.txt",))
POWER_MODE = Question(("pmset", "-g"), ("pmset_g*.txt",))
MEMORY = Question(("memory_pressure", "-Q"), ("memory_pressure*.txt",), slow=True)
VM_STAT = Question(("vm_stat",), ("vm_stat.txt",), slow=True)
POWER = Question(
    ("powermetrics", "-n", "1", "-i", "500", "--samplers", "cpu_power,gpu_power,thermal", "-f", "plist"),
    ("powermetrics*.plist",),
    slow=True,
)
# Not a command: MLX answers it in-process. Several recordings may stand beside each other.
MLX_INFO = Question((), ("mlx_device_info*.txt",), slow=True)


class Probe(Protocol):
    """Answers questions about one machine. Never raises: what cannot be answered is `None`."""

    @property
    def platform(self) -> str | None:
        """`darwin`, `linux`, or None where nothing tells."""

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        """For each question its answers: one, several from a folder that holds several, or none."""

    def read(self, path: str) -> str | None:
        """The text of a file such as `/proc/meminfo`."""

    def files(self, pattern: str) -> tuple[str, ...]:
        """Paths that match a pattern such as `/proc/driver/nvidia/gpus/*/information`."""


def this_machine() -> Probe:
    """The machine that this process runs on, or the recording that MLOPS_HARDWARE_REPLAY names instead."""
    folder = replayed()
    return Replay(Path(folder)) if folder else Live()


def replayed() -> str | None:
    """The folder that stands in for this machine, or None."""
    return os.environ.get(REPLAY) or None


class Live:
    """Runs the commands side by side, each for at most `timeout` seconds."""

    def __init__(
        self,
        *,
        system: str | None = None,
        path: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        slow: bool = False,
    ) -> None:
        """
        Args:
            system: `darwin` or `linux` (default: this one's). Commands are asked on `darwin` only.
            path: where commands are looked for (default: PATH and the system's own folders).
            slow: ask the slow questions too, as a recording does.
        """
        import platform

        self._system = system or platform.system().lower()
        self._path = path or os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)).lstrip(
            os.pathsep
        )
        self._timeout, self._slow = timeout, slow
        # Another system's, or from elsewhere: then what Python says of this machine is not about that one.
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
        if self._system != "darwin" or not question.argv or (question.slow and not self._slow):
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
                stderr=subprocess.DEVNULL,  # system_profiler writes log lines there
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


class Replay:
    """Answers from a folder, each question from the files named after its command."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            SettingsError: `folder` is not a folder.
        """
        if not folder.is_dir():
            raise SettingsError(
                f"{folder} is not a folder. Replay one that `mlops hardware --record FOLDER` wrote."
            )
        self.folder = folder

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        return tuple(sorted(path for path in self.folder.iterdir() if path.is_file()))

    @property
    def is_empty(self) -> bool:
        """Whether there is no file at all."""
        return not self._files

    @property
    def recognised(self) -> tuple[Path, ...]:
        """Those that are named after a command that is asked, or a file that is read."""
        known = {path for group in self.groups() for path in group}
        return tuple(path for path in self._files if path in known)

    def groups(self) -> list[list[Path]]:
        """Recognised files that answer one question together; on Linux each stands for itself."""
        if read := [[path] for path in self._files if path.name.startswith(_LINUX)]:
            return read
        return [files for question in _MAC if (files := self._matching(question))]

    @property
    def platform(self) -> str | None:
        if any(path.name.startswith(_LINUX) for path in self._files):
            return "linux"
        return "darwin" if any(self._matching(question) for question in _MAC) else None

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(self._answers(question)) for question in questions)

    def read(self, path: str) -> str | None:
        return self._read(self.folder / recorded_name(path))

    def files(self, pattern: str) -> tuple[str, ...]:
        # A recording writes the folders' names into the file's; they are found, not spelt back.
        return tuple(path.name for path in self._files if path.match(recorded_name(pattern)))

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):  # a torn path may hold a NUL
            return None

    def _matching(self, question: Question) -> list[Path]:
        names = ((path, pattern) for pattern in question.files for path in self._files)
        return list({path: None for path, pattern in names if fnmatchcase(path.name, pattern)})

    def _answers(self, question: Question) -> Iterator[str]:
        for path in self._matching(question):
            text = self._read(path)
            if text is None:
                continue
            # `sysctl -n KEY` prints the bare value: the key stands in the file's name.
            key = re.fullmatch(r"sysctl_n_([\w.]+)\.txt", path.name)
            yield f"{key[1]}: {text}" if key and len(text.splitlines()) == 1 else text


# How the names of recorded files begin that were read, not printed by a command.
_LINUX = ("proc_", "sys_")
_MAC = (
    SYSCTL,
    SW_VERS,
    HARDWARE,
    DISPLAYS,
    GPU,
    BATTERY,
    THERMAL,
    POWER_MODE,
    MEMORY,
    VM_STAT,
    POWER,
    MLX_INFO,
)


def recorded_name(path: str) -> str:
    """The file of a recording that holds what stood at `path`; a name of that form stays as it is."""
    return path if path.endswith(".txt") else f"{path.strip('/').replace('/', '_')}.txt"
