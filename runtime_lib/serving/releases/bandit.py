"""Thompson sampling over versions: traffic in proportion to the chance that each is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.shares import divide

__all__ = ["by_losses", "by_rewards"]

_DRAWS = 2_000  # the standard error of a share is at most 1.1 percentage points
_LEAST = 30  # rows of each version before a normal distribution describes their mean


def by_rewards(rewards: Mapping[str, tuple[int, int]], *, floor: int = 50, seed: int = 0) -> dict[str, int]:
    """Weights by rewards that are had or not, in tenths of a percent.

    Thompson (1933); Chapelle and Li (2011), "An empirical evaluation of Thompson sampling". The rates' prior
    is uniform. The posterior believes in rates that stay: where they move, give figures of a recent window.

    Args:
        rewards: version → (rewards, trials).
        floor: what each version keeps.
        seed: of the draws; take another one each time.

    Raises:
        SettingsError: the floor is too high, or there are more rewards than trials.
    """
    for version, (had, trials) in rewards.items():
        if not 0 <= had <= trials:
            raise SettingsError(f"Version {version} has {had} rewards of {trials} trials.")
    random = Random(seed)
    draws = [
        [random.betavariate(1 + had, 1 + trials - had) for had, trials in rewards.values()]
        for _ in range(_DRAWS)
    ]
    return _shares(list(rewards), draws, floor)


def by_losses(losses: Mapping[str, Moments], *, floor: int = 50, seed: int = 0) -> dict[str, int]:
    """Weights by losses, of which the lowest mean is the best, in tenths of a percent.

    The mean's posterior is normal about the mean seen, as with a flat prior and a known variance; until each
    version has 30 rows, all get the same. Constant losses count as if their mean were known.

    Raises:
        SettingsError: the floor is too high.
    """
    if min((held.count for held in losses.values()), default=0) < _LEAST:
        return divide(dict.fromkeys(losses, 1.0), floor=floor)
    random = Random(seed)
    beliefs = [(held.mean, math.sqrt(held.squares) / held.count) for held in losses.values()]
    draws = [[-random.gauss(mean, spread) for mean, spread in beliefs] for _ in range(_DRAWS)]
    return _shares(list(losses), draws, floor)


def _shares(versions: Sequence[str], draws: Sequence[Sequence[float]], floor: int) -> dict[str, int]:
    """Divide by how often each version had the highest draw; equal ones have it together."""
    best = dict.fromkeys(versions, 0.0)
    for draw in draws:
        winners = [version for version, value in zip(versions, draw, strict=True) if value == max(draw)]
        for version in winners:
            best[version] += 1 / len(winners)
    return divide(best, floor=floor)
