"""In what state the machine is right now. A reading that cannot be had is `None`, never a guess."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime_lib.hardware.read import linux, parse, readings
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.facts import facts as read_facts
from runtime_lib.hardware.read.probe import (
    BATTERY,
    GPU,
    POWER_MODE,
    SYSCTL,
    THERMAL,
    VM_STAT,
    Live,
    Probe,
)
from runtime_lib.hardware.replay.folder import this_machine

__all__ = ["SENSORS", "State", "state"]

# What may be read, by platform: a rule for unknown readings concerns only what the platform has.
SENSORS: Mapping[str, tuple[str, ...]] = {
    "darwin": ("thermal", "memory_pressure", "power_mode", "free_memory_bytes"),
    "linux": ("free_memory_bytes",),
}
# Every machine has memory, also one of which nothing else is known.
_ANYWHERE = ("free_memory_bytes",)

CACHE_SECONDS = 1.0


@dataclass(frozen=True)
class State:
    """Readings of one moment. `None` is unknown."""

    # Nominal, Moderate, Heavy, Trapping, Sleeping (macOS's OSThermalNotification.h).
    thermal: str | None = None
    # normal, warning, critical.
    memory_pressure: str | None = None
    # auto, low, high.
    power_mode: str | None = None
    on_battery: bool | None = None
    # 0 to 1.
    battery: float | None = None
    gpu_utilisation: float | None = None
    free_memory_bytes: int | None = None
    # Readings that this platform has: an unknown one of these is a failure, not an absence.
    expected: tuple[str, ...] = SENSORS["darwin"]
    # Reading → where its value comes from, in words; nothing for an unknown one.
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# A value with its source; the first that is known counts.
_Readings = Mapping[str, Sequence[tuple[Any, str]]]

_last: tuple[float, Facts, State] | None = None


def state(probe: Probe | None = None, *, facts: Facts | None = None) -> State:
    """Read the state of a machine; without root, all commands at the same time, none on Linux.

    An answer about this machine is kept for a second, so that a loop may ask as often as it likes.

    Args:
        probe: who answers (default: this machine).
        facts: those of the same machine, if they are at hand; else they are read.

    Returns:
        The readings. Those that cannot be had are None: a command that is missing, fails or hangs (after
        two seconds) takes only its own reading with it. Nothing is raised.
    """
    global _last
    # Before the reading, so that what took long is not kept beyond its time.
    now = time.monotonic()
    known = facts if facts is not None else read_facts(probe)
    if probe is not None:
        return _read(probe, known)
    if _last is None or now - _last[0] >= CACHE_SECONDS or _last[1] != known:
        _last = (now, known, _read(this_machine(), known))
    return _last[2]


def _read(probe: Probe, facts: Facts) -> State:
    if probe.platform == "darwin":
        found, missing = _mac(probe, facts)
    elif probe.platform == "linux":
        found, missing = _linux(probe), ()
    else:
        found, missing = {}, ()
    known = dict(_known(found))
    expected = SENSORS.get(probe.platform or "", _ANYWHERE)
    return State(
        **{name: value for name, (value, _) in known.items()},
        expected=tuple(name for name in expected if name not in missing),
        sources={name: source for name, (_, source) in known.items()},
    )


def _known(found: _Readings) -> Iterator[tuple[str, tuple[Any, str]]]:
    for name, candidates in found.items():
        for value, source in candidates:
            if value is not None:
                yield name, (value, source)
                break


def _mac(probe: Probe, facts: Facts) -> tuple[_Readings, tuple[str, ...]]:
    """The readings, and the sensors that this Mac does not have."""
    sysctl, thermal, modes, gpu, battery, pages = probe.ask(
        SYSCTL, THERMAL, POWER_MODE, GPU, BATTERY, VM_STAT
    )
    values = parse.sysctl("\n".join(sysctl))
    total = facts.memory_bytes
    charge = next(filter(_known_at_all, map(readings.battery, battery)), readings.Battery())
    pressure = readings.pressure_level(values)
    found: dict[str, list[tuple[Any, str]]] = {
        "thermal": [(readings.thermal(text), "notifyutil thermalpressurelevel") for text in thermal],
        "memory_pressure": [(pressure, "sysctl kern.memorystatus_vm_pressure_level")],
        "power_mode": [(readings.power_mode(text), "pmset -g") for text in modes],
        "on_battery": [(charge.in_use, "ioreg AppleSmartBattery")],
        "battery": [(charge.share, "ioreg AppleSmartBattery")],
        "gpu_utilisation": [(readings.gpu_utilisation(text), "ioreg IOAccelerator") for text in gpu],
        "free_memory_bytes": [
            *((_part(readings.free_level(text), total), "sysctl kern.memorystatus_level") for text in sysctl),
            *((readings.pages_available(text), "vm_stat") for text in pages),
        ],
    }
    missing = []
    if facts.is_virtual:
        # A virtual Mac has no such sensor, and a key that is not there reads 0 as well.
        found["thermal"], missing = [], ["thermal"]
    if False in map(readings.has_power_modes, modes):
        missing.append("power_mode")  # older and virtual Macs have none
    return found, tuple(missing)


def _linux(probe: Probe) -> _Readings:
    available = linux.meminfo(probe, "MemAvailable")
    room = readings.control_group_room(probe)
    limited = available is not None and room is not None and room < available
    return {
        "memory_pressure": [
            (readings.memory_stall(probe.read("/proc/pressure/memory") or ""), "/proc/pressure/memory")
        ],
        "free_memory_bytes": [(room, "the control group") if limited else (available, "/proc/meminfo")],
        "gpu_utilisation": [(_nvidia(), "NVML")] if isinstance(probe, Live) else [],
    }


def _nvidia() -> float | None:
    """Utilisation of the busiest CUDA device, 0 to 1, if the bindings and the driver are there."""
    if not Path("/proc/driver/nvidia").exists() or not find_spec("pynvml"):
        return None
    try:
        nvml: Any = import_module("pynvml")
        nvml.nvmlInit()
        devices = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
        return max((nvml.nvmlDeviceGetUtilizationRates(one).gpu / 100 for one in devices), default=None)
    except Exception:  # NVMLError and, with a driver of another version, missing functions
        return None


def _known_at_all(found: tuple[Any, ...]) -> bool:
    return any(value is not None for value in found)


def _part(percent: int | None, total: int | None) -> int | None:
    return total * percent // 100 if percent is not None and total is not None else None
