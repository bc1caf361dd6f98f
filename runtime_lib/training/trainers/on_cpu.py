"""The plan of a trainer that computes on the CPU: memory by the table, threads by the machine."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.device import Device
from runtime_lib.settings import Settings
from runtime_lib.training.hold import plan_for

__all__ = ["cpu_plan"]

_FLOAT32 = 4


def cpu_plan(
    settings: Settings, framework: str, *, row_bytes: int, rows: int, training: bool = True
) -> ComputePlan:
    """Plan a fit on so many rows, or a prediction of them, in pieces as the memory allows.

    Args:
        row_bytes: what one row takes while the work runs, with every copy that the library makes of it.

    Raises:
        CapacityError: the table does not fit, or (a prediction) not even one row.
    """
    device = Device(framework, "cpu", "its trainer uses no GPU")
    found = plan_for(
        {},
        device,
        width=ceil(row_bytes / _FLOAT32),
        batch_size=1 if training else max(1, rows),
        rows=rows if training else 0,
        training=training,
        hardware=settings.hardware if training else None,
    )
    # It is the table that takes memory here: parameters come while the model grows, and are few.
    limit, _, *others = found.reasons
    need = f"{found.memory_bytes / 2**20:,.0f} MiB for {rows:,} rows of {row_bytes:,} bytes"
    return replace(found, reasons=(limit, need, *others))
