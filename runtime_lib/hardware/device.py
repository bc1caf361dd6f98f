"""Which device computes, and why: MLX on Metal → torch MPS → torch CUDA → CPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

from runtime_lib.errors import MissingExtraError, SettingsError
from runtime_lib.hardware.facts import facts

__all__ = ["Device", "choose_device"]


@dataclass(frozen=True)
class Device:
    """A framework, the device's name in it, and the reason in words."""

    framework: Literal["mlx", "torch"]
    name: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@cache
def choose_device(framework: Literal["auto", "mlx", "torch"] = "auto") -> Device:
    """Choose where to compute on this machine.

    Raises:
        MissingExtraError: the framework asked for, or with `auto` both, are not installed.
    """
    if framework not in ("auto", "mlx", "torch"):
        raise SettingsError(f"framework = {framework!r}: choose 'auto', 'mlx' or 'torch'.")
    if framework == "mlx" or (framework == "auto" and find_spec("mlx") and _metal()):
        return _mlx()
    if framework == "auto" and not find_spec("torch"):
        return _mlx()  # the only one installed, or a message that names the extra
    return _torch()


def _mlx() -> Device:
    if not find_spec("mlx"):
        raise MissingExtraError("mlx", "mlx")
    if _metal():
        return Device("mlx", "gpu", "MLX finds Metal on this Mac")
    return Device(
        "mlx", "cpu", "MLX is asked for or the only framework here, and there is no Metal GPU to trust"
    )


def _torch() -> Device:
    if not find_spec("torch"):
        raise MissingExtraError("torch", "torch")
    import torch

    if torch.backends.mps.is_available() and not facts().is_virtual:
        return Device("torch", "mps", "torch finds Apple's MPS; MLX is not installed or not asked for")
    if torch.cuda.is_available():
        return Device("torch", "cuda", f"torch finds {torch.cuda.get_device_name(0)}")
    return Device("torch", "cpu", "no GPU that MLX or torch can use")


def _metal() -> bool:
    """Metal, and real: the GPU of a virtual Mac gives wrong results without an error."""
    import mlx.core as mx

    return bool(mx.metal.is_available()) and not facts().is_virtual
