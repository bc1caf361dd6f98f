"""How much a training may take: batches cut into pieces that fit, precision, threads and memory limits.

Pure arithmetic from facts, device and the size of the work. Who wants the memory of two trainings side by
side gives each its part as `working_set`; it can only be less than what the machine may give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, NamedTuple

from runtime_lib.errors import CapacityError, SettingsError
from runtime_lib.hardware.device.choice import METAL_SHARE, Device
from runtime_lib.hardware.device.memory import Size, Workload
from runtime_lib.hardware.read.chips import chips
from runtime_lib.hardware.read.facts import Facts

__all__ = ["PRECISIONS", "ComputePlan", "Workload", "plan"]

PRECISIONS = ("float32", "bfloat16", "float16")

# Where there is no Metal: a quarter stays with the system, its file cache and what else runs.
_CPU_SHARE = 0.75
# Memory sizes that Apple sells; chips.csv says up to which one a chip comes.
_MAC_GB = (8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)


@dataclass(frozen=True)
class ComputePlan:
    """What the work takes, and how it is cut. `None`: not known, or the device has no such limit."""

    device: Device
    precision: str
    batch_size: int
    # Parts of a batch; their gradients are added, so that each step is that of the whole batch.
    micro_batches: int
    # Rows that are predicted at once.
    predict_rows: int
    # Processes that load data, and threads that compute.
    workers: int
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
    precisions: Sequence[str] = PRECISIONS,
    working_set: int | None = None,
    allowed_by: str = "",
    cpus: int | None = None,
) -> ComputePlan:
    """Plan a training within the memory that it may take.

    Args:
        precisions: which of `PRECISIONS` the work can compute in. float32 is taken where it fits; another
            only if it fits where float32 does not, and the device has it and computes right in it.
        working_set: bytes it may take at most, as settings or a lease allow, or as CUDA says. What the
            facts say of the machine is never exceeded.
        allowed_by: the setting that allows no more than `working_set`, such as `hardware.memory_gib = 8`.
        cpus: CPUs that this process may use (default: from the facts).

    Raises:
        CapacityError: not even one row at a time fits; the message says by how many bytes and what would.
        SettingsError: the workload is not one, or the device has none of `precisions`.
    """
    budget = _budget(facts, device, working_set, allowed_by)
    limit = budget.limit
    wanted, size = _sizes(facts, device, work, precisions, budget)
    pieces, predicted = size.pieces(limit), size.predicted(limit)
    rows = ceil(work.batch_size / pieces)
    need = size.fixed + max(size.rows_bytes(rows), size.predict_bytes(predicted))
    threads, of_threads = _threads(facts, cpus)
    return ComputePlan(
        device=device,
        precision=size.precision,
        batch_size=work.batch_size,
        micro_batches=pieces,
        predict_rows=predicted,
        workers=_workers(facts, work, threads),
        threads=threads,
        memory_bytes=need,
        memory_limit_bytes=limit,
        cache_limit_bytes=_cache(device, need, limit),
        wired_limit_bytes=need if _can_wire(facts, device) and limit is not None else None,
        reasons=(
            budget.why,
            f"{_amount(need)} for {work.parameters:,} parameters in {size.precision} and "
            f"{_rows(rows)} at a time",
            *_cut(work, pieces),
            *_narrowed(wanted, size, limit),
            *_distrusted(device, precisions),
            of_threads,
            *_kept(device),
        ),
    )


def _sizes(
    facts: Facts, device: Device, work: Workload, precisions: Sequence[str], budget: _Budget
) -> tuple[Size, Size]:
    """The work's size in the precision that is wanted first, and in the first that fits."""
    usable = [each for each in PRECISIONS if each in precisions and _has(facts, device, each)]
    if not usable:
        raise SettingsError(
            f"precision {', '.join(map(repr, precisions))}: {device.framework} on {device.name} of "
            f"{facts.chip or 'this machine'} does not have it, or computes wrongly in it. Take 'float32'."
        )
    sizes = [Size(device, work, precision) for precision in usable]
    fitting = (each for each in sizes if budget.limit is None or each.least <= budget.limit)
    if (size := next(fitting, None)) is None:
        raise _refusal(facts, sizes[0], budget)
    return sizes[0], size


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


def _has(facts: Facts, device: Device, precision: str) -> bool:
    """Whether the device computes in this precision, and right, as far as facts and self-check tell."""
    if precision in device.wrong:
        return False
    if precision == "float32":
        return True
    if device.name == "cuda":
        return precision == "float16"  # bfloat16 only from Ampere on, which the facts do not tell
    if device.name == "cpu":
        return precision == "bfloat16"
    # Apple GPUs have float16 always, and bfloat16 of their own from M2 on (M1 emulates it).
    return precision == "float16" or (facts.generation or 1) >= 2


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
    halves = [replace(size, precision=each) for each in PRECISIONS[1:] if _has(facts, size.device, each)]
    if half := next((each for each in halves if each.least <= limit), None):
        would.append(f"in {half.precision}, if the network can compute in it")
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
    if facts.platform == "darwin" and levels:
        fast = [each for each in levels if each.name and each.name != "Efficiency"] or levels[:1]
        count = sum(each.count for each in fast)
        return count, f"{count} threads: the {' and '.join(each.name or 'fastest' for each in fast)} cores"
    count = cpus or facts.cpu_count or 0
    if not count:
        return None, "how many CPUs there are is not known: the framework decides on threads"
    return count, f"{count} threads: the CPUs that this process may use"


def _workers(facts: Facts, work: Workload, threads: int | None) -> int:
    """Processes that load data: none for a table in memory, and none on a Mac, where they would be
    spawned anew (a forked process crashes in Metal) and cannot share unified memory with the GPU."""
    return 0 if work.rows or facts.platform == "darwin" else max((threads or 1) - 1, 0)


def _cut(work: Workload, pieces: int) -> tuple[str, ...]:
    whole = f"a batch of {work.batch_size:,}"
    return (f"{whole} does not fit at once: {pieces} micro-batches",) if pieces > 1 else ()


def _kept(device: Device) -> tuple[str, ...]:
    """Where nothing holds the work to its limit."""
    planned_only = device.framework == "torch" and device.name == "cpu"
    return ("torch has no memory limit on a CPU: it is planned with, not enforced",) if planned_only else ()


def _narrowed(wanted: Size, taken: Size, limit: int | None) -> tuple[str, ...]:
    if taken.precision == wanted.precision or limit is None:
        return ()
    return (f"{taken.precision}, since {wanted.precision} misses {wanted.least - limit:,} bytes",)


def _distrusted(device: Device, precisions: Sequence[str]) -> tuple[str, ...]:
    wrong = [each for each in precisions if each in device.wrong]
    return (f"not in {' or '.join(wrong)}: the device computes wrongly in it",) if wrong else ()


def _is_apple_silicon(facts: Facts) -> bool:
    known = (facts.chip or "").startswith("Apple") or facts.machine == "arm64"
    return facts.platform == "darwin" and known


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _amount(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
