"""How much a training may take: batches cut into pieces that fit, threads and memory limits.

Pure arithmetic from facts, device and the size of the work. For two trainings at the same time, give each
its part of the memory as `working_set`; it can only be less than what the machine may give.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, NamedTuple

from runtime_lib.errors import CapacityError
from runtime_lib.hardware.device.device import METAL_SHARE, Device
from runtime_lib.hardware.device.memory import Size, Workload
from runtime_lib.hardware.read.chips import chips
from runtime_lib.hardware.read.facts import Facts

__all__ = ["ComputePlan", "Workload", "plan"]

# Where there is no Metal: a quarter stays with the system, its file cache and what else runs.
_CPU_SHARE = 0.75
# Memory sizes that Apple sells; chips.csv says up to which one a chip comes.
_MAC_GB = (8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)


@dataclass(frozen=True)
class ComputePlan:
    """What the work takes, and how it is cut. `None`: not known, or the device has no such limit."""

    device: Device
    batch_size: int
    # Parts of a batch; their gradients are added, so that each step is that of the whole batch.
    micro_batches: int
    # Rows that are predicted at once.
    predict_rows: int
    # Threads that compute.
    threads: int | None
    # What the work needs; what it may take; and, of that, what MLX may keep for later or hold resident.
    memory_bytes: int
    memory_limit_bytes: int | None
    cache_limit_bytes: int | None
    wired_limit_bytes: int | None
    reasons: tuple[str, ...]

    @property
    def micro_batch(self) -> int:
        """Rows of a micro-batch, at most."""
        return ceil(self.batch_size / self.micro_batches)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(
    facts: Facts,
    device: Device,
    work: Workload,
    *,
    working_set: int | None = None,
    allowed_by: str = "",
    cpus: int | None = None,
) -> ComputePlan:
    """Plan a training within the memory that it may take.

    Args:
        working_set: bytes it may take at most, as settings or a lease allow, or as CUDA says. What the
            facts say of the machine is never exceeded.
        allowed_by: the setting that allows no more than `working_set`, such as `hardware.memory_gib = 8`.
        cpus: CPUs that this process may use (default: from the facts).

    Raises:
        CapacityError: not even one row at a time fits; the message says by how many bytes and what would.
    """
    budget = _budget(facts, device, working_set, allowed_by)
    limit = budget.limit
    size = Size(device, work)
    if limit is not None and size.least > limit:
        raise _refusal(facts, size, budget)
    pieces, predicted = size.pieces(limit), size.predicted(limit)
    rows = ceil(work.batch_size / pieces)
    need = size.fixed + max(size.rows_bytes(rows), size.predict_bytes(predicted))
    threads, of_threads = _threads(facts, cpus)
    return ComputePlan(
        device=device,
        batch_size=work.batch_size,
        micro_batches=pieces,
        predict_rows=predicted,
        threads=threads,
        memory_bytes=need,
        memory_limit_bytes=limit,
        cache_limit_bytes=_cache(device, need, limit),
        wired_limit_bytes=need if _can_wire(facts, device) and limit is not None else None,
        reasons=(
            budget.why,
            f"{_amount(need)} for {work.parameters:,} parameters in float32 and {_rows(rows)} at a time",
            *_cut(work, pieces),
            of_threads,
            *_kept(device),
        ),
    )


class _Budget(NamedTuple):
    """Bytes that the work may take (None: not known), and why; what would do instead of a setting."""

    limit: int | None
    why: str
    setting: str = ""
    without: int | None = None


def _budget(facts: Facts, device: Device, working_set: int | None, allowed_by: str) -> _Budget:
    if device.name == "cuda":
        limit, why = None, "how much memory the CUDA device has is not known: no limit is set"
    else:
        limit, why = _of_machine(facts)
    if working_set is None or (limit is not None and limit <= working_set):
        return _Budget(limit, why)
    why = f"it may take {_amount(working_set)}, {allowed_by or 'the working set given'}"
    return _Budget(working_set, why, allowed_by, limit)


def _of_machine(facts: Facts) -> tuple[int | None, str]:
    """Bytes of the machine's memory that the work may take, and why."""
    memory = min((size for size in (facts.memory_bytes, facts.memory_limit_bytes) if size), default=None)
    if facts.working_set_bytes is not None:
        limit = min(facts.working_set_bytes, memory or facts.working_set_bytes)
        return limit, f"it may take {_amount(limit)}, the working set that Metal recommends"
    if memory is None:
        return None, "how much memory there is is not known: no limit is set"
    share = METAL_SHARE if _is_apple_silicon(facts) else _CPU_SHARE
    limit = int(memory * share)
    return limit, f"it may take {_amount(limit)}, {share:.0%} of {_amount(memory)}"


