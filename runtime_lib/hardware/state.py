"""In what state the machine is right now. A reading that cannot be had is `None`, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["SENSORS", "State", "state"]

# What may be read, by platform: a rule for unknown readings concerns only what the platform has.
SENSORS: Mapping[str, tuple[str, ...]] = {
    "darwin": ("thermal", "memory_pressure", "power_mode", "free_memory_bytes"),
    "linux": ("free_memory_bytes",),
}


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
    # Of CPU, GPU and Neural Engine together, where measured.
    power_watts: float | None = None
    # Readings that this platform has: an unknown one of these is a failure, not an absence.
    expected: tuple[str, ...] = SENSORS["darwin"]
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def state() -> State:
    """Read the state of this machine."""
    raise NotImplementedError
