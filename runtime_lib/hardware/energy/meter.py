"""What a piece of work cost in energy: measured where the machine has counters, else estimated from the
sourced table of chips, else unknown. No figure goes without its kind and its source.

    with meter(facts()) as used:
        train()
    print(used.energy.joules, used.energy.kind, used.energy.source)
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.energy.counters import POWERCAP, Apple, Counted, Counter, Nvml, Rapl, Ticker
from runtime_lib.hardware.energy.estimate import Energy, Part, Work, estimate, nonsense
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.state import state
from runtime_lib.hardware.replay.folder import replayed

__all__ = ["Used", "meter"]

# How often the GPU's utilisation is asked for while nothing counts joules.
GPU_SECONDS = 5.0


_UNFINISHED = Energy(None, "unknown", "the work is still going on", 0.0)


@dataclass
class Used:
    """Filled in when the `with` block of `meter` ends, by an exception too."""

    energy: Energy = _UNFINISHED


@contextmanager
def meter(facts: Facts, *, device: Device | None = None, powercap: Path = POWERCAP) -> Iterator[Used]:
    """Meter the energy of the block. A meter that fails changes the figure's kind, never the block's result.

    Counters count the whole machine: of two blocks at the same time, each gets the energy of both.

    Args:
        facts: the machine, as `runtime_lib.hardware.facts()` reads it.
        device: where the work computes. A figure is then `measured` only if that part of the machine was,
            and the counters of a GPU that the work leaves alone are not read. Default: whatever there is.
        powercap: the tree of RAPL's counters (Linux).
    """
    part: Part | None = None if device is None else "CPU" if device.name == "cpu" else "GPU"
    used, running = Used(), _Running(facts, part, powercap)
    try:
        yield used
    finally:
        used.energy = running.stop()


class _Running:
    """Open counters and clocks. Neither opening nor stopping raises: failures become words."""

    def __init__(self, facts: Facts, part: Part | None, powercap: Path) -> None:
        self._facts, self._part = facts, part
        self._problems: list[str] = []
        self._counters: list[Counter] = []
        for open_counter in self._ways(powercap):
            with self._noting():
                self._counters.append(open_counter())
        self._gpu: list[float] = []
        self._asks_gpu = facts.platform == "darwin" and part != "CPU"
        self._ticker: Ticker | None = None
        if self._asks_gpu and not self._counters:
            with self._noting():
                self._ticker = Ticker(GPU_SECONDS, self._ask_gpu)
        self._start = _clocks()

    def stop(self) -> Energy:
        awake, everything, cpu = (now - then for now, then in zip(_clocks(), self._start, strict=True))
        work = Work(awake, cpu, slept_seconds=everything - awake)
        counted: list[Counted] = []
        for counter in self._counters:
            with self._noting():
                counted.append(counter.stop())
        if self._ticker:
            with suppress(Exception):  # no reading is no sample
                self._ticker.stop()
        if folder := replayed():
            return Energy(None, "unknown", f"the machine is replayed from {folder}", work.seconds)
        if why := nonsense(work) or _nonsense_counted(counted):
            return Energy(None, "unknown", why, work.seconds)
        energy = self._measured(counted, work.seconds)
        if energy is None:
            energy = estimate(self._facts, replace(work, gpu=self._mean_gpu()), part=self._part)
        return replace(energy, source="; ".join([energy.source, *self._problems]))

    def _ways(self, powercap: Path) -> Iterator[Callable[[], Counter]]:
        """The counters that this machine may have and that concern the work."""
        if self._facts.platform == "linux":
            if powercap.is_dir():
                yield lambda: Rapl(powercap)
            if self._part != "CPU" and (self._facts.cuda_devices or self._part == "GPU"):
                yield Nvml
        elif self._facts.platform == "darwin" and self._facts.machine == "arm64":
            if self._facts.is_virtual is False:
                yield Apple
            elif self._facts.is_virtual is None:
                self._problems.append("not metered: this may be a virtual machine, where the meter can crash")

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a driver or a package raises, the work goes on
            self._problems.append(f"not metered: {type(error).__name__}: {error}"[:300])

    def _measured(self, counted: Sequence[Counted], seconds: float) -> Energy | None:
        parts = {name: value for each in counted for name, value in each.parts.items()}
        known = {name: value for name, value in parts.items() if value is not None}
        if not counted:
            return None
        worked = {name: value for name, value in known.items() if name.startswith(self._part or "")}
        if not worked:
            self._problems.append(f"nothing counts the {self._part or 'machine'}, where the work ran")
            return None
        if not any(worked.values()):  # nothing works without energy
            self._problems.append(f"what counts {', '.join(worked)} did not move")
            return None
        words = f"{' and '.join(each.source for each in counted)}, all processes: {' + '.join(known)}"
        if absent := ", ".join(name for name, value in parts.items() if value is None):
            words += f"; no counter for {absent}"
        if not any(name.startswith("CPU") for name in known):
            words += "; the processor is not counted"
        return Energy(sum(known.values()), "measured", words, seconds)

    def _ask_gpu(self) -> None:
        if (utilisation := state(facts=self._facts).gpu_utilisation) is not None:
            self._gpu.append(utilisation)

    def _mean_gpu(self) -> float | None:
        if self._asks_gpu and not self._gpu:  # work too short for the thread, or counters that failed late
            with suppress(Exception):
                self._ask_gpu()
        return sum(self._gpu) / len(self._gpu) if self._gpu else None


def _nonsense_counted(counted: Sequence[Counted]) -> str:
    """Why no figure can be had from these counters, or nothing."""
    parts = [(name, value) for each in counted for name, value in each.parts.items() if value is not None]
    if reset := [f"{name} {value:g} J" for name, value in parts if value < 0]:
        return f"a counter was reset meanwhile: {', '.join(reset)}"
    if failed := [f"{name} {value:g} J" for name, value in parts if not math.isfinite(value)]:
        return f"a counter gave no number: {', '.join(failed)}"
    return ""


def _clocks() -> tuple[float, float, float]:
    """Seconds awake, seconds awake or asleep, and CPU seconds of this process and its ended children."""
    if sys.platform == "darwin":
        awake, everything = time.CLOCK_UPTIME_RAW, time.CLOCK_MONOTONIC_RAW
    else:
        awake, everything = time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    return time.clock_gettime(awake), time.clock_gettime(everything), cpu
