"""Recording this machine into a folder that can be replayed elsewhere, without saying whose it is.

Of each answer only what the parsers read is kept, by the lists below; what is not on a list does not reach
the disk. What is left is masked by patterns as well, should a name or a number stand where none belongs.
An answer in which the lists find nothing, or that cannot be parsed, is left out.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import plistlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.files import scratch_folder
from runtime_lib.hardware import parse
from runtime_lib.hardware import probe as ask
from runtime_lib.hardware.facts import Facts, facts
from runtime_lib.hardware.probe import Live, Probe, Question, Replay, recorded_name
from runtime_lib.hardware.state import State, state

__all__ = ["record"]

# system_profiler takes seconds where much is plugged in.
TIMEOUT_SECONDS = 30.0

_Keep = Callable[[str], str | None]


def record(folder: Path, probe: Probe | None = None) -> list[Path]:
    """Write a folder that replays to this machine's facts and state.

    Args:
        folder: a new or an empty one; it is written whole or not at all.
        probe: who answers (default: this machine, its slow commands too, and MLX where it is installed).
            powermetrics answers only root.

    Returns:
        The files, by name.

    Raises:
        SettingsError: `folder` is not empty, no folder, or cannot be written.
        DataError: the machine answered nothing.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SettingsError(f"{folder} exists and is not empty: name a new folder. Nothing was written.")
    texts = _answers(probe or Live(slow=True, timeout=TIMEOUT_SECONDS))
    if probe is None and (said := _mlx()):
        texts["mlx_device_info.txt"] = said
    if not texts:
        raise DataError(
            f"Nothing on this machine ({platform.system()}) answered: there is nothing to record."
        )
    try:
        with scratch_folder(folder) as new:
            for name, text in texts.items():
                (new / name).write_text(text, encoding="utf-8")
            _hide_names(new)
            new.rename(folder)  # takes an empty folder's place, and fails where there are files
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written ({error.strerror}): name another folder.") from error
    return sorted(folder.iterdir())


def _answers(probe: Probe) -> dict[str, str]:
    """File name → what is kept of the answer."""
    texts = _commands(probe) if probe.platform == "darwin" else _files(probe)
    return {name: _masked(text) for name, text in texts}


def _commands(probe: Probe) -> Iterator[tuple[str, str]]:
    answers = probe.ask(*(question for question, _ in _COMMANDS.values()))
    for (name, (_, keep)), texts in zip(_COMMANDS.items(), answers, strict=True):
        for text in texts[:1]:
            if kept := keep(text):
                yield name, kept


def _files(probe: Probe) -> Iterator[tuple[str, str]]:
    reader = _Reader(probe)
    facts(reader)
    state(reader)
    groups = _numbered_groups(reader.texts.get("/proc/self/cgroup", ""))
    for path, text in reader.texts.items():
        keep = next((keep for pattern, keep in _PATHS.items() if fnmatch(path, pattern)), None)
        if keep and (kept := keep(text)):
            place, _, name = path.rpartition("/")
            yield recorded_name(f"{groups.get(place, place)}/{name}"), kept


class _Reader:
    """Passes on what facts and state read on Linux, and remembers it."""

    def __init__(self, of: Probe) -> None:
        self._of = of
        self.texts: dict[str, str] = {}

    @property
    def platform(self) -> str | None:
        return self._of.platform

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        return self._of.ask(*questions)

    def read(self, path: str) -> str | None:
        text = self._of.read(path)
        if text is not None:
            self.texts[path] = text
        return text

    def files(self, pattern: str) -> tuple[str, ...]:
        return self._of.files(pattern)


def _mlx() -> str | None:
    if not find_spec("mlx"):
        return None
    try:
        import mlx.core as mx

        return _literal(*_MLX)(repr(mx.device_info()))
    except Exception:  # whatever it is that does not load here, the rest is worth recording
        return None


# What is kept.


def _lines(pattern: str) -> _Keep:
    """The lines that match from their beginning; what follows the match is cut off."""

    def keep(text: str) -> str | None:
        found = (re.match(pattern, line) for line in text.splitlines(keepends=True))
        return "".join(line[0].rstrip("\n") + "\n" for line in found if line) or None

    return keep


