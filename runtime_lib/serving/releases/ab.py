"""An A/B test: how many requests it needs, and, at any time, what it has shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.sequential import half_width, information

__all__ = ["Comparison", "Size", "compare", "size_of_means", "size_of_shares"]

Finding = Literal["higher", "lower", "same", "open"]


@dataclass(frozen=True, slots=True)
class Size:
    """Requests of both versions together.

    Args:
        once: for a test that is looked at once, when they are all there.
        any_time: for one that is looked at all the time and ends as soon as something is shown; most end
            sooner than this.
    """

    once: int
    any_time: int

    def days(self, requests_per_day: float) -> float:
        """How long `any_time` requests take.

        Raises:
            SettingsError: there are none a day.
        """
        if not requests_per_day > 0:
            raise SettingsError(f"A test never ends at {requests_per_day!r} requests a day.")
        return self.any_time / requests_per_day


def size_of_shares(
    base: float, effect: float, *, alpha: float = 0.05, power: float = 0.9, share: float = 0.5
) -> Size:
    """Size a test of two shares, such as of errors or of clicks.

    Args:
        base: the share of version A.
        effect: the smallest difference that matters; that of B is `base + effect`.
        alpha: probability of finding a difference where there is none (two-sided).
        power: probability of finding one of the size of `effect`.
        share: B's part of the traffic.

    Raises:
        SettingsError: a share or probability is not between 0 and 1, or the effect is 0.
    """
    _check(**{"base": base, "base + effect": base + effect})
    variances = base * (1 - base), (base + effect) * (1 - base - effect)
    return _size(variances, effect, alpha=alpha, power=power, share=share)


def size_of_means(
    deviation: float, effect: float, *, alpha: float = 0.05, power: float = 0.9, share: float = 0.5
) -> Size:
    """Size a test of two means, such as of losses; the rest as in `size_of_shares`.

    Args:
        deviation: standard deviation of the rows, in their unit.
        effect: the smallest difference that matters, in the same.

    Raises:
        SettingsError: the deviation is not above 0, the effect is 0, or a probability is not between 0 and 1.
    """
    if not 0 < deviation < math.inf:
        raise SettingsError(f"The standard deviation is {deviation!r}. Give one above 0.")
    return _size((deviation**2, deviation**2), effect, alpha=alpha, power=power, share=share)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of B minus A, in the values' own unit.

    Args:
        difference: the estimate; None before there are 100 rows of each.
        low, high: the interval that holds the truth at all looks, with a probability of `1 - alpha`.
        finding: B is "higher" or "lower" than A; "same": any difference is below the smallest that matters;
            "open": go on. The test may stop at anything else.
    """

    difference: float | None
    low: float
    high: float
    finding: Finding


def compare(a: Moments, b: Moments, *, effect: float, alpha: float = 0.05) -> Comparison:
    """Compare two versions at any time, as often as one likes. The traffic's split must not change meanwhile.

    Args:
        a, b: values of each since the test began; shares are means of hits (`Moments.of_hits`).
        effect: the smallest difference that matters, as in the size.
        alpha: probability that the interval ever misses the truth. It is exact as the number of rows grows,
            see `sequential.one_sided`.

    Raises:
        SettingsError: the effect is 0, or `alpha` not between 0 and 1.
    """
    _check(alpha=alpha)
    effect = _effect(effect)
    known = information(b, a)
    if known is None:
        return Comparison(None, -math.inf, math.inf, "open")
    half = half_width(known.amount, effect=effect, alpha=alpha)
    low, high = known.difference - half, known.difference + half
    return Comparison(known.difference, low, high, _finding(low, high, effect))


def _finding(low: float, high: float, effect: float) -> Finding:
    if low > 0:
        return "higher"
    if high < 0:
        return "lower"
    return "same" if -effect < low and high < effect else "open"


def _size(variances: tuple[float, float], effect: float, *, alpha: float, power: float, share: float) -> Size:
    """By the normal approximation: Chow, Shao, Wang and Lokhnygina (2017), "Sample size calculations in
    clinical research", 3.2 and 4.2. Looked at any time, the interval's half takes the place of the quantile.
    """
    _check(alpha=alpha, power=power, share=share)
    effect = _effect(effect)
    normal = NormalDist()
    spare = normal.inv_cdf(power)
    once = ((normal.inv_cdf(1 - alpha / 2) + spare) / effect) ** 2
    low = high = once
    while not _finds(high, effect, alpha, spare):
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _finds(middle, effect, alpha, spare) else (middle, high)
    # `information` takes no variance below that of all rows together.
    least = (1 - share) * variances[0] + share * variances[1] + share * (1 - share) * effect**2
    cautious = [max(variance, least) for variance in variances]
    return Size(
        *(math.ceil(amount * _spread(of, share)) for amount, of in ((once, variances), (high, cautious)))
    )


def _spread(variances: Sequence[float], share: float) -> float:
    """Variance of the difference of the two means, times the number of all requests."""
    return variances[0] / (1 - share) + variances[1] / share


def _finds(amount: float, effect: float, alpha: float, spare: float) -> bool:
    """Whether the interval excludes 0 though the estimate is `spare` standard errors too low."""
    return effect - half_width(amount, effect=effect, alpha=alpha) >= spare / math.sqrt(amount)


def _effect(effect: float) -> float:
    if effect == 0 or not math.isfinite(effect):
        raise SettingsError(f"The smallest difference that matters is {effect!r}. Choose one that is not 0.")
    return abs(effect)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise SettingsError(f"{name} is {value!r}. Choose a number between 0 and 1.")
