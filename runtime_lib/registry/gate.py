"""The gate in front of the champion: figures in, a decision in words out. Pure.

All figures are of the same held-out rows. The candidate passes when its metric is above the naive
baseline's by `min_gain_over_baseline`, and below the champion's by no more than `max_loss_to_incumbent`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runtime_lib.errors import DataError
from runtime_lib.settings import Registry
from runtime_lib.task import binary as task

__all__ = ["Decision", "judge"]

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


def judge(
    candidate: Mapping[str, float],
    baseline: Mapping[str, float],
    incumbent: Mapping[str, float] | None,
    rules: Registry,
) -> Decision:
    """Decide whether the candidate may become the champion.

    Args:
        candidate, baseline, incumbent: figures from `task.figures`; no incumbent: there is no champion.
        rules: the metric and the two margins, in the metric's unit.

    Raises:
        DataError: the metric is not among the figures.
    """
    parties = {"candidate": candidate, "baseline": baseline, "incumbent": incumbent}
    figures = {who: dict(what) for who, what in parties.items() if what is not None}
    score = _score(candidate, rules.metric, "candidate")
    head = f"{rules.metric} {score:.4f} on {int(candidate.get('rows', 0)):,} held-out rows"
    if not math.isfinite(score):
        return Decision(False, (f"{head}: the metric cannot be computed: refused",), figures)
    passed, reason = _over_baseline(score, baseline, rules)
    reasons = [f"{head} {reason}"]
    if incumbent is None:
        reasons.append("there is no champion: the baseline alone decides")
    else:
        kept_up, reason = _beside_incumbent(score, _score(incumbent, rules.metric, "incumbent"), rules)
        passed = passed and kept_up
        reasons.append(f"{head} {reason}")
    return Decision(passed, tuple(reasons), figures)


def _over_baseline(score: float, baseline: Mapping[str, float], rules: Registry) -> tuple[bool, str]:
    metric, least = task.METRICS[rules.metric], rules.min_gain_over_baseline
    other, chance = _score(baseline, rules.metric, "baseline"), metric.by_chance(baseline)
    whose = f"the naive baseline's {other:.4f}"
    if metric.gain(chance, other) > 0:  # by accident, where no column says anything
        other, whose = chance, f"guessing's {chance:.4f}"
    gain = metric.gain(score, other)
    if gain > 0 and gain >= least - _EPSILON:
        return True, f"is above {whose} by {gain:.4f} (asked: {least:g})"
    return False, f"is not above {whose} by {least:g}: refused"


def _beside_incumbent(score: float, other: float, rules: Registry) -> tuple[bool, str]:
    loss, most = task.METRICS[rules.metric].gain(other, score), rules.max_loss_to_incumbent
    if loss <= most + _EPSILON:
        return (
            True,
            f"against the champion's {other:.4f}: {-loss:+.4f} (allowed loss: {most:g})",
        )
    return False, f"is below the champion's {other:.4f} by {_gap(loss)} (allowed: {most:g}): refused"


def _gap(loss: float) -> str:
    """A loss that refuses is never shown as nothing."""
    return f"{loss:.4f}" if loss >= 0.00005 else f"{loss:.1g}"


def _score(figures: Mapping[str, float], metric: str, who: str) -> float:
    try:
        return float(figures[metric])
    except KeyError as error:
        raise DataError(
            f"The {who}'s figures hold no {metric} (only {', '.join(figures) or 'none'}). "
            f"Evaluate again, or set registry.metric to one of them."
        ) from error
