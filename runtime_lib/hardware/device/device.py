"""Which devices a machine with given facts has, best first: MLX on Metal → torch MPS → torch CUDA → CPU.

Pure: asks no framework, so it answers for replayed machines too. choice.py tries the devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from runtime_lib.errors import MissingExtraError, SettingsError
from runtime_lib.hardware.read.facts import Facts

__all__ = ["METAL_SHARE", "NUMPY", "Answers", "Device", "Framework", "candidates", "device_for"]

Framework = Literal["auto", "mlx", "torch"]
# What a server may be told to answer with: numpy trains nothing.
Answers = Literal["auto", "mlx", "torch", "numpy"]

# Of the memory, where the working set that Metal recommends is not known: the least of what was seen on
# every machine measured (0.67, M4 with 16 GB, to 0.84).
METAL_SHARE = 0.66


@dataclass(frozen=True)
class Device:
    """What computes (mlx, torch, or a trainer's library), the device's name in it, and why in words."""

    framework: str
    name: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


NUMPY = Device("numpy", "cpu", "numpy answers on the CPU: a small network needs no framework for that")


def device_for(
    facts: Facts,
    *,
    framework: Framework = "auto",
    installed: Sequence[str] = ("mlx", "torch"),
    force_gpu: bool = False,
) -> Device:
    """Say where a machine with these facts would compute. Asks no framework: also for replayed machines.

    Args:
        installed: which of `mlx` and `torch` there are.
        force_gpu: use the GPU of a virtual Mac, which may compute wrongly without an error.

    Raises:
        MissingExtraError: the framework asked for, or with `auto` both, are not installed.
        SettingsError: no such framework, or MLX for a Python that it does not exist for.
    """
    return next(candidates(facts, framework, installed, force_gpu))


def candidates(facts: Facts, framework: str, installed: Sequence[str], force_gpu: bool) -> Iterator[Device]:
    """Devices of a machine, best first; the last ones are CPUs."""
    wanted = _wanted(facts, framework, installed)
    metal, why = _metal(facts, force_gpu)
    cuda = bool(facts.cuda_devices) and "torch" in wanted
    if metal and "mlx" in wanted:
        yield Device("mlx", "gpu", f"MLX computes on Metal: {why}")
    if metal and "torch" in wanted:
        left_out = "not asked for" if "mlx" in installed else "not installed"
        yield Device("torch", "mps", f"torch computes on Apple's MPS, with MLX {left_out}: {why}")
    if cuda:
        yield Device("torch", "cuda", f"torch computes on CUDA: {', '.join(facts.cuda_devices)}")
    no_gpu = "its GPU is not used" if metal or cuda else why
    # MLX is made for Metal: its CPU build trains a small network 5 to 15 times slower than torch (measured
    # with MLX 0.32 and torch 2.13 on the same two cores).
    if "torch" in wanted:
        no_cuda = "" if facts.platform == "darwin" or metal or cuda else ", and no CUDA device"
        yield Device("torch", "cpu", f"torch computes on the CPU: {no_gpu}{no_cuda}")
    if "mlx" in wanted:
        yield Device("mlx", "cpu", f"MLX computes on the CPU, where it is slow: {no_gpu}")


def _wanted(facts: Facts, framework: str, installed: Sequence[str]) -> tuple[str, ...]:
    if framework not in ("auto", "mlx", "torch"):
        raise SettingsError(f"framework = {framework!r}: choose 'auto', 'mlx' or 'torch'.")
    if framework == "auto" and not installed:
        raise MissingExtraError("torch", "auto")
    if framework != "auto" and framework not in installed:
        raise MissingExtraError(framework, framework)
    wanted = tuple(installed) if framework == "auto" else (framework,)
    if facts.platform == "darwin" and (facts.is_translated or facts.machine == "x86_64"):
        wanted = tuple(name for name in wanted if name != "mlx")
        if not wanted:
            raise SettingsError(
                "framework = 'mlx': MLX exists only for arm64 Python on Apple silicon, and this Python is "
                "x86_64. Install an arm64 Python, or choose 'torch'."
            )
    return wanted


def _metal(facts: Facts, force_gpu: bool) -> tuple[bool, str]:
    """Whether a machine has a Metal GPU to compute on, and the reason either way."""
    name = facts.chip or f"{facts.machine or 'unknown'} machine"
    if facts.platform != "darwin":
        return False, f"there is no Metal on {facts.platform or 'an unknown platform'}"
    if facts.is_translated:
        return False, "this Python is translated by Rosetta: install an arm64 Python to use the GPU"
    if facts.chip and not facts.chip.startswith("Apple"):
        return False, f"an Intel Mac ({name}): neither MLX nor torch uses its GPU"
    if facts.machine == "x86_64":
        return False, "this Python is x86_64: install an arm64 Python to use the GPU"
    if not facts.chip and facts.machine != "arm64":
        return False, "neither chip nor processor of this Mac is known"
    if facts.is_virtual and not force_gpu:
        return False, (
            f"{name} is virtual: such a GPU computes wrongly without an error "
            "(hardware.force_gpu = true uses it all the same)"
        )
    if facts.is_virtual:
        return True, f"{name} is virtual, and hardware.force_gpu takes its GPU all the same"
    if facts.is_virtual is None:
        return True, f"{name}; whether it is virtual is not known, and it is taken as real"
    return True, name
