"""The plan of a training on this machine, and what a run's page says of machine and plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod

from runtime_lib.hardware import Device, Facts, facts
from runtime_lib.hardware.limits import usable_cpus, working_set
from runtime_lib.hardware.plan import Plan, Workload, plan

__all__ = ["plan_for", "tags"]

Shapes = Mapping[str, tuple[int, ...]]

_FLOAT32 = 4
# Of each unit of a layer: what the linear map gives, what the activation and what dropout make of it.
_KEPT = 3


def plan_for(
    shapes: Shapes, device: Device, *, width: int, batch_size: int, rows: int = 0, training: bool = True
) -> Plan:
    """Plan with the facts of this machine and what the device's driver recommends.

    The networks compute in float32 only, so the plan takes nothing else.

    Args:
        shapes: of the network's parameters. width: columns of the encoded matrix.
        rows: of the training table, which lies on the device as a whole.

    Raises:
        CapacityError: not even one row at a time fits.
    """
    work = Workload(
        parameters=sum(prod(shape) for shape in shapes.values()),
        sample_bytes=_FLOAT32 * width,
        activation_bytes=_FLOAT32 * _KEPT * _units(shapes),
        batch_size=max(1, batch_size),  # an empty table is refused where it is judged
        rows=rows,
        training=training,
    )
    return plan(
        facts(), device, work, precisions=("float32",), working_set=working_set(device), cpus=usable_cpus()
    )


def tags(plan: Plan, machine: Facts | None = None) -> dict[str, str]:
    """Tags of a run: chip, device and why, framework, the plan as JSON, and a description to read."""
    chip = (machine or facts()).chip or "unknown"
    device = plan.device
    return {
        "mlops.chip": chip,
        "mlops.framework": device.framework,
        "mlops.device": device.name,
        "mlops.device_reason": device.reason,
        "mlops.plan": json.dumps(plan.to_dict()),
        # The name under which MLflow shows a description, as Markdown.
        "mlflow.note.content": (
            f"Trained on **{chip}** with **{device.framework}** on **{device.name}**: {device.reason}.\n\n"
            f"Plan: {'; '.join(plan.reasons)}."
        ),
    }


def _units(shapes: Shapes) -> int:
    """Outputs of all layers for one row: the first axis of each matrix (both frameworks keep it so).

    An estimate: a layer that is applied at many positions (a convolution, attention) counts once.
    """
    return sum(shape[0] for shape in shapes.values() if len(shape) > 1)
