"""The gate's answer to what is too good to be true: it waits until a person has confirmed it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runtime_lib.data.leaks.suspect import Suspect, remedy, unconfirmed
from runtime_lib.registry.gate import Decision
from runtime_lib.settings import Registry

__all__ = ["hold_back"]


def hold_back(decision: Decision, evaluation: Mapping[str, Any], rules: Registry) -> Decision:
    """Refuse a candidate whose evaluation names suspects that `registry.confirmed` does not.

    Args:
        decision: on the figures alone.
        evaluation: `reports/evaluation.json`; one of an earlier release names no suspects.
        rules: with the confirmed columns.

    Returns:
        The decision with the suspects among its reasons, and in `suspects` the columns that wait.
    """
    suspects = [Suspect.from_dict(fields) for fields in evaluation.get("suspects", ())]
    waiting = unconfirmed(suspects, rules.confirmed)
    reasons = [f"confirmed in registry.confirmed: {each}" for each in suspects if each not in waiting]
    if not waiting:
        return replace(decision, reasons=(*decision.reasons, *reasons))
    reasons += [f"too good to be true: {each}: refused" for each in waiting]
    columns = tuple(each.column for each in waiting)
    advice = remedy(waiting, rules.confirmed)
    return replace(decision, promoted=False, reasons=(*decision.reasons, *reasons, advice), suspects=columns)
