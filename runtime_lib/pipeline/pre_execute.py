"""The gate in front of an Airflow task: may it start on this worker now?

Airflow calls it on the worker, in the task's own process, just before the command. What `decide` says there:

| decision | the task |
|---|---|
| run | runs; the reasons are in its log |
| shrink | runs with `MLOPS_HARDWARE__MEMORY_GIB` set to the smaller amount, which bounds its plan |
| wait | is rescheduled: it holds no slot of the worker, and comes back to be asked again |
| wait, for longer than `hardware.max_wait` | fails without a retry |
| refuse | fails without a retry |

Of Airflow's ways to wait, raising `AirflowRescheduleException` from `pre_execute` is the one that fits: a
retry would use up tries, and a deferral needs a triggerer, which may run on another machine than the worker.
Between two tries the last decision is kept in Airflow's own task state store (since 3.3), so that the
hysteresis works whichever process or worker asks next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from runtime_lib.hardware.admit.admission import Admission, Demand
from runtime_lib.hardware.admit.here import decide_here
from runtime_lib.settings import Hardware
from runtime_lib.units import GIB

__all__ = ["gate"]

_KEY = "mlops_hardware_gate"
_MEMORY = "MLOPS_HARDWARE__MEMORY_GIB"
_log = logging.getLogger(__name__)


class _Waiting(msgspec.Struct, frozen=True):
    """What is remembered between two looks: since when, in which try of the task, and the last decision."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    attempt: int
    decision: Admission


def gate(policy: Hardware, demand: Demand | None = None) -> Callable[[Mapping[str, Any]], None]:
    """Return a `pre_execute` of a BashOperator that lets the command start when the machine is fit for it.

    Args:
        policy: the thresholds, table `hardware` of the settings.
        demand: what the command takes.

    Raises (when Airflow calls it):
        AirflowRescheduleException: not now.
        AirflowFailException: never on this machine, or not within `policy.max_wait` seconds.
    """
    demand = demand or Demand()

    def before(context: Mapping[str, Any]) -> None:
        waiting = _recall(context)
        decision = decide_here(policy, demand, waiting.decision if waiting else None)
        _log.info("Hardware: %s. %s", decision.action, " ".join(decision.reasons))
        if decision.action == "wait":
            _wait(context, policy, decision, waiting)
        if waiting:
            context["task_state_store"].delete(_KEY)
        if decision.action == "refuse":
            raise AirflowFailException(f"This machine refuses the task. {' '.join(decision.reasons)}")
        if decision.memory_bytes is not None:
            task = context["task"]
            task.env = {**(task.env or {}), _MEMORY: repr(decision.memory_bytes / GIB)}

    return before


def _wait(
    context: Mapping[str, Any], policy: Hardware, decision: Admission, waiting: _Waiting | None
) -> None:
    now = datetime.now(UTC)
    since = waiting.since if waiting else now
    left = policy.max_wait - (now - since).total_seconds()
    if left <= 0:
        context["task_state_store"].delete(_KEY)
        raise AirflowFailException(
            f"The machine was not fit for this task for {policy.max_wait} s (hardware.max_wait). "
            f"{' '.join(decision.reasons)} Clear the task to wait again, or change mlops.toml."
        )
    held = _Waiting(since, context["ti"].try_number, decision)
    context["task_state_store"].set(_KEY, msgspec.json.encode(held).decode())
    again = now + timedelta(seconds=min(decision.seconds, left))
    _log.info("Looking again at %s.", again.isoformat(timespec="seconds"))
    raise AirflowRescheduleException(again)


def _recall(context: Mapping[str, Any]) -> _Waiting | None:
    """What was remembered, unless it is of an earlier try: a cleared task waits from the beginning."""
    stored = context["task_state_store"].get(_KEY)
    if stored is None:
        return None
    try:
        waiting = msgspec.json.decode(stored, type=_Waiting)
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        _log.warning("What the last look left cannot be read, so the wait starts again: %s", error)
        return None
    return waiting if waiting.attempt == context["ti"].try_number else None
