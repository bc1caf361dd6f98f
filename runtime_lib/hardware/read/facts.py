"""What machine this is. A fact that cannot be read is `None`, never a guess; each names its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from runtime_lib.hardware.read import linux, mac
from runtime_lib.hardware.read.chips import CoreLevel
from runtime_lib.hardware.read.probe import Live, Probe
from runtime_lib.hardware.replay.folder import replayed, this_machine

__all__ = ["Facts", "facts"]


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
    # Of `Apple M4 Max`: 4 and "Max"; "base" where no word follows.
    generation: int | None = None
    variant: str | None = None
    model: str | None = None
    # Fastest first.
    core_levels: tuple[CoreLevel, ...] | None = None
    gpu_cores: int | None = None
    neural_engine_cores: int | None = None
    memory_bandwidth_gbs: float | None = None
    os_version: str | None = None
    # The GPU's Metal plug-in (`AGXMetalG16G_B0`).
    metal: str | None = None
    # What the control group allows, where that is less than `memory_bytes` (Linux).
    memory_limit_bytes: int | None = None
    # What Metal recommends a process to use at most; a framework has to be asked (`with_working_set`).
    working_set_bytes: int | None = None
    # Names of CUDA devices.
    cuda_devices: tuple[str, ...] = ()
    # Field → where its value comes from, in words.
    sources: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def facts(probe: Probe | None = None) -> Facts:
    """Read the facts of a machine: one call of `sysctl` and one of `ioreg` on a Mac, files alone on Linux.

    Args:
        probe: who answers (default: this machine, asked once per process).
    """
    return _this(replayed()) if probe is None else _read(probe)


@cache
def _this(replay: str | None) -> Facts:
    """Of the machine, or of the recording read instead: a notebook may change that."""
    return _read(this_machine())


def _read(probe: Probe) -> Facts:
    readers = {"darwin": mac.read_facts, "linux": linux.read_facts}
    if read := readers.get(probe.platform or ""):
        found, sources = read(probe)
    else:
        found, sources = {}, {}
    if isinstance(probe, Live) and probe.here:
        _ask_python(found, sources)
    required = ("machine", "chip", "cpu_count", "memory_bytes", "is_virtual", "is_translated")
    return Facts(platform=probe.platform, **{**dict.fromkeys(required), **found}, sources=sources)


def _ask_python(found: dict[str, Any], sources: dict[str, str]) -> None:
    """Add what Python knows of the machine that it runs on."""
    import platform

    if found.get("machine") == "arm64" and platform.machine() == "x86_64":
        # The commands may be native where this process is not.
        found["is_translated"], sources["is_translated"] = True, "platform.machine, on an Apple chip"
    for name, value, source in (
        ("machine", platform.machine() or None, "platform.machine"),
        ("cpu_count", os.cpu_count(), "os.cpu_count"),
    ):
        if found.get(name) is None and value is not None:
            found[name], sources[name] = value, source