def _json(shape: Any) -> _Keep:
    def keep(text: str) -> str | None:
        try:
            return json.dumps(_picked(json.loads(text), shape), indent=2) + "\n"
        except (ValueError, RecursionError):
            return None

    return keep


def _plist(shape: Any) -> _Keep:
    def keep(text: str) -> str | None:
        content = _picked(parse.plists(text), shape)
        try:
            return plistlib.dumps(content).decode() if content is not None else None
        except (TypeError, ValueError, OverflowError):  # what a property list cannot hold was damaged
            return None

    return keep


def _literal(*keys: str) -> _Keep:
    def keep(text: str) -> str | None:
        content = _picked(dict(parse.literal(text)), dict.fromkeys(keys, True))
        return f"{content!r}\n" if content else None

    return keep


def _picked(content: Any, shape: Any) -> Any:
    """The part of `content` that has the shape: `True` for one value, `[shape]` for a list of such."""
    if isinstance(shape, list):
        return [_picked(one, shape[0]) for one in content] if isinstance(content, list) else None
    if isinstance(shape, dict):
        content = content if isinstance(content, dict) else {}
        found = {key: _picked(content.get(key), inner) for key, inner in shape.items()}
        return {key: value for key, value in found.items() if value is not None}
    return content if isinstance(content, str | int | float) else None


def _control_groups(text: str) -> str | None:
    """Names of groups hold users, services and containers: they become numbers."""
    lines = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    kept = [line for line in lines if line[:2] == ["0", ""] or "memory" in line[1].split(",")]
    return "".join(f"{n}:{'memory' if c else ''}:{_numbered(path)}\n" for n, c, path in kept) or None


def _numbered(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != ".."]
    return "/" + "/".join(f"group{number}" for number, _ in enumerate(parts, 1))


def _numbered_groups(text: str) -> Mapping[str, str]:
    """Folder of a control group → the folder under the name that `_control_groups` gives it."""
    found = {}
    for line in text.splitlines():
        *_, path = line.split(":", 2)
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(1, len(parts) + 1):
            inner = "/".join(parts[:depth])
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
                found[f"{root}/{inner}"] = root + _numbered(inner)
    return found


