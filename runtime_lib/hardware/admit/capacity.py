"""What a machine can ever give to work: a GPU to trust, and bytes of memory."""

from __future__ import annotations

from runtime_lib.hardware.device.device import METAL_SHARE, device_for
from runtime_lib.hardware.read.facts import Facts

__all__ = ["capacity", "has_apple_gpu", "has_gpu", "why_no_gpu"]


def has_gpu(facts: Facts, *, force: bool = False) -> bool:
    """Whether there is a GPU to trust: CUDA, or Metal on a Mac that is known not to be virtual.

    Args:
        force: take a virtual Mac's GPU too, although it may compute wrongly.
    """
    return bool(facts.cuda_devices) or has_apple_gpu(facts, force=force)


def has_apple_gpu(facts: Facts, *, force: bool = False) -> bool:
    """Whether there is a Metal GPU that this Python can use, and that is known not to be virtual."""
    device = device_for(facts, framework="torch", installed=("torch",), force_gpu=force)
    return device.name == "mps" and (force or facts.is_virtual is False)


def capacity(facts: Facts | None, *, gpu: bool = False) -> int | None:
    """The bytes that the machine can ever give, or None where that is unknown.

    On a Mac with `gpu` it is the working set that Metal recommends. The memory of CUDA devices is not known
    here: there it is the machine's.
    """
    if facts is None or facts.memory_bytes is None:
        return None
    bounds = [facts.memory_bytes, facts.memory_limit_bytes]
    if gpu and facts.platform == "darwin":
        bounds.append(facts.working_set_bytes or int(facts.memory_bytes * METAL_SHARE))
    return min(bound for bound in bounds if bound is not None)


def why_no_gpu(facts: Facts | None) -> str:
    """Why there is no GPU to trust, in words."""
    if facts is None or not has_apple_gpu(facts, force=True):
        return "no GPU that this Python can use is known on it"
    if facts.is_virtual:
        return "its GPU is virtual and may compute wrongly"
    return (
        "whether it is virtual is not known, and a virtual GPU may compute wrongly "
        "(hardware.force_gpu = true uses it all the same)"
    )
