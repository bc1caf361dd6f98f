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
from typing import TYPE_CHECKING, Literal

from runtime_lib.hardware.device.choice import Device
from runtime_lib.hardware.energy.counters import POWERCAP, Apple, Counted, Counter, Nvml, Rapl, Ticker
from runtime_lib.hardware.read.chips import chip
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.probe import replayed

if TYPE_CHECKING:
    from runtime_lib.settings import Hardware

__all__ = ["Cost", "Energy", "Used", "Work", "cost", "estimate", "figures", "meter"]

JOULES_PER_KWH = 3.6e6
# How often the GPU's utilisation is asked for while nothing counts joules.
GPU_SECONDS = 5.0
# The clocks that do and do not count sleep are read one after the other: a scheduler's pause is no sleep.
SLEEP_SECONDS = 0.5

Part = Literal["CPU", "GPU"]


@dataclass(frozen=True)
class Energy:
    """Energy of a piece of work that took `seconds`; `source` says in words where the figure comes from.

    `joules` is None exactly where `kind` is `unknown`.
    """

    joules: float | None
    kind: Literal["measured", "estimated", "unknown"]
    source: str
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What the energy cost: money in `currency`, CO2 in grams; None where no price or figure is known."""

    money: float | None
    currency: str
    co2_grams: float | None


@dataclass(frozen=True)
class Work:
    """What the clocks say about a piece of work.

    `seconds` of wall time while the machine was awake, `cpu_seconds` of this process and of its children
    that have ended, `slept_seconds` asleep, and the mean utilisation of the GPU (0 to 1), where known.
    """

    seconds: float
    cpu_seconds: float
    slept_seconds: float = 0.0
    gpu: float | None = None


@dataclass
class Used:
    """Filled in when the `with` block of `meter` ends, by an exception too."""

    energy: Energy = Energy(None, "unknown", "the work is still going on", 0.0)


@contextmanager
def meter(facts: Facts, *, device: Device | None = None, powercap: Path = POWERCAP) -> Iterator[Used]:
    """Meter the energy of the block. A meter that fails changes the figure's kind, never the block's result.

    Counters count the whole machine: of two blocks side by side, each gets the energy of both.

    Args:
        facts: the machine, as `runtime_lib.hardware.read.facts()` reads it.
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
        if nonsense := _nonsense(work) or _nonsense_counted(counted):
            return Energy(None, "unknown", nonsense, work.seconds)
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
        from runtime_lib.hardware.read.state import state

        if (utilisation := state(facts=self._facts).gpu_utilisation) is not None:
            self._gpu.append(utilisation)

    def _mean_gpu(self) -> float | None:
        if self._asks_gpu and not self._gpu:  # work too short for the thread, or counters that failed late
            with suppress(Exception):
                self._ask_gpu()
        return sum(self._gpu) / len(self._gpu) if self._gpu else None


def estimate(facts: Facts, work: Work, *, part: Part | None = None) -> Energy:
    """Estimate from the wall watts that the table of chips holds, sources included (chips.csv).

    P = idle + (max - idle) x load, and E = P x seconds. The load is the larger of two shares: CPU seconds
    over seconds x cores, and the GPU's mean utilisation. It is the straight line between a machine's idle
    and its busiest power, a textbook model of servers: Fan, Weber and Barroso, "Power provisioning for a
    warehouse-sized computer", ISCA 2007, https://doi.org/10.1145/1250662.1250665 (their measured curve
    lies above the line in between).

    Its limits: the watts are those of a desktop Mac at the wall, with everything in it (power supply,
    memory, disk, fans) and no display, so that they are more than a meter on the chip shows and differ
    from a laptop's; the maximum is one of a processor under test, and a GPU or a Neural Engine that is
    busy too goes unseen; a slow core counts as much as a fast one; what other processes compute is not
    in, the idle machine wholly is; a child process counts when it has ended.

    Args:
        part: where the work ran. With `GPU`, an unknown utilisation makes the energy unknown.

    Returns:
        `estimated`, or `unknown` with the reason: no watts for the chip, a virtual machine, another system
        than macOS, clocks that make no sense.
    """

    def unknown(reason: str) -> Energy:
        return Energy(None, "unknown", reason, work.seconds)

    if nonsense := _nonsense(work):
        return unknown(nonsense)
    if facts.is_virtual:
        return unknown("what a virtual machine draws from its host is not known")
    watts = _watts(facts)
    if watts is None:
        return unknown(f"no sourced watts for {facts.chip or 'a chip without a name'}")
    if facts.platform != "darwin":
        return unknown(f"the watts of {facts.chip} are those of macOS, and this is {facts.platform}")
    if not facts.cpu_count:
        return unknown("the number of cores is not known")
    if part == "GPU" and work.gpu is None:
        return unknown("the work ran on the GPU, and how busy that was is not known")
    (idle, most), (load, busy) = watts, _load(work, facts.cpu_count)
    source = (
        f"a desktop Mac with {facts.chip} at the wall (chips.csv): {idle:g} W idle to {most:g} W, "
        f"load {load:.0%} ({busy})"
    )
    return Energy((idle + (most - idle) * load) * work.seconds, "estimated", source, work.seconds)


def _load(work: Work, cores: int) -> tuple[float, str]:
    """The larger share of CPU and GPU, 0 to 1, and both in words."""
    shares = {"CPU": min(1.0, work.cpu_seconds / (work.seconds * cores))}
    if work.gpu is not None:
        shares["GPU"] = min(1.0, work.gpu)
    words = [f"{name} {share:.0%}" for name, share in shares.items()]
    return max(shares.values()), ", ".join(words if "GPU" in shares else [*words, "GPU not counted"])


def cost(energy: Energy, hardware: Hardware) -> Cost:
    """Price the energy with `[hardware]` price_per_kwh, and its CO2 with grid_intensity (g/kWh)."""

    def times(rate: float | None) -> float | None:
        return None if rate is None or energy.joules is None else energy.joules / JOULES_PER_KWH * rate

    return Cost(times(hardware.price_per_kwh), hardware.currency, times(hardware.grid_intensity))


def figures(energy: Energy, cost: Cost) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics (known ones only) and the tags that a run's record takes."""
    values = {
        "energy_joules": energy.joules,
        "energy_cost": cost.money,
        "energy_co2_grams": cost.co2_grams,
    }
    tags = {"mlops.energy_kind": energy.kind, "mlops.energy_source": energy.source}
    if cost.money is not None:
        # A small training costs far less than a cent.
        amount = f"{cost.money:.4f}" if cost.money >= 0.001 or cost.money == 0 else f"{cost.money:.1e}"
        tags["mlops.energy_cost"] = f"{amount} {cost.currency}"
    return {name: value for name, value in values.items() if value is not None}, tags


def _watts(facts: Facts) -> tuple[float, float] | None:
    found = chip(facts.chip)
    if found is None or found.idle_watts is None or found.max_watts is None:
        return None
    return found.idle_watts, found.max_watts


def _nonsense(work: Work) -> str:
    """Why no figure can be had from these clocks, or nothing."""
    if work.slept_seconds > SLEEP_SECONDS:
        return f"the machine slept for {work.slept_seconds:.0f} s meanwhile"
    if work.seconds <= 0 or work.cpu_seconds < 0:
        return f"the clocks tell {work.seconds:g} s, {work.cpu_seconds:g} s of them on the processor"
    return ""


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
