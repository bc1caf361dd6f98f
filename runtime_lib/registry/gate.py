"""The gate in front of the champion: figures in, a decision in words out. Pure.

All figures are of the same held-out rows, and models are compared row by row, so a difference comes with its
error. The candidate passes when it is better than the naive baseline, and better than the champion or, where
the settings allow a loss, not worse by more than that; each told from chance with 95 % confidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.settings import Registry
from runtime_lib.task.metric import Gain, Metric

__all__ = ["Decision", "Other", "judge"]

_EPSILON = 1e-12  # a difference of 0.01 may be 0.0099999… in binary


@dataclass(frozen=True)
class Decision:
    """What is said of a version.

    Attributes:
        promoted: it is the champion now.
        figures: everything that was compared.
        suspects: columns that stopped it and that a person may confirm.
        version: its number; empty where only figures were given.
        judged: by these figures, now; else it is told what holds.
        set_aside: it was not judged, because an earlier decision stands.
    """

    promoted: bool
    reasons: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()
    version: str = ""
    judged: bool = True
    set_aside: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Other:
    """A model beside the candidate: its figures, and how much better the candidate is (`Metric.compare`)."""

    figures: Mapping[str, float]
    gain: Gain


def judge(
    metric: Metric, candidate: Mapping[str, float], baseline: Other, incumbent: Other | None, rules: Registry
) -> Decision:
    """Decide whether the candidate may become the champion.

    Args:
        metric: what decides.
        candidate: figures from `Task.figures`.
        baseline, incumbent: next to it; no incumbent: there is no champion.
        rules: the margins, in the unit of `Metric.margin`.

    Raises:
        DataError: the metric is not among the figures.
    """
    others = {"baseline": baseline, "incumbent": incumbent}
    known = {who: other for who, other in others.items() if other is not None}
    figures: dict[str, Any] = {
        "candidate": dict(candidate),
        **{who: dict(other.figures) for who, other in known.items()},
    }
    figures["intervals"] = {who: [o.gain.lower, o.gain.upper] for who, o in known.items()}
    score = _score(candidate, metric, "candidate")
    head = f"{metric.name} {score:.4f} on {int(candidate.get('rows', 0)):,} held-out rows"
    if not math.isfinite(score):
        return Decision(False, (f"{head}: the metric cannot be computed: refused",), figures)
    passed, reason = _over_baseline(metric, score, baseline, rules)
    reasons = [f"{head} {reason}"]
    if incumbent is None:
        reasons.append("there is no champion: the baseline alone decides")
    else:
        kept_up, reason = _beside_incumbent(metric, incumbent, rules)
        passed = passed and kept_up
        reasons.append(f"{head} {reason}")
    return Decision(passed, tuple(reasons), figures)


def _over_baseline(metric: Metric, score: float, baseline: Other, rules: Registry) -> tuple[bool, str]:
    least, gain = rules.min_gain_over_baseline, baseline.gain
    other, chance = _score(baseline.figures, metric, "baseline"), metric.by_chance(baseline.figures)
    whose = f"the naive baseline's {other:.4f}"
    if chance is not None and metric.gain(chance, other) > 0:  # by accident, where no column says anything
        gain, whose = Gain(metric.margin(score, chance), gain.error), f"guessing's {chance:.4f}"
    say = _Say(metric)
    # Asked this way round, a figure that is no number passes nothing.
    if not (gain.value >= least - _EPSILON and gain.value > 0):
        return False, f"is not better than {whose} by {say.asked(least)}{say.interval(gain)}: refused"
    if not gain.lower > 0:
        return False, (
            f"is better than {whose} by {say.amount(gain.value)}, perhaps by chance{say.interval(gain)}: "
            f"refused; a longer test period (split.test in params.yaml) would tell"
        )
    return (
        True,
        f"is better than {whose} by {say.amount(gain.value)}{say.interval(gain, say.asked(least))}",
    )


def _beside_incumbent(metric: Metric, incumbent: Other, rules: Registry) -> tuple[bool, str]:
    gain, say = incumbent.gain, _Say(metric)
    whose = f"the champion's {_score(incumbent.figures, metric, 'incumbent'):.4f}"
    if most := rules.max_loss_to_incumbent:
        how = f"is, next to {whose}, {say.signed(gain.value)}"
        if gain.lower >= -most - _EPSILON:
            return True, f"{how}{say.interval(gain)}: not worse by {say.asked(most)}"
        return False, f"{how}{say.interval(gain)}: perhaps worse by more than {say.asked(most)}: refused"
    least = rules.min_gain_over_incumbent
    if gain.lower > 0 and gain.upper >= least - _EPSILON:
        return True, (
            f"is better than {whose} by {say.amount(gain.value)}{say.interval(gain, say.asked(least))}"
        )
    if gain.value <= 0:
        return False, f"is not better than {whose}: {say.signed(gain.value)}{say.interval(gain)}: refused"
    why = "perhaps by chance" if gain.lower <= 0 else f"surely by less than {say.asked(least)}"
    return False, f"is better than {whose} by {say.amount(gain.value)}, {why}{say.interval(gain)}: refused"


@dataclass(frozen=True)
class _Say:
    """Gains in words: in the metric's own unit, or for an error as a share of the other's."""

    metric: Metric

    def asked(self, margin: float) -> str:
        return f"{margin:g}" if self.metric.best else f"{margin:.2%}"

    def amount(self, gain: float) -> str:
        """A gain that decides is never shown as nothing."""
        if not self.metric.best:
            return f"{gain:.2%}"
        return f"{gain:.4f}" if abs(gain) >= 0.00005 or not gain else f"{gain:.1g}"

    def signed(self, gain: float) -> str:
        return f"{'+' if gain >= 0 else ''}{self.amount(gain)}"

    def interval(self, gain: Gain, asked: str = "") -> str:
        asked = f"; asked: {asked}" if asked else ""
        if not math.isfinite(gain.error):
            return f" (too few rows for an interval{asked})"
        return f" (90 % interval {self.signed(gain.lower)} to {self.signed(gain.upper)}{asked})"


def _score(figures: Mapping[str, float], metric: Metric, who: str) -> float:
    try:
        return float(figures[metric.name])
    except KeyError as error:
        raise DataError(
            f"The {who}'s figures hold no {metric.name} (only {', '.join(figures) or 'none'}). "
            f"Evaluate again, or set registry.metric to one of them."
        ) from error
