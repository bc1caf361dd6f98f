"""What of an answer goes into a recording, by the lists below, and nothing else.

That is what the parsers read, and MLX's limits, which a bug report needs and millions of Macs share. An
answer in which the lists find nothing, or that cannot be parsed, is left out whole. What is left is masked
by patterns as well, in case an identifier is where none belongs.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from typing import Any

from runtime_lib.hardware.read import parse
from runtime_lib.hardware.read.linux import group_parts
from runtime_lib.hardware.read.plist import last_plist
from runtime_lib.hardware.read.probe import (
    BATTERY,
    GPU,
    MLX_INFO,
    POWER_MODE,
    SYSCTL,
    SYSCTL_KEYS,
    THERMAL,
    VM_STAT,
    Question,
)
from runtime_lib.hardware.replay.folder import recorded_name

__all__ = ["COMMANDS", "kept_file", "masked", "numbered_groups"]

_Keep = Callable[[str], str | None]


def _lines(pattern: str) -> _Keep:
    """The lines that match from their beginning; what follows the match is cut off."""

    def keep(text: str) -> str | None:
        pairs = ((line, re.match(pattern, line)) for line in text.splitlines(keepends=True))
        return _joined(text, ((line, found[0]) for line, found in pairs if found))

    return keep


def _joined(text: str, kept: Iterable[tuple[str, str]]) -> str | None:
    """What is kept of the lines of `text`. A last line without its end was cut, and stays without one."""
    found = "".join(part.rstrip("\n") + ("\n" if line.endswith("\n") else "") for line, part in kept)
    # A single line without its end is whole, the rest of a longer text is not.
    return "\n" * ("\n" in text and "\n" not in found) + found if found else None


def _accelerator(text: str) -> str | None:
    """The GPU's values, and of other lines the words that mark a virtual machine's."""
    values = r'[ |]*"(?:PerformanceStatistics|model|gpu-core-count|MetalPluginName)"\s*=.*\n?'
    lines = text.splitlines(keepends=True)
    pairs = ((line, re.match(values, line) or re.search(r"\w*Paravirt\w*", line)) for line in lines)
    return _joined(text, ((line, found[0]) for line, found in pairs if found))


def _battery(text: str) -> str | None:
    content = last_plist(text)
    if not isinstance(content, list):
        return None
    kept = [_picked(one, _BATTERY) if isinstance(one, dict) else {} for one in content]
    try:
        return plistlib.dumps(kept).decode()
    except (TypeError, ValueError, OverflowError):  # what a property list cannot hold was damaged
        return None


def _device_info(text: str) -> str | None:
    content = _picked(parse.literal(text), _DEVICE_INFO)
    return f"{content!r}\n" if content else None


def _picked(content: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The single values under these keys."""
    return {key: content[key] for key in keys if isinstance(content.get(key), str | int | float)}


def _control_groups(text: str) -> str | None:
    """Names of groups hold users, services and containers: they become numbers."""
    lines = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    kept = [line for line in lines if line[:2] == ["0", ""] or "memory" in line[1].split(",")]
    return "".join(f"{n}:{'memory' if c else ''}:{_numbered(path)}\n" for n, c, path in kept) or None


def _numbered(path: str) -> str:
    return "/" + "/".join(f"group{number}" for number, _ in enumerate(group_parts(path), 1))


def numbered_groups(text: str) -> Mapping[str, str]:
    """Folder of a control group → the folder under the name that `_control_groups` gives it."""
    found = {}
    for line in text.splitlines():
        *_, path = line.split(":", 2)
        parts = group_parts(path)
        for depth in range(1, len(parts) + 1):
            inner = "/".join(parts[:depth])
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
                found[f"{root}/{inner}"] = root + _numbered(inner)
    return found


_DEVICE_INFO = (
    "device_name",
    "architecture",
    "memory_size",
    "max_recommended_working_set_size",
    "max_buffer_length",
    "resource_limit",
)
_BATTERY = ("BatteryInstalled", "CurrentCapacity", "MaxCapacity", "ExternalConnected")
COMMANDS: Mapping[str, tuple[Question, _Keep]] = {
    "sysctl.txt": (SYSCTL, _lines(rf"(?:{'|'.join(map(re.escape, SYSCTL_KEYS))})[:=].*\n?")),
    "ioreg_IOAccelerator.txt": (GPU, _accelerator),
    "ioreg_AppleSmartBattery.plist": (BATTERY, _battery),
    "notifyutil_thermalpressurelevel.txt": (
        THERMAL,
        _lines(r"(?:com\.apple\.system\.thermalpressurelevel|Failed with code) .*\n?"),
    ),
    # Not what follows a number: programs that keep the machine awake.
    "pmset_g.txt": (
        POWER_MODE,
        _lines(
            r"(?:System-wide power settings|Currently in use|\w+ Power):"
            r"|\s*(?:\w*powermode(?:\s+\d+(?!\S))?|sleep\s+\d+)"
        ),
    ),
    "vm_stat.txt": (VM_STAT, _lines(r"(?:Mach Virtual Memory Statistics|Pages [a-z ]+):.*\n?")),
    "mlx_device_info.txt": (MLX_INFO, _device_info),
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


_PATTERNS: Mapping[str, str] = {
    r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b": "00000000-0000-0000-0000-000000000000",
    r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}\b": "00000000-0000000000000000",
    r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b": "00:00:00:00:00:00",
    r"(/Users|/home)/[^/\s\"'<]+": r"\1/user",
    r"[\w.+-]+@[\w-]+\.[\w.-]+": "user@example.org",
    # Serial numbers: 10 to 14 capitals and digits, both.
    r"\b(?=[0-9]*[A-Z])(?=[A-Z]*[0-9])[A-Z0-9]{10,14}\b": "XXXXXXXXXXXX",
}


def kept_file(path: str, text: str) -> str | None:
    """What is kept of a file of Linux, by its path or its name in a recording; nothing of one on no list."""
    name = recorded_name(path)
    keep = next((keep for pattern, keep in _PATHS.items() if fnmatch(name, recorded_name(pattern))), None)
    return keep(text) if keep else None


def masked(text: str) -> str:
    """The text without numbers, addresses and folders that identify its owner."""
    for pattern, instead in _PATTERNS.items():
        text = re.sub(pattern, instead, text)
    return text
