"""Hardware: what machine is this, and what may it run. Imports no framework unless asked."""

from runtime_lib.hardware.device.choice import choose_device
from runtime_lib.hardware.device.device import Device, device_for
from runtime_lib.hardware.read.facts import Facts, facts

__all__ = ["Device", "Facts", "choose_device", "device_for", "facts"]
