"""A canary against the champion, at any time: it is worse, it is shown to be no worse, or neither yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runtime_lib.serving.releases.evidence import CHECKS, Check, Evidence
from runtime_lib.serving.releases.figures import Figures
from runtime_lib.serving.releases.rules import Rules

__all__ = ["Outcome", "Verdict", "judge"]

Outcome = Literal["go back", "go on", "wait"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why, a sentence each. One that a person gives looks the same."""

    outcome: Outcome
    reasons: tuple[str, ...]


def judge(evidence: Evidence, rules: Rules, *, canary: str, champion: str) -> Verdict:
    """Decide by the evidence so far.

    A canary no worse than the champion is ever sent back with a probability of at most `1 - confidence`, over
    all checks, steps and looks together. One that is worse by a margin passes a step on evidence with at most
    the same. For errors and latency this is exact, for losses as the number of rows grows.

    Args:
        evidence: all since the release began.
        canary, champion: their versions, for the sentences.
    """
    alpha = 1 - rules.confidence
    words = _Words(evidence, rules, canary, champion)
    # An equal canary is tried by each check, so each has its part of the error.
    faults = [check for check in CHECKS if evidence.worse(check) >= math.log(len(CHECKS) / alpha)]
    if faults:
        return Verdict("go back", tuple(words.worse(check) for check in faults))
    if evidence.requests_of_step < rules.min_requests:
        return Verdict("wait", (words.few(),))
    # One that is worse must deceive the check in which it is worse: the error needs no parts.
    unproven = [check for check in _awaited(rules) if evidence.fine(check) < math.log(1 / alpha)]
    if unproven:
        return Verdict("wait", tuple(words.unproven(check) for check in unproven))
    return Verdict("go on", tuple(words.fine(check) for check in _awaited(rules)))


def _awaited(rules: Rules) -> list[Check]:
    """What must be shown to be no worse in a step."""
    awaited: list[Check] = ["errors"]
    if rules.latency_margin is not None:
        awaited.append("latency")
    if rules.loss_margin is not None:
        awaited.append("loss")
    return awaited


@dataclass(frozen=True, slots=True)
class _Words:
    evidence: Evidence
    rules: Rules
    canary: str
    champion: str

    def few(self) -> str:
        return (
            f"Version {self.canary} was asked {self.evidence.requests_of_step:,} times in this step; "
            f"{self.rules.min_requests:,} are needed."
        )

    def worse(self, check: Check) -> str:
        judged = {
            "errors": "worse",
            "failing": f"more than {_percent(self.rules.most_errors)} of all",
            "latency": f"slower by more than {_percent(self.rules.latency_margin or 0)}",
            "loss": "worse",
        }[check]
        return f"{self._figures(check)}: {judged}, with {_percent(self.rules.confidence)} confidence."

    def fine(self, check: Check) -> str:
        figures, sure = self._figures(check), _percent(self.rules.confidence)
        return f"{figures}: not worse by {self._margin(check)}, with {sure} confidence."

    def unproven(self, check: Check) -> str:
        return f"{self._figures(check)}: too little yet to rule out {self._margin(check)}."

    def _margin(self, check: Check) -> str:
        if check == "latency":
            return _percent(self.rules.latency_margin or 0)
        if check == "loss":
            return f"{self.rules.loss_margin:.4g}"
        return f"{_percent(self.rules.error_margin)} of requests"

    def _figures(self, check: Check) -> str:
        tell = {"latency": self._took, "loss": _lost}.get(check, _failed)
        one, other = self.evidence.canary, self.evidence.champion
        return f"Version {self.canary} {tell(one)}, version {self.champion} {tell(other)}"

    def _took(self, figures: Figures) -> str:
        share = self.rules.latency_share
        seconds = figures.latencies.quantile(share)
        if seconds is None:
            return "has not answered"
        return f"took {1000 * seconds:.3g} ms at the {100 * share:.3g}th percentile"


def _failed(figures: Figures) -> str:
    return f"failed {figures.errors:,} of {figures.requests:,} requests"


def _lost(figures: Figures) -> str:
    losses = figures.losses
    return f"lost {losses.mean:.4g} a row over {losses.count:,} rows" if losses.count else "has no labels"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
