"""The decision about this machine, made on it: once, or until work may start."""

from __future__ import annotations

import logging
import time

from runtime_lib.errors import UnfitError
from runtime_lib.hardware.admit.admission import Admission, Demand, Policy, decide
from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.probe import this_machine
from runtime_lib.hardware.read.state import state

__all__ = ["admit", "decide_here"]

_log = logging.getLogger(__name__)


def decide_here(policy: Policy, demand: Demand, previous: Admission | None = None) -> Admission:
    """Read this machine anew, and decide."""
    probe = this_machine()
    machine = facts(probe)
    return decide(state(probe, facts=machine), policy, demand=demand, facts=machine, previous=previous)


def admit(policy: Policy, demand: Demand) -> Admission:
    """Return once work may start on this machine; while it may not, say why and sleep.

    Raises:
        UnfitError: never on this machine, or not within `policy.max_wait` seconds.
    """
    deadline, previous = time.monotonic() + policy.max_wait, None
    while (decision := decide_here(policy, demand, previous)).action == "wait":
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
