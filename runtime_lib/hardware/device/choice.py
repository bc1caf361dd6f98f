"""The device that this process computes on: the best one that is there and computes right."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec

from runtime_lib.errors import DeviceError
from runtime_lib.hardware.device.device import NUMPY, Answers, Device, Framework, candidates
from runtime_lib.hardware.read.facts import Facts, facts

__all__ = ["choose_device", "choose_to_answer"]


@cache
def choose_device(framework: Framework = "auto", *, force_gpu: bool = False) -> Device:
    """Choose where to compute on this machine: the best device that is there and computes right.

    Each framework is asked for its device, and the device computes a small example (selfcheck.py), once in a
    process. One that fails is passed over, and the reason says so.

    Args:
        force_gpu: use the GPU of a virtual Mac, which may compute wrongly without an error. What is
            wrong in the example is refused all the same.

    Raises:
        MissingExtraError: the framework asked for, or with `auto` both, are not installed.
        SettingsError: no such framework, or MLX for a Python that it does not exist for.
        DeviceError: nothing here computes right, not even a CPU.
    """
    refused: list[str] = []
    for device in candidates(_with_cuda(facts(), framework), framework, _installed(), force_gpu):
        if why := _unfit(device):
            refused.append(f"{device.framework} on {device.name} is passed over: {why}")
        else:
            return replace(device, reason="; ".join([device.reason, *refused]))
    raise DeviceError(f"Nothing computes right here: {'; '.join(refused)}. Reinstall with `uv sync`.")


def choose_to_answer(framework: Answers = "auto", *, force_gpu: bool = False) -> Device:
    """Choose where a small network answers: as `choose_device`, but `auto` takes numpy in the place of a CPU.

    Where there is no GPU by the facts, no framework is imported, or need be installed.

    Raises:
        MissingExtraError, SettingsError, DeviceError: as `choose_device`, of a framework that is asked for.
    """
    if framework == "numpy":
        return NUMPY
    if framework != "auto":
        return choose_device(framework, force_gpu=force_gpu)
    installed = _installed()
    if not installed or next(candidates(facts(), framework, installed, force_gpu)).name == "cpu":
        return NUMPY
    # A GPU may prove unfit.
    device = choose_device(framework, force_gpu=force_gpu)
    return NUMPY if device.name == "cpu" else device


def _installed() -> tuple[str, ...]:
    return tuple(name for name in ("mlx", "torch") if find_spec(name))


def _with_cuda(facts: Facts, framework: str) -> Facts:
    """The facts with the CUDA devices that torch finds, where they name none."""
    if facts.cuda_devices or facts.platform == "darwin" or framework == "mlx" or not find_spec("torch"):
        return facts
    try:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception:  # the self-check of the CPU meets it again, and says it
        return facts
    return replace(facts, cuda_devices=tuple(names))


def _unfit(device: Device) -> str | None:
    """Why the device is not used, or None."""
    from runtime_lib.hardware.device.selfcheck import check

    try:
        if not _there(device.name):
            return f"{device.framework} does not find it"
        wrong = check(device.framework, device.name)
    except Exception as error:  # whatever a broken framework or driver raises, the next one is tried
        return f"{type(error).__name__}: {error}"
    return f"it computes wrongly: {wrong[0]}" if wrong else None


def _there(name: str) -> bool:
    if name == "cpu":
        return True
    if name == "gpu":
        import mlx.core as mx

        return bool(mx.metal.is_available())
    import torch

    return torch.backends.mps.is_available() if name == "mps" else torch.cuda.is_available()
