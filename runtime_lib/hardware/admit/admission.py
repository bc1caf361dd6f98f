"""May work start now? One pure function from readings and settings to run, wait, shrink or refuse.

`decide` asks these rules in this order. The strictest answer counts (refuse > wait > shrink > run), and the
reasons name each value and its threshold.

| rule | refuse | wait | shrink |
|---|---|---|---|
| GPU | asked for, and none to trust here | | |
| memory of the machine | less than the least that would do, or unknown | | less than the demand |
| unknown readings | `unknown = "refuse"` | `unknown = "wait"` | |
| on battery, its charge unknown | `unknown = "refuse"` | `unknown = "wait"` | |
| below `min_battery`, unknown whether on battery | `unknown = "refuse"` | `unknown = "wait"` | |
| thermal | | above `max_thermal`; Trapping and Sleeping always; longer the hotter | |
| memory pressure | | critical; warning, if the demand cannot shrink | warning |
| free memory | | less than the least that would do | less than the demand |
| power mode | | low, unless known to be on mains power | |
| battery | | on battery, below `min_battery` | |

Unknown readings: only those in `state.expected` count, so a Linux server is not held up for want of a thermal
level; of the battery, which not every machine has, the charge where it is in use, and whether it is in use
where the charge is low. A machine that says neither is taken to have none. With `unknown = "run"` they are
flagged in the reasons.

A GPU to trust is CUDA's, or a Mac's that is known not to be virtual. `choose_device` also takes one of which
that is unknown, for it lets the GPU compute an example first; these rules have nothing but facts.

Hysteresis: pass the last decision as `previous`. Work that waited for heat starts again one level below
`max_thermal` (at Nominal, where there is none below); for memory pressure at normal; for free memory with a
tenth more than the least that would do; for the battery with 5 points more. Otherwise a machine at a
threshold would start and stop with every reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.admit.capacity import capacity, has_gpu, why_no_gpu
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.readings import PRESSURES, THERMAL
from runtime_lib.hardware.read.state import State
from runtime_lib.settings import Hardware

__all__ = ["Admission", "Demand", "decide"]

Action = Literal["run", "wait", "shrink", "refuse"]

_BY_STRICTNESS: tuple[Action, ...] = ("run", "shrink", "wait", "refuse")
# Each level with the seconds after which it is worth another look: heat leaves a machine slowly.
_THERMAL: Mapping[str, int] = dict(zip(THERMAL, (0, 30, 60, 300, 600), strict=True))
_PRESSURE: Mapping[str, int] = dict(zip(PRESSURES, (0, 30, 60), strict=True))
_SECONDS = {"unknown": 60, "free_memory_bytes": 30, "power_mode": 300, "battery": 300}
_MEMORY_MARGIN, _BATTERY_MARGIN = 0.1, 0.05


@dataclass(frozen=True)
class Demand:
    """What work takes: bytes, the bytes it can shrink to (0: it cannot), and whether it needs a GPU."""

    memory_bytes: int = 0
    least_memory_bytes: int = 0
    gpu: bool = False

    def __post_init__(self) -> None:
        """
        Raises:
            SettingsError: negative, or the least is more than the whole.
        """
        if not 0 <= self.least_memory_bytes <= max(self.memory_bytes, 0) or self.memory_bytes < 0:
            raise SettingsError(
                f"A demand of {self.memory_bytes} bytes that can shrink to {self.least_memory_bytes}: give "
                f"two numbers of bytes, the second no more than the first."
            )

    @classmethod
    def of(cls, hardware: Hardware, *, gpu: bool = False) -> Demand:
        """What `settings.hardware` says that a training takes."""
        return cls(int(hardware.memory_gib * 2**30), int(hardware.least_memory_gib * 2**30), gpu)

    @property
    def least(self) -> int:
        """The bytes below which the work cannot start."""
        return self.least_memory_bytes or self.memory_bytes


@dataclass(frozen=True)
class Admission:
    """The answer. `seconds` belongs to wait, `memory_bytes` to shrink; a reason is a sentence."""

    action: Action
    seconds: int = 0
    memory_bytes: int | None = None
    reasons: tuple[str, ...] = ()
    # Readings that have to get better, by their names in `State`: what the next decision remembers.
    waiting_for: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def decide(
    state: State,
    policy: Hardware,
    *,
    demand: Demand = Demand(),
    facts: Facts | None = None,
    previous: Admission | None = None,
) -> Admission:
    """Answer whether work may start on a machine, by the rules at the top of this file.

    Args:
        state: readings of the machine that would do the work.
        policy: the thresholds, table `hardware` of the settings.
        demand: what the work takes.
        facts: the same machine's facts; without them its memory and GPU are unknown, so a demand for
            either is refused.
        previous: the last decision on the same work, for the hysteresis.
    """
    waited = frozenset(previous.waiting_for) if previous else frozenset()
    case = _Case(state, policy, demand, facts, waited)
    findings = list(_findings(case))
    action = max([_BY_STRICTNESS[0], *(finding.action for finding in findings)], key=_BY_STRICTNESS.index)
    decisive = [finding for finding in findings if finding.action == action]
    amounts = [finding.memory_bytes for finding in decisive if finding.memory_bytes is not None]
    # It was bad when it was last seen.
    unseen = waited & {"battery" if name == "on_battery" else name for name in _unknown(case)}
    topics = [finding.topic for finding in decisive if finding.topic != "unknown"]
    return Admission(
        action,
        seconds=max((finding.seconds for finding in decisive), default=0),
        memory_bytes=min(amounts, default=None),
        reasons=tuple(f.reason for f in findings if f.action == action or f.topic == "unknown"),
        waiting_for=tuple(dict.fromkeys([*topics, *sorted(unseen)])) if action == "wait" else (),
    )


@dataclass(frozen=True)
class _Case:
    state: State
    policy: Hardware
    demand: Demand
    facts: Facts | None
    waited: frozenset[str]


@dataclass(frozen=True)
class _Finding:
    """What one rule says about one topic: a reading's name, `gpu`, `capacity` or `unknown`."""

    topic: str
    action: Action
    reason: str
    seconds: int = 0
    memory_bytes: int | None = field(default=None, kw_only=True)


