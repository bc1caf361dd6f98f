"""What a replica takes of its machine, and what a machine offers to Ray."""

from __future__ import annotations

from importlib.util import find_spec

from runtime_lib.hardware import facts
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.admit.ray import resources
from runtime_lib.hardware.device.device import NUMPY, Answers, Device, device_for
from runtime_lib.hardware.device.limits import with_working_set
from runtime_lib.settings import Hardware
from runtime_lib.units import from_gib

__all__ = ["demand", "device", "offered"]


def offered(hardware: Hardware, framework: Answers) -> dict[str, float]:
    """What this machine offers to Ray; of a Mac's memory, what Metal recommends."""
    chosen = device(hardware, framework)
    return resources(with_working_set(facts(), chosen), chosen, force_gpu=hardware.force_gpu)


def demand(hardware: Hardware, framework: Answers) -> Demand:
    """What a replica takes on the machine that this runs on."""
    size = from_gib(hardware.serving_memory_gib)
    return Demand(memory_bytes=size, gpu=bool(offered(hardware, framework)))


def device(hardware: Hardware, framework: Answers) -> Device:
    """By the facts alone: what tries the device belongs into the replica."""
    if framework == "numpy":
        return NUMPY
    installed = tuple(name for name in ("mlx", "torch") if find_spec(name))
    if not installed:
        return Device("none", "cpu", "no framework of networks is installed")
    return device_for(facts(), framework=framework, installed=installed, force_gpu=hardware.force_gpu)
