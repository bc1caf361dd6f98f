"""A plan's limits set in the framework, and what was there before put back on the way out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.replay.folder import replayed

__all__ = ["applied", "usable_cpus", "with_working_set", "working_set"]

# Setters, each with the value to put back; with an empty list where there is none, or none any more.
_Step = tuple[Callable[[Any], object], list[Any]]


@contextmanager
def applied(plan: ComputePlan) -> Iterator[None]:
    """Keep the plan's framework within its limits for as long as the block runs.

    By default both frameworks go beyond what Metal recommends (MLX 1.5 times, torch 1.7 times), and Macs
    have panicked there (mlx #3186, #3346). Limits and threads are the process's: do not nest blocks of
    different threads. Restored after the block's end, an exception and Ctrl-C, whenever it comes.
    """
    undo: list[_Step] = []
    try:
        try:
            if plan.device.framework == "mlx":
                _limit_mlx(plan, undo)
            elif plan.device.framework == "torch":
                _limit_torch(plan, undo)
            # The other libraries are given their threads with each fit, and have no limits of memory.
            yield
        finally:
            _put_back(reversed(undo))
    finally:
        # What a Ctrl-C or an error left; from the other end, so that one that fails keeps none from it.
        _put_back(undo)


def working_set(device: Device) -> int | None:
    """Bytes that the device's driver lets a process use; None where it does not say (CPUs)."""
    if device.name == "gpu":
        import mlx.core as mx

        size = mx.device_info().get("max_recommended_working_set_size")
        return int(size) if size else None
    if device.name not in ("mps", "cuda"):
        return None
    import torch

    if device.name == "mps":
        return int(torch.mps.recommended_max_memory()) or None
    return int(torch.cuda.get_device_properties(0).total_memory)


def with_working_set(facts: Facts, device: Device) -> Facts:
    """The facts of this Mac with the memory that Metal recommends, asked through the device's framework.

    Call it where that framework is used anyway: it is imported here, though only for a Mac's GPU. Where Metal
    does not answer, and under a replay, the facts stay as they are.
    """
    if device.name not in ("gpu", "mps") or facts.working_set_bytes is not None or replayed():
        return facts
    try:
        size = working_set(device)
    except Exception:  # whatever a broken framework raises: whoever computes with it meets it again
        return facts
    if not size:
        return facts
    words = "Metal, by mlx device_info" if device.name == "gpu" else "Metal, by torch.mps"
    return replace(facts, working_set_bytes=size, sources={**facts.sources, "working_set_bytes": words})


def usable_cpus() -> int | None:
    """CPUs that this process may run on, where the system says so (Linux)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _put_back(undo: Iterable[_Step]) -> None:
    for setter, before in undo:
        for value in before:
            setter(value)
        before.clear()


def _limit_mlx(plan: ComputePlan, undo: list[_Step]) -> None:
    import mlx.core as mx

    limits = (
        (mx.set_memory_limit, plan.memory_limit_bytes),
        (mx.set_cache_limit, plan.cache_limit_bytes),
        (mx.set_wired_limit, plan.wired_limit_bytes),
    )
    for set_limit, value in limits:
        if value is not None:
            # The setter returns the limit before, and there is no getter. The way back is there first, and
            # `extend` fills it in C: no Ctrl-C comes in between.
            before: list[int] = []
            undo.append((set_limit, before))
            before.extend(map(set_limit, [value]))


def _limit_torch(plan: ComputePlan, undo: list[_Step]) -> None:
    import torch

    if plan.threads:
        undo.append((torch.set_num_threads, [torch.get_num_threads()]))
        torch.set_num_threads(plan.threads)
    if plan.memory_limit_bytes is None:
        return
    if plan.device.name == "mps":
        share = plan.memory_limit_bytes / torch.mps.recommended_max_memory()
        undo.append((torch.mps.set_per_process_memory_fraction, [_mps_default()]))
        torch.mps.set_per_process_memory_fraction(_share(share, most=2.0))
    elif plan.device.name == "cuda":
        share = plan.memory_limit_bytes / torch.cuda.get_device_properties(0).total_memory
        set_fraction = torch.cuda.set_per_process_memory_fraction
        undo.append((set_fraction, [torch.cuda.get_per_process_memory_fraction()]))
        set_fraction(_share(share, most=1.0))


def _share(share: float, *, most: float) -> float:
    """Within what torch takes. Not 0, which it takes for no limit at all."""
    return max(min(share, most), 0.001)


def _mps_default() -> float:
    """What torch started with; it has no getter: its documented default, or the variable over it."""
    try:
        return float(os.environ["PYTORCH_MPS_HIGH_WATERMARK_RATIO"])
    except (KeyError, ValueError):
        return 1.7
