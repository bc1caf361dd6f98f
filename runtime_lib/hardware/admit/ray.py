"""A Mac's GPU and unified memory as amounts that Ray schedules.

Ray knows CPUs and CUDA; of unified memory it knows nothing. A node offers what its own machine has
(`ray.init(resources=…)`, or `ray start --resources="$(mlops hardware --ray-resources)"` on each), tasks and
replicas ask for parts of it (`resources={"apple_gpu": 1, "unified_memory": 8 * 2**30}`), and Ray starts no
more at once than there is. Importing this needs no Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.admit.capacity import capacity, has_apple_gpu
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.read.facts import Facts

__all__ = ["APPLE_GPU", "UNIFIED_MEMORY", "asked", "misfit", "resources"]

APPLE_GPU, UNIFIED_MEMORY = "apple_gpu", "unified_memory"


def resources(facts: Facts, device: Device, *, force_gpu: bool = False) -> dict[str, float]:
    """What a machine offers to Ray; empty on anything but a Mac with an Apple chip and a GPU to trust.

    Args:
        device: the one chosen there: the GPU is not offered where work would not use it.
        force_gpu: offer the GPU of a virtual Mac too.

    Returns:
        `apple_gpu`: 1. `unified_memory`: bytes, the working set that Metal recommends (`with_working_set`
        asks it), else two thirds of the memory; left out where the memory is unknown.
    """
    if device.name not in ("gpu", "mps") or not has_apple_gpu(facts, force=force_gpu):
        return {}
    memory = capacity(facts, gpu=True)
    return {APPLE_GPU: 1.0, **({UNIFIED_MEMORY: float(memory)} if memory else {})}


def asked(demand: Demand, offered: Mapping[str, float]) -> dict[str, float]:
    """What work with this demand reserves on a machine that offers this; nothing without Apple's GPU."""
    if not demand.gpu or APPLE_GPU not in offered:
        return {}
    memory = {UNIFIED_MEMORY: float(demand.memory_bytes)} if demand.memory_bytes else {}
    return {APPLE_GPU: 1.0, **memory}


def misfit(wanted: Mapping[str, float], nodes: Iterable[Mapping[str, float]]) -> str | None:
    """Say why no node can ever take the work, or None. Ray itself would wait for such a node without end.

    Args:
        wanted: amounts by resource.
        nodes: what each node offers in all, as `ray.nodes()` gives it under `Resources`.
    """
    offers = list(nodes)
    if any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in offers):
        return None
    most = {name: max((node.get(name, 0) for node in offers), default=0) for name in wanted}
    short = [name for name, amount in wanted.items() if most[name] < amount]
    if not short:
        return f"No single node has {_words(wanted)} at once."
    return f"The work asks for {_words({n: wanted[n] for n in short})}, and no node has more than " + (
        f"{_words({n: most[n] for n in short})}."
    )


def _words(amounts: Mapping[str, float]) -> str:
    return " and ".join(
        f"{amount / 2**30:,.2f} GiB of {name}" if name == UNIFIED_MEMORY else f"{amount:g} {name}"
        for name, amount in amounts.items()
    )