def _findings(case: _Case) -> Iterator[_Finding]:
    for rule in (_gpu, _capacity, _unknown_readings, _thermal, _pressure, _free, _power_mode, _battery):
        if finding := rule(case):
            yield finding


def _gpu(case: _Case) -> _Finding | None:
    if not case.demand.gpu or (case.facts and has_gpu(case.facts, force=case.policy.force_gpu)):
        return None
    reason = f"The work needs a GPU, and this machine has none to trust: {why_no_gpu(case.facts)}."
    return _Finding("gpu", "refuse", reason)


def _capacity(case: _Case) -> _Finding | None:
    demand, ever = case.demand, capacity(case.facts, gpu=case.demand.gpu)
    if demand.memory_bytes == 0 or (ever is not None and demand.memory_bytes <= ever):
        return None
    if ever is None:
        reason = (
            f"The work needs {_bytes(demand.least)}, and this machine's memory is unknown: what cannot be "
            f"checked is not promised."
        )
        return _Finding("capacity", "refuse", reason)
    if demand.least > ever:
        reason = f"The work needs {_bytes(demand.least)}, and this machine can give {_bytes(ever)} at most."
        return _Finding("capacity", "refuse", reason)
    reason = f"The work asks for {_bytes(demand.memory_bytes)}; this machine can give {_bytes(ever)} at most."
    return _Finding("capacity", "shrink", reason, memory_bytes=ever)


def _unknown_readings(case: _Case) -> _Finding | None:
    unknown = _unknown(case)
    if not unknown:
        return None
    action = case.policy.unknown
    reason = f"Unknown, and this platform should know: {', '.join(unknown)} (hardware.unknown = {action!r})."
    return _Finding("unknown", action, reason, _SECONDS["unknown"] if action == "wait" else 0)


def _unknown(case: _Case) -> tuple[str, ...]:
    known = {"thermal": _THERMAL, "memory_pressure": _PRESSURE, "power_mode": ("auto", "low", "high")}
    expected = (
        name
        for name in case.state.expected
        if (value := getattr(case.state, name, None)) is None or value not in known.get(name, (value,))
    )
    return tuple(dict.fromkeys([*expected, *_unknown_of_battery(case)]))


