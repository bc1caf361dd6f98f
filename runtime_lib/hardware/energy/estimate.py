"""Energy of a piece of work: a figure with its kind and source, the estimate of one, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime_lib.hardware.read.chips import chip
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.settings import Hardware

__all__ = ["Cost", "Energy", "Part", "Work", "cost", "estimate", "figures", "nonsense"]

JOULES_PER_KWH = 3.6e6
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

    if why := nonsense(work):
        return unknown(why)
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


def nonsense(work: Work) -> str:
    """Why no figure can be had from these clocks, or nothing."""
    if work.slept_seconds > SLEEP_SECONDS:
        return f"the machine slept for {work.slept_seconds:.0f} s meanwhile"
    if work.seconds <= 0 or work.cpu_seconds < 0:
        return f"the clocks say {work.seconds:g} s, {work.cpu_seconds:g} s of them on the processor"
    return ""