def _refusal(facts: Facts, size: Size, budget: _Budget) -> CapacityError:
    missing = size.least - (budget.limit or 0)
    machine = f"{facts.chip or 'this machine'} ({size.device.framework} on {size.device.name})"
    return CapacityError(
        f"The work needs {_amount(size.least)} on {machine}, with one row at a time (a smaller batch would "
        f"not help), and {budget.why}: {missing:,} bytes are missing. {_remedy(facts, size, budget)}",
        missing_bytes=missing,
    )


def _remedy(facts: Facts, size: Size, budget: _Budget) -> str:
    """What would fit, each worked out with the same sums."""
    work, limit, would = size.work, budget.limit or 0, []
    within = budget.without is None or size.least <= budget.without
    if budget.setting and within:
        would.append(f"with {_amount(size.least)} or more instead of {budget.setting}")
    if (fewer := (limit - size.least) // size.per_parameter + work.parameters) > 0:
        would.append(f"with at most {fewer:,} parameters")
    without = size.least - size.table
    if work.rows and without < limit:
        would.append(f"with at most {(limit - without) // work.sample_bytes:,} rows")
    if not (budget.setting and within) and (machine := _machine_for(facts, size.least)):
        would.append(machine)
    return f"It would fit {', or '.join(would)}." if would else "No change of one thing would make it fit."


def _machine_for(facts: Facts, size: int) -> str:
    """A machine like this one that gives so much; nothing where there is none on sale."""
    if facts.platform != "darwin":
        return f"on a machine with {_amount(ceil(size / _CPU_SHARE))} of memory"
    largest = max(chip.max_memory_bytes for chip in chips().values())
    macs = (gb for gb in _MAC_GB if gb * 2**30 <= largest and int(gb * 2**30 * METAL_SHARE) >= size)
    gb = next(macs, None)
    return f"on a Mac with {gb} GB of memory" if gb else ""


def _cache(device: Device, need: int, limit: int | None) -> int | None:
    """What MLX may keep of freed memory, to use again: as much as it needs, if there is so much."""
    return min(need, limit - need) if device.framework == "mlx" and limit is not None else None


def _can_wire(facts: Facts, device: Device) -> bool:
    """MLX holds memory resident on Metal, from macOS 15 on."""
    major = (facts.os_version or "").partition(".")[0]
    return device.framework == "mlx" and device.name == "gpu" and major.isdigit() and int(major) >= 15


def _threads(facts: Facts, cpus: int | None) -> tuple[int | None, str]:
    """Threads that compute: an efficiency core in the team makes the others wait for it."""
    levels = facts.core_levels or ()
    fast = [each for each in levels if each.name and each.name != "Efficiency"] or levels[:1]
    counts = [each.count for each in fast if each.count]
    if facts.platform == "darwin" and counts and len(counts) == len(fast):
        count = sum(counts)
        return count, f"{count} threads: the {' and '.join(each.name or 'fastest' for each in fast)} cores"
    count = cpus or facts.cpu_count or 0
    if not count:
        return None, "how many CPUs there are is not known: the framework decides on threads"
    return count, f"{count} threads: the CPUs that this process may use"


def _cut(work: Workload, pieces: int) -> tuple[str, ...]:
    whole = f"a batch of {work.batch_size:,}"
    return (f"{whole} does not fit at once: {pieces} micro-batches",) if pieces > 1 else ()


def _kept(device: Device) -> tuple[str, ...]:
    """Where nothing holds the work to its limit."""
    planned_only = device.framework == "torch" and device.name == "cpu"
    return ("torch has no memory limit on a CPU: it is planned with, not enforced",) if planned_only else ()


def _is_apple_silicon(facts: Facts) -> bool:
    known = (facts.chip or "").startswith("Apple") or facts.machine == "arm64"
    return facts.platform == "darwin" and known


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _amount(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
