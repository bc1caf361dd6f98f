"""What machine this is. A fact that cannot be read is `None`, never a guess."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["CoreLevel", "Facts", "facts"]


@dataclass(frozen=True)
class CoreLevel:
    """Cores of one kind: `Super`, `Performance`, `Efficiency`, or `Standard` where there is only one."""

    name: str | None
    count: int


@dataclass(frozen=True)
class Facts:
    """What does not change while the machine runs. `None` is unknown, never a default."""

    platform: str | None
    machine: str | None
    chip: str | None
    cpu_count: int | None
    memory_bytes: int | None
    is_virtual: bool | None
    is_translated: bool | None
    generation: int | None = None
    variant: str | None = None
    model: str | None = None
    # Fastest first.
    core_levels: tuple[CoreLevel, ...] | None = None
    gpu_cores: int | None = None
    neural_engine_cores: int | None = None
    memory_bandwidth_gbs: float | None = None
    os_version: str | None = None
    metal: str | None = None
    # What the control group allows, where that is less than `memory_bytes` (Linux).
    memory_limit_bytes: int | None = None
    # What Metal recommends a process to use at most, from `mx.device_info`.
    working_set_bytes: int | None = None
    # Names of CUDA devices.
    cuda_devices: tuple[str, ...] = ()
    # Field → where its value comes from, in words.
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@cache
def facts() -> Facts:
    """Read the facts of this machine; about 10 ms on a Mac, no subprocess on Linux."""
    return _mac() if platform.system() == "Darwin" else _linux()


def _mac() -> Facts:
    values = _sysctl(
        "machdep.cpu.brand_string", "hw.memsize", "kern.hv_vmm_present", "sysctl.proc_translated"
    )
    chip = values.get("machdep.cpu.brand_string")
    memory = values.get("hw.memsize", "")
    return Facts(
        platform="darwin",
        machine=platform.machine(),
        chip=chip,
        cpu_count=os.cpu_count(),
        memory_bytes=int(memory) if memory.isdigit() else None,
        is_virtual=(chip is not None and "(Virtual)" in chip) or _truth(values.get("kern.hv_vmm_present")),
        # Absent on Intel, where nothing is translated.
        is_translated=_truth(values.get("sysctl.proc_translated", "0")),
    )


def _linux() -> Facts:
    cpu = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return Facts(
        platform=platform.system().lower(),
        machine=platform.machine(),
        chip=model.group(1).strip() if model else None,
        cpu_count=os.cpu_count(),
        memory_bytes=int(memory.group(1)) * 1024 if memory else None,
        is_virtual=" hypervisor" in cpu if "flags" in cpu else None,
        is_translated=False,
    )


def _sysctl(*names: str) -> dict[str, str]:
    """Ask for several keys at once; `-i` leaves unknown ones out instead of failing."""
    try:
        done = subprocess.run(
            ["sysctl", "-i", *names], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition(": ") for line in done.stdout.splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}


def _truth(value: str | None) -> bool | None:
    return {"0": False, "1": True}.get(value or "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
