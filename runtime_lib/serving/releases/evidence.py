"""The evidence that a release gathers, look by look: small, and held as JSON over a restart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from runtime_lib.errors import DataError
from runtime_lib.serving.releases.figures import BASE, Figures, Moments
from runtime_lib.serving.releases.rules import Rules
from runtime_lib.serving.releases.sequential import (
    Counts,
    bet,
    bet_beyond,
    information,
    log_add,
    one_sided,
)

__all__ = ["CHECKS", "Check", "Evidence", "Side"]

Check = Literal["errors", "failing", "latency", "loss"]
CHECKS: tuple[Check, ...] = ("errors", "failing", "latency", "loss")
_LATELY: dict[str, str] = {"errors": "errors lately", "latency": "latency lately"}

_EFFECT = 0.1  # standard deviations: the difference of mean losses that is found soonest
_MEMORY = 500  # requests of the canary after which a bet on recent ones counts one half
_SHORT_MEMORY = 50  # the same where only frequent failures are looked for


@dataclass(frozen=True, slots=True)
class Side:
    """Logs of two e-values of one check.

    Args:
        worse: against "the canary is no worse", since the release began.
        fine: against "the canary is worse by the margin", since the step began.
        counts: what the next bet is based on; of the step.
    """

    worse: float
    fine: float = 0.0
    counts: Counts = field(default_factory=Counts)

    def turned(self, stake: float) -> Side:
        return Side(log_add(self.worse, stake), 0.0, self.counts.faded())

    def after(self, block: Counts, *, margin: float, memory: float = math.inf) -> Side:
        """Bet on a block: that the rate of `a` is above that of `b`, or below that of `b` + `margin`."""
        a, b = rates = self.counts.rates
        worse = self.worse + (bet(block, rates) if a > b else 0.0)
        fine = self.fine + (bet(block, rates, margin=margin) if a < b + margin < 1 else 0.0)
        return Side(worse, fine, self.counts.times(0.5 ** (block.trials_a / memory)) + block)


def _stakes(step: int) -> dict[str, float]:
    """What each bet on "worse" begins with in a step, as logarithms: by check, 1 over all steps together.

    Half starts with the first step, a quarter with the second, and so on: what is fine with few requests need
    not be with many. Half of it bets on what was seen since the step began, half on recent requests, so that
    a change in the middle of a long step is found as well.
    """
    whole = -(step + 1) * math.log(2)
    half = whole - math.log(2)
    return {"failing": whole, "loss": whole, **{name: half for pair in _LATELY.items() for name in pair}}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a canary and the champion beside it have shown so far. Begin with `Evidence()`, then `look`."""

    step: int = 0
    canary: Figures = field(default_factory=Figures)
    champion: Figures = field(default_factory=Figures)
    begun: tuple[Figures, Figures] = field(default_factory=lambda: (Figures(), Figures()))
    closed: tuple[Figures, Figures] = field(default_factory=lambda: (Figures(), Figures()))
    sides: Mapping[str, Side] = field(
        default_factory=lambda: {name: Side(stake) for name, stake in _stakes(0).items()}
    )
    loss_before: float = _stakes(0)["loss"]

    def look(self, canary: Figures, champion: Figures, rules: Rules, *, step: int) -> Evidence:
        """Take in what both did since the last look.

        A look is a block of trials; it may be as short as one request. The longer, the later a sudden change
        is found, for a block is judged by what was known before it.

        Args:
            canary, champion: their figures since the release began.
            step: the plan's step in which they were counted, from 0. Look once more before a step ends.

        Raises:
            DataError: figures are lower than at the last look, or the step is an earlier one.
        """
        if step < self.step:
            raise DataError(f"Step {step} comes after step {self.step}. Begin a new release instead.")
        now = self if step == self.step else self._turned(step)
        canary, champion = Figures() + canary, Figures() + champion
        now = replace(now, canary=canary, champion=champion, sides=now._sides_after(canary, champion, rules))
        # Versions are compared within a block, so it stays open until both have been asked.
        ends = canary.requests > now.closed[0].requests and champion.requests > now.closed[1].requests
        return replace(now, closed=(canary, champion)) if ends else now

    def worse(self, check: Check) -> float:
        """Log of the e-value against "the canary is no worse"."""
        worse = self.sides[check].worse
        return log_add(worse, self.sides[_LATELY[check]].worse) if check in _LATELY else worse

    def fine(self, check: Check) -> float:
        """Log of the e-value against "the canary is worse by the margin" in this step."""
        return self.sides[check].fine

    @property
    def requests_of_step(self) -> int:
        return self.canary.requests - self.begun[0].requests

    def to_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "canary": self.canary.to_dict(),
            "champion": self.champion.to_dict(),
            "begun": [figures.to_dict() for figures in self.begun],
            "closed": [figures.to_dict() for figures in self.closed],
            "sides": {name: asdict(side) for name, side in self.sides.items()},
            "loss_before": self.loss_before,
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Evidence:
        return cls(
            held["step"],
            Figures.from_dict(held["canary"]),
            Figures.from_dict(held["champion"]),
            (Figures.from_dict(held["begun"][0]), Figures.from_dict(held["begun"][1])),
            (Figures.from_dict(held["closed"][0]), Figures.from_dict(held["closed"][1])),
            {n: Side(**{**side, "counts": Counts(**side["counts"])}) for n, side in held["sides"].items()},
            held["loss_before"],
        )

    def _turned(self, step: int) -> Evidence:
        stakes = _stakes(step)
        sides = {name: side.turned(stakes[name]) for name, side in self.sides.items()}
        before = sides["loss"].worse
        return replace(self, step=step, begun=(self.canary, self.champion), sides=sides, loss_before=before)

    def _sides_after(self, canary: Figures, champion: Figures, rules: Rules) -> dict[str, Side]:
        sides = dict(self.sides)
        sides["failing"] = _failing(sides["failing"], canary - self.canary, rules)
        sides["loss"] = self._loss(canary.losses, champion.losses, rules)
        block = (canary - self.closed[0], champion - self.closed[1])
        if block[0].requests and block[1].requests:
            errors = Counts(block[0].errors, block[0].requests, block[1].errors, block[1].requests)
            sides |= self._bets("errors", errors, rules.error_margin)
            if (slow := _slow(block, self.closed[1], rules)) is not None:
                sides |= self._bets("latency", slow, 0.0)
        return sides

    def _bets(self, check: str, block: Counts, margin: float) -> dict[str, Side]:
        lately = _LATELY[check]
        return {
            check: self.sides[check].after(block, margin=margin),
            lately: self.sides[lately].after(block, margin=margin, memory=_MEMORY),
        }

    def _loss(self, canary: Moments, champion: Moments, rules: Rules) -> Side:
        """Moments within a step are added up: the traffic's split, and so the mixture of rows, is one."""
        known = information(canary - self.begun[0].losses, champion - self.begun[1].losses)
        if known is None:
            return Side(self.loss_before, 0.0)
        effect = _EFFECT * known.deviation
        worse = self.loss_before + one_sided(known, effect=effect)
        spare = known.beyond(rules.loss_margin or 0.0).mirrored()
        return Side(worse, one_sided(spare, effect=effect))


