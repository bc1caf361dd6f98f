"""The plan of a training on this machine, and its share of the machine while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod

from runtime_lib.hardware import Device, Facts, facts
from runtime_lib.hardware.admit.capacity import capacity
from runtime_lib.hardware.device.compute_plan import ComputePlan, Workload, plan
from runtime_lib.hardware.device.limits import usable_cpus, working_set
from runtime_lib.hardware.share.lease import lease
from runtime_lib.settings import Hardware, Settings
from runtime_lib.units import from_gib

__all__ = ["held", "plan_for"]

Shapes = Mapping[str, tuple[int, ...]]

_FLOAT32 = 4
# Of each unit of a layer: what the linear map gives, what the activation and what dropout make of it.
_KEPT = 3


def plan_for(
    shapes: Shapes,
    device: Device,
    *,
    width: int,
    batch_size: int,
    rows: int = 0,
    training: bool = True,
    hardware: Hardware | None = None,
    units: int | None = None,
) -> ComputePlan:
    """Plan with the facts of this machine and what the device's driver recommends.

    Args:
        shapes: of the network's parameters. width: columns of the encoded matrix.
        rows: of the training table, which lies on the device as a whole.
        hardware: the settings, which may allow less than the machine does.
        units: numbers that all layers give for one row (default: what the shapes say).

    Raises:
        CapacityError: not even one row at a time fits.
    """
    work = Workload(
        parameters=sum(prod(shape) for shape in shapes.values()),
        sample_bytes=_FLOAT32 * width,
        activation_bytes=_FLOAT32 * _KEPT * (_units(shapes) if units is None else units),
        batch_size=max(1, batch_size),  # an empty table is refused where it is judged
        rows=rows,
        training=training,
    )
    machine, measured = facts(), working_set(device)
    bounds = [*([(measured, "")] if measured else ()), *(_allowed(hardware, machine) if hardware else ())]
    least, setting = min(bounds, default=(None, ""))
    if machine.working_set_bytes is None and device.name in ("gpu", "mps"):
        # Metal itself knows better than a share of the memory.
        machine = replace(machine, working_set_bytes=measured)
    return plan(
        machine,
        device,
        work,
        working_set=least,
        allowed_by=setting,
        cpus=usable_cpus(),
    )


def _allowed(hardware: Hardware, machine: Facts) -> Iterator[tuple[int, str]]:
    """Bytes, and the setting that allows no more."""
    if hardware.memory_gib:
        yield from_gib(hardware.memory_gib), f"hardware.memory_gib = {hardware.memory_gib:g}"
    if hardware.memory_share and (whole := capacity(machine)):
        yield int(hardware.memory_share * whole), f"hardware.memory_share = {hardware.memory_share:g}"


@contextmanager
def held(settings: Settings, plans: Sequence[ComputePlan]) -> Iterator[None]:
    """Hold a share of this machine while the block runs: what the largest of these plans needs.

    One after the other is carried out in it, each within its own limits (`limits.applied`).

    Raises:
        BusyError: other projects held too much of the machine for `hardware.max_wait` seconds.
    """
    # In a container the whole is what its control group allows.
    ours, whole = settings.hardware, capacity(facts())
    need = max(plan.memory_bytes for plan in plans) / whole if whole else 0.0
    # Leases are counted in thousandths, and even a small work takes one.
    memory = ours.memory_share or min(1.0, max(need, 0.001))
    gpu = 0.0 if all(plan.device.name == "cpu" for plan in plans) else ours.gpu_share or 1.0
    share = lease(
        memory=memory,
        gpu=gpu,
        project=settings.project.name,
        priority=ours.priority,
        timeout=float(ours.max_wait),
    )
    with share:
        yield


def _units(shapes: Shapes) -> int:
    """Outputs of all layers for one row: the first axis of each matrix (both frameworks keep it so).

    An estimate: a layer that is applied at many positions (a convolution, attention) counts once, unless its
    module has `units`.
    """
    return sum(shape[0] for shape in shapes.values() if len(shape) > 1)
