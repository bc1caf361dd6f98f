"""Evidence that may be looked at after every request: it misleads with probability `alpha` over all looks.

An e-value is a bet against a hypothesis. While the hypothesis holds, its expectation is at most 1, so it
ever reaches `1 / alpha` with probability at most `alpha` (Ville's inequality). See Ramdas, Grünwald, Vovk and
Shafer (2023), "Game-theoretic statistics and safe anytime-valid inference". Everything here is in logarithms.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace

from runtime_lib.serving.releases.figures import Moments

__all__ = ["Counts", "Information", "bet", "bet_beyond", "half_width", "information", "log_add", "one_sided"]

_EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits among the trials of two versions, `a` and `b`."""

    hits_a: float = 0
    trials_a: float = 0
    hits_b: float = 0
    trials_b: float = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits_a + other.hits_a,
            self.trials_a + other.trials_a,
            self.hits_b + other.hits_b,
            self.trials_b + other.trials_b,
        )

    @property
    def rates(self) -> tuple[float, float]:
        """Both shares of hits, never 0 or 1; `a` starts out as one trial at the rate of `b`."""
        b = (self.hits_b + 0.5) / (self.trials_b + 1)
        return (self.hits_a + b) / (self.trials_a + 1), b

    def times(self, part: float) -> Counts:
        return Counts(*(part * number for number in astuple(self)))

    def faded(self) -> Counts:
        """The counts to begin anew with: one trial at the rate of `b`."""
        return Counts(0, 0, self.rates[1], 1)


def bet(block: Counts, rates: tuple[float, float], *, margin: float = 0.0) -> float:
    """Log of an exact e-value of one block of trials against a rate of `a` beyond that of `b` plus `margin`.

    It bets on `rates`, which must stem from earlier blocks. Where they lie above the line a = b + margin, the
    hypothesis is that `a` is on it or below, else that it is on it or above. The rates may change between the
    blocks, together; so may the traffic's split.

    The e-value is the likelihood ratio of `rates` to their projection onto the hypothesis, which is convex:
    Turner, Ly and Grünwald (2024), "Generic E-variables for exact sequential k-sample tests", for a line
    through the origin; Turner and Grünwald (2023), "Exact anytime-valid confidence intervals for contingency
    tables and beyond", for any other.
    """
    a, b = rates
    if not block.trials_a or not block.trials_b:
        return 0.0  # with one version only, some rate of the other explains everything
    null_b = _projected(a, b, block.trials_a, block.trials_b, margin)
    null_a = null_b + margin
    return bet_beyond(block.hits_a, block.trials_a, a, null_a) + bet_beyond(
        block.hits_b, block.trials_b, b, null_b
    )


def bet_beyond(hits: float, trials: float, rate: float, null: float) -> float:
    """Log of an e-value of trials against a rate of at most `null`; it bets on `rate`, which is above."""
    return hits * math.log(rate / null) + (trials - hits) * math.log((1 - rate) / (1 - null))


def _projected(a: float, b: float, trials_a: float, trials_b: float, margin: float) -> float:
    """The rate of `b` on the line a = b + margin that is nearest in Kullback-Leibler divergence."""
    if not margin:
        return (trials_a * a + trials_b * b) / (trials_a + trials_b)
    low, high = sorted((min(max(a - margin, _EDGE), 1 - margin - _EDGE), min(b, 1 - margin - _EDGE)))
    for _ in range(60):  # the divergence is convex: its slope has one zero between the two
        middle = (low + high) / 2
        on_a = middle + margin
        slope = trials_a * (on_a - a) / (on_a * (1 - on_a)) + trials_b * (middle - b) / (
            middle * (1 - middle)
        )
        low, high = (middle, high) if slope < 0 else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class Information:
    """A difference of two means, how much is known of it (one over its variance), and the rows' spread."""

    difference: float
    amount: float
    deviation: float

    def beyond(self, margin: float) -> Information:
        return replace(self, difference=self.difference - margin)

    def mirrored(self) -> Information:
        return replace(self, difference=-self.difference)


def information(a: Moments, b: Moments, *, least: int = 100) -> Information | None:
    """The difference `a` - `b` of two means; None below `least` rows each, or where no row differs.

    Each variance is at least that of all rows together, as in a score test: few rows of one version, with one
    of the rare great values or none, would make it too small. With `least` rows the central limit theorem is
    relied upon.
    """
    if min(a.count, b.count) < least:
        return None
    together = a + b
    spread = together.squares / together.count
    variance = sum(max(x.squares / x.count, spread) / x.count for x in (a, b))
    if not variance > 0:
        return None
    return Information(a.mean - b.mean, 1 / variance, math.sqrt(spread))


def one_sided(known: Information, *, effect: float) -> float:
    """Log of an asymptotic e-value against a difference of 0 or below.

    A half-normal mixture over differences of the size of `effect`, in the same unit: Howard, Ramdas,
    McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences",
    proposition 6; with estimated variances: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024),
    "Time-uniform central limit theory and asymptotic confidence sequences".
    """
    scale = known.amount * effect**2
    z = known.difference * math.sqrt(known.amount) * math.sqrt(scale / (1 + scale))
    if z < -30:  # Mills' ratio, where the normal distribution runs out of numbers
        return math.log(2 / math.pi) / 2 - math.log(-z) - math.log1p(scale) / 2
    return math.log(math.erfc(-z / math.sqrt(2))) + z**2 / 2 - math.log1p(scale) / 2


def half_width(amount: float, *, effect: float, alpha: float) -> float:
    """Half of an interval about a difference that holds the truth at all looks, in the difference's unit.

    Robbins' normal mixture, narrowest where about `effect` can be seen; sources as in `one_sided`.
    """
    scale = amount * effect**2
    return math.sqrt((1 + scale) / scale * (math.log1p(scale) - 2 * math.log(alpha)) / amount)


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))"""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))