def _failing(side: Side, block: Figures, rules: Rules) -> Side:
    """Bet that the canary fails more than it ever may, by how it failed of late."""
    if not block.requests:
        return side
    rate = (side.counts.hits_a + 0.5) / (side.counts.trials_a + 1)
    worse = side.worse
    if rate > rules.most_errors:
        worse += bet_beyond(block.errors, block.requests, rate, rules.most_errors)
    kept = side.counts.times(0.5 ** (block.requests / _SHORT_MEMORY))
    return Side(worse, side.fine, kept + Counts(block.errors, block.requests))


def _slow(block: tuple[Figures, Figures], before: Figures, rules: Rules) -> Counts | None:
    """Count the champion's answers beyond a quantile of its earlier ones, and the canary's beyond that times
    1 + the margin; None where there were no earlier answers, or latency is not judged.

    A canary that takes 1 + the margin times as long has equal shares, however both vary from block to block.
    """
    limit = before.latencies.bucket_of(rules.latency_share)
    if limit is None or rules.latency_margin is None:
        return None
    spare = math.ceil(math.log(1 + rules.latency_margin, BASE) - 1e-9)
    canary, champion = (figures.latencies for figures in block)
    return Counts(canary.beyond(limit + spare), canary.count, champion.beyond(limit), champion.count)
