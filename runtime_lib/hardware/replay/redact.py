"""What of an answer goes into a recording, by the lists below, and nothing else.

That is what the parsers read, and beside it what a report of an error needs and millions of Macs share: the
build of macOS, the kinds of processor and GPU, MLX's limits, and the parts of a sample of powermetrics. An
answer in which the lists find nothing, or that cannot be parsed, is left out whole. What is left is masked
by patterns as well, should an identifier stand where none belongs.
"""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from typing import Any

from runtime_lib.hardware.read import parse
from runtime_lib.hardware.read import probe as ask
from runtime_lib.hardware.read.linux import group_parts
from runtime_lib.hardware.read.plist import last_plist
from runtime_lib.hardware.read.probe import Question, recorded_name

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
    """The GPU's values, and of other lines the words that tell a virtual machine's."""
    values = r'[ |]*"(?:PerformanceStatistics|model|gpu-core-count|MetalPluginName)"\s*=.*\n?'
    lines = text.splitlines(keepends=True)
    pairs = ((line, re.match(values, line) or re.search(r"\w*Paravirt\w*", line)) for line in lines)
    return _joined(text, ((line, found[0]) for line, found in pairs if found))


def _json(shape: Any) -> _Keep:
    def keep(text: str) -> str | None:
        try:
            return json.dumps(_picked(json.loads(text), shape), indent=2) + "\n"
        except (ValueError, RecursionError):
            return None

    return keep


def _plist(shape: Any) -> _Keep:
    def keep(text: str) -> str | None:
        content = _picked(last_plist(text), shape)
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
_HARDWARE = (
    "chip_type",
    "cpu_type",
    "machine_model",
    "number_processors",
    "platform_cpu_htt",
    "physical_memory",
)
_DISPLAYS = (
    "_name",
    "sppci_cores",
    "sppci_model",
    "spdisplays_metalfamily",
    "spdisplays_mtlgpufamilysupport",
)
_BATTERY = ("BatteryInstalled", "CurrentCapacity", "MaxCapacity", "ExternalConnected")
COMMANDS: Mapping[str, tuple[Question, _Keep]] = {
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
        _accelerator,
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
            r"(?:System-wide power settings|Currently in use|\w+ Power):"
            r"|\s*(?:\w*powermode(?:\s+\d+(?!\S))?|sleep\s+\d+)"
        ),
    ),
    "memory_pressure.txt": (
        ask.MEMORY,
        _lines(r"(?:The system has|System-wide memory free percentage).*\n?"),
    ),
    "vm_stat.txt": (ask.VM_STAT, _lines(r"(?:Mach Virtual Memory Statistics|Pages [a-z ]+):.*\n?")),
    "powermetrics.plist": (ask.POWER, _plist(_POWER)),
    "mlx_device_info.txt": (ask.MLX_INFO, _literal(*_DEVICE_INFO)),
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
    """The text without numbers, addresses and folders that tell whose machine it is."""
    for pattern, instead in _PATTERNS.items():
        text = re.sub(pattern, instead, text)
    return text
