"""The steps of a canary: from the state, a verdict and the time to the next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.judge import Verdict
from runtime_lib.serving.releases.shares import WHOLE

__all__ = ["Plan", "Progress", "advance", "begin"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a canary gets its traffic.

    Args:
        shares: the canary's, step by step, in tenths of a percent; they grow, and the last is all of it.
        least_seconds: how long a step lasts at least.
        longest_seconds: how long it may wait for evidence.
        unproven: what to do after that. "go back" releases nothing that was not shown to be no worse.

    Raises:
        SettingsError: the shares do not grow from above 0 to 1000, or a step would last longer than it may.
    """

    shares: tuple[int, ...] = (10, 100, 500, WHOLE)
    least_seconds: float = 60.0
    longest_seconds: float = 86_400.0
    unproven: Literal["go back", "go on"] = "go back"

    def __post_init__(self) -> None:
        grows = all(one < next_one for one, next_one in pairwise((0, *self.shares)))
        if not grows or not self.shares or self.shares[-1] != WHOLE:
            raise SettingsError(
                f"The steps {self.shares} do not lead to all of the traffic. "
                f"Let them grow, in tenths of a percent, and end with {WHOLE}."
            )
        if not 0 <= self.least_seconds <= self.longest_seconds:
            raise SettingsError(
                f"A step cannot last {self.least_seconds:g} s at least, {self.longest_seconds:g} s at most."
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a release stands.

    Args:
        canary, champion: versions.
        step: index into the plan's shares.
        since: Unix time in seconds at which the step began.
        outcome: "released" and "returned" are final.
        reasons: of the last change.
    """

    canary: str
    champion: str
    step: int
    since: float
    outcome: Literal["running", "released", "returned"] = "running"
    reasons: tuple[str, ...] = ()

    def weights(self, plan: Plan) -> dict[str, int]:
        """Tenths of a percent by version, 1000 in all."""
        share = 0 if self.outcome == "returned" else plan.shares[self.step]
        return {self.canary: share, self.champion: WHOLE - share}

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Progress:
        return cls(**{**held, "reasons": tuple(held["reasons"])})


def begin(plan: Plan, *, canary: str, champion: str, now: float) -> Progress:
    """Start with the first share.

    Raises:
        SettingsError: both versions are the same.
    """
    if canary == champion:
        raise SettingsError(f"Version {canary} serves already. Release another one.")
    return _arrived(Progress(canary, champion, 0, now), plan)


def advance(state: Progress, plan: Plan, verdict: Verdict, now: float) -> Progress:
    """Return what follows. A state that is final, or that has to wait, returns itself.

    To go back never waits; to go on waits for the step's least time.

    Args:
        now: Unix time in seconds. A clock that was set back only makes a step longer.
    """
    if state.outcome != "running":
        return state
    if verdict.outcome == "go back":
        return _returned(state, verdict.reasons, now)
    lasted = now - state.since
    if verdict.outcome == "go on" and lasted >= plan.least_seconds:
        return _next(state, plan, verdict.reasons, now)
    if verdict.outcome == "wait" and lasted >= plan.longest_seconds:
        late = f"Nothing was shown within the step's {plan.longest_seconds:,.0f} seconds."
        reasons = (late, *verdict.reasons)
        if plan.unproven == "go back":
            return _returned(state, reasons, now)
        return _next(state, plan, reasons, now)
    return state


def _next(state: Progress, plan: Plan, reasons: tuple[str, ...], now: float) -> Progress:
    return _arrived(replace(state, step=state.step + 1, since=now, reasons=reasons), plan)


def _arrived(state: Progress, plan: Plan) -> Progress:
    return replace(state, outcome="released") if plan.shares[state.step] == WHOLE else state


def _returned(state: Progress, reasons: tuple[str, ...], now: float) -> Progress:
    return replace(state, outcome="returned", since=now, reasons=reasons)