def _unknown_of_battery(case: _Case) -> Iterator[str]:
    """Of charge and use the one that the other makes needed."""
    charge, in_use = _charge(case), case.state.on_battery
    if in_use and charge is None:
        yield "battery"
    if in_use is None and charge is not None and charge < _least_charge(case):
        yield "on_battery"


def _thermal(case: _Case) -> _Finding | None:
    now = case.state.thermal
    if now is None or now not in _THERMAL:
        return None
    limit = THERMAL.index(case.policy.max_thermal)
    if "thermal" in case.waited:
        limit = max(limit - 1, 0)
    if THERMAL.index(now) <= limit:
        return _Finding("thermal", "run", f"Thermal pressure {now}, allowed up to {THERMAL[limit]}.")
    again = ", to start again after a wait" if "thermal" in case.waited else ""
    reason = f"Thermal pressure {now}, allowed up to {THERMAL[limit]}{again}."
    return _Finding("thermal", "wait", reason, _THERMAL[now])


def _pressure(case: _Case) -> _Finding | None:
    now, topic = case.state.memory_pressure, "memory_pressure"
    if now is None or now not in _PRESSURE:
        return None
    if now == "normal":
        return _Finding(topic, "run", "Memory pressure normal.")
    least = case.demand.least_memory_bytes
    if now == "warning" and least and topic not in case.waited:
        # Little is known of how much is free under pressure: take the least.
        reason = f"Memory pressure warning, allowed normal: shrink to {_bytes(least)}."
        return _Finding(topic, "shrink", reason, memory_bytes=least)
    return _Finding(topic, "wait", f"Memory pressure {now}, allowed normal.", _PRESSURE[now])


def _free(case: _Case) -> _Finding | None:
    free, demand, topic = case.state.free_memory_bytes, case.demand, "free_memory_bytes"
    if free is None or demand.memory_bytes == 0:
        return None
    least = _least_to_start(case)
    if free < least:
        again = ", a margin above what would do, to start after a wait" if least > demand.least else ""
        reason = f"{_bytes(free)} of memory free, {_bytes(least)} needed{again}."
        return _Finding(topic, "wait", reason, _SECONDS[topic])
    if free < demand.memory_bytes:
        reason = f"{_bytes(free)} of memory free, {_bytes(demand.memory_bytes)} asked for."
        return _Finding(topic, "shrink", reason, memory_bytes=free)
    return _Finding(topic, "run", f"{_bytes(free)} of memory free, {_bytes(demand.memory_bytes)} needed.")


def _least_to_start(case: _Case) -> int:
    """The least that would do; after a wait with a margin, which the machine must be able to reach."""
    least = case.demand.least
    if "free_memory_bytes" not in case.waited:
        return least
    room = (capacity(case.facts, gpu=case.demand.gpu) or 0) - least
    return least + max(min(int(least * _MEMORY_MARGIN), room // 2), 0)


def _power_mode(case: _Case) -> _Finding | None:
    # On mains power nothing would end the wait: there the mode is how the owner always wants it.
    if case.state.power_mode != "low" or case.state.on_battery is False:
        return None
    reason = "Low-power mode is on (power_mode low): connect the charger, or turn the mode off."
    return _Finding("power_mode", "wait", reason, _SECONDS["power_mode"])


def _battery(case: _Case) -> _Finding | None:
    charge, limit = _charge(case), _least_charge(case)
    if not case.state.on_battery or charge is None:
        return None
    again = " to start again after a wait" if "battery" in case.waited else ""
    reason = f"On battery with {charge:.0%} left, {limit:.0%} needed{again}"
    if charge >= limit:
        return _Finding("battery", "run", f"{reason}.")
    return _Finding("battery", "wait", f"{reason}: connect the charger.", _SECONDS["battery"])


def _charge(case: _Case) -> float | None:
    charge = case.state.battery
    return charge if charge is not None and 0 <= charge <= 1 else None


def _least_charge(case: _Case) -> float:
    """The charge to start with on battery; after a wait with a margin, which a full battery has."""
    margin = _BATTERY_MARGIN if "battery" in case.waited else 0
    return min(case.policy.min_battery + margin, 1)


def _bytes(number: int) -> str:
    return f"{number / 2**30:,.2f} GiB"
