"""The decision about this machine, made on it: once, or until work may start."""

from __future__ import annotations

import logging
import time

from runtime_lib.errors import UnfitError
from runtime_lib.hardware.admit.admission import Admission, Demand, decide
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.device.limits import with_working_set
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.state import state
from runtime_lib.hardware.replay.folder import this_machine
from runtime_lib.settings import Hardware

__all__ = ["admit", "decide_here"]

_log = logging.getLogger(__name__)


def decide_here(
    policy: Hardware, demand: Demand, previous: Admission | None = None, *, device: Device | None = None
) -> Admission:
    """Read this machine again, and decide.

    Args:
        device: where the work computes, in this process: Metal is then asked how much memory it recommends.
    """
    probe = this_machine()
    machine = facts(probe) if device is None else with_working_set(facts(probe), device)
    return decide(state(probe, facts=machine), policy, demand=demand, facts=machine, previous=previous)


def admit(policy: Hardware, demand: Demand, *, device: Device | None = None) -> Admission:
    """Return once work may start on this machine; while it may not, say why and sleep.

    Raises:
        UnfitError: never on this machine, or not within `policy.max_wait` seconds.
    """
    deadline, previous = time.monotonic() + policy.max_wait, None
    while (decision := decide_here(policy, demand, previous, device=device)).action == "wait":
        reasons, left = " ".join(decision.reasons), deadline - time.monotonic()
        if left <= 0:
            raise UnfitError(
                f"This machine was not fit for work for {policy.max_wait} s (hardware.max_wait). {reasons}"
            )
        pause = min(decision.seconds, left)
        _log.warning("This machine has to wait before it may work; next look in %.0f s. %s", pause, reasons)
        time.sleep(pause)
        previous = decision
    if decision.action == "refuse":
        raise UnfitError(f"This machine refuses the work. {' '.join(decision.reasons)}")
    _log.info("Hardware: %s. %s", decision.action, " ".join(decision.reasons))
    return decision