_MLX = (
    "device_name",
    "architecture",
    "memory_size",
    "max_recommended_working_set_size",
    "max_buffer_length",
    "resource_limit",
)
_POWER = {
    "hw_model": True,
    "elapsed_ns": True,
    "thermal_pressure": True,
    "gpu": {"idle_ratio": True, "freq_hz": True},
    "processor": {
        "combined_power": True,
        "cpu_power": True,
        "gpu_power": True,
        "ane_power": True,
        "clusters": [{"name": True, "cpus": [{"cpu": True}]}],
    },
}
_HARDWARE = ("chip_type", "cpu_type", "machine_model", "number_processors", "physical_memory")
_DISPLAYS = (
    "_name",
    "sppci_cores",
    "sppci_model",
    "spdisplays_metalfamily",
    "spdisplays_mtlgpufamilysupport",
)
_BATTERY = ("BatteryInstalled", "CurrentCapacity", "MaxCapacity", "ExternalConnected")
_COMMANDS: Mapping[str, tuple[Question, _Keep]] = {
    "sysctl.txt": (ask.SYSCTL, _lines(rf"(?:{'|'.join(map(re.escape, ask.SYSCTL_KEYS))})[:=].*\n?")),
    "sw_vers.txt": (ask.SW_VERS, _lines(r"(?:ProductName|ProductVersion|BuildVersion):.*\n?")),
    "system_profiler_SPHardwareDataType.json": (
        ask.HARDWARE,
        _json({"SPHardwareDataType": [dict.fromkeys(_HARDWARE, True)]}),
    ),
    "system_profiler_SPDisplaysDataType.json": (
        ask.DISPLAYS,
        _json({"SPDisplaysDataType": [dict.fromkeys(_DISPLAYS, True)]}),
    ),
    "ioreg_IOAccelerator.txt": (
        ask.GPU,
        _lines(r'[ |]*"(?:PerformanceStatistics|model|gpu-core-count|MetalPluginName)"\s*=.*\n?'),
    ),
    "ioreg_AppleSmartBattery.plist": (ask.BATTERY, _plist([dict.fromkeys(_BATTERY, True)])),
    "notifyutil_thermalpressurelevel.txt": (
        ask.THERMAL,
        _lines(r"(?:com\.apple\.system\.thermalpressurelevel|Failed with code) .*\n?"),
    ),
    # Not what follows a number: programs that keep the machine awake.
    "pmset_g.txt": (
        ask.POWER_MODE,
        _lines(
            r"(?:System-wide power settings|Currently in use|\w+ Power):|\s*(?:(?:low)?powermode|sleep)\s+\d+"
        ),
    ),
    "memory_pressure.txt": (
        ask.MEMORY,
        _lines(r"(?:The system has|System-wide memory free percentage).*\n?"),
    ),
    "vm_stat.txt": (ask.VM_STAT, _lines(r"(?:Mach Virtual Memory Statistics|Pages [a-z ]+):.*\n?")),
    "powermetrics.plist": (ask.POWER, _plist(_POWER)),
    "mlx_device_info.txt": (ask.MLX_INFO, _literal(*_MLX)),
}
_PATHS: Mapping[str, _Keep] = {
    "/proc/cpuinfo": _lines(r"(?:processor|model name|flags|CPU implementer|CPU part)\s*:.*\n?|\n"),
    "/proc/meminfo": _lines(r"(?:MemTotal|MemAvailable):.*\n?"),
    "/proc/pressure/memory": _lines(r"(?:some|full) .*\n?"),
    "/proc/self/cgroup": _control_groups,
    "/sys/fs/cgroup/*memory.stat": _lines(r"(?:total_)?inactive_file \d+\n?"),
    "/sys/fs/cgroup/*": _lines(r"(?:\d+|max)\n?"),
    "/sys/devices/system/cpu/online": _lines(r"[\d,-]+\n?"),
    "/proc/sys/kernel/*": _lines(r"[\w.+-]+\n?"),
    "/proc/driver/nvidia/version": _lines(r"NVRM version:[^(]*"),
    "/proc/driver/nvidia/gpus/*/information": _lines(r"Model:.*\n?"),
}


# What is masked in what is kept.

_PATTERNS: Mapping[str, str] = {
    r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b": "00000000-0000-0000-0000-000000000000",
    r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}\b": "00000000-0000000000000000",
    r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b": "00:00:00:00:00:00",
    r"(/Users|/home)/[^/\s\"'<]+": r"\1/user",
    r"[\w.+-]+@[\w-]+\.[\w.-]+": "user@example.org",
    # Serial numbers: 10 to 14 capitals and digits, both.
    r"\b(?=[0-9]*[A-Z])(?=[A-Z]*[0-9])[A-Z0-9]{10,14}\b": "XXXXXXXXXXXX",
}


def _masked(text: str) -> str:
    for pattern, instead in _PATTERNS.items():
        text = re.sub(pattern, instead, text)
    return text


def _hide_names(folder: Path) -> None:
    """Mask this user's and this host's names, except one that is also a word of the answers (`Max`)."""
    for name in _names():
        before = {path: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        said = _replayed(folder)
        for path, text in before.items():
            path.write_text(re.sub(rf"\b{re.escape(name)}\b", "user", text), encoding="utf-8")
        if _replayed(folder) != said:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")


def _names() -> set[str]:
    host = platform.node()
    names = {host, host.partition(".")[0], Path.home().name, os.environ.get("SUDO_USER", "")}
    with suppress(OSError, KeyError):  # a user without an entry, as in some containers
        names.add(getpass.getuser())
    return {name for name in names if len(name) >= 3}


def _replayed(folder: Path) -> tuple[Facts, State]:
    probe = Replay(folder)
    machine = facts(probe)
    return machine, state(probe, facts=machine)
