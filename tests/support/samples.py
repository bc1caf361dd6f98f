"""Samples of numbers that summaries get wrong, and the exact figures they are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from runtime_lib.profiles.number import NumberFold, NumberProfile

__all__ = ["HARD", "KINDS", "exact_ks", "exact_wasserstein", "profile_of", "sample"]

Floats = NDArray[np.float64]

# Without finite values, or with values that have no standard deviation a float can hold.
HARD = ("all missing", "all infinite", "empty", "whole range")


_MAKE: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(n),
    "lognormal": lambda rng, n: rng.lognormal(0, 2, n),
    "bimodal": lambda rng, n: rng.choice([0, 1e6], n) + rng.normal(size=n),
    "tied": lambda rng, n: rng.integers(1, 8, n).astype(float),
    "whole numbers": lambda rng, n: rng.integers(0, 1_000, n).astype(float),
    "zero-inflated": lambda rng, n: np.where(rng.random(n) < 0.9, 0, rng.exponential(1, n)),
    "constant": lambda rng, n: np.full(n, 3.0),
    "seconds": lambda rng, n: 1.7e9 + 86_400 * rng.random(n),
    "tiny": lambda rng, n: 1e-300 * rng.normal(size=n),
    "huge": lambda rng, n: 1e300 * rng.normal(size=n),
    "every size": lambda rng, n: 10 ** rng.uniform(-300, 300, n) * rng.choice([-1, 1], n),
    "whole range": lambda rng, n: rng.choice([1.79e308, -1.79e308, 0.0, 1.0], n),
    "with infinities": lambda rng, n: _instead(rng, n, np.inf, -np.inf),
    "with missing": lambda rng, n: _instead(rng, n, np.nan, np.nan),
    "one value": lambda rng, n: np.array([2.0]),
    "all infinite": lambda rng, n: np.full(n, np.inf),
    "all missing": lambda rng, n: np.full(n, np.nan),
    "empty": lambda rng, n: np.empty(0),
}
KINDS = tuple(sorted(_MAKE))


def sample(kind: str, rows: int, seed: int = 0) -> Floats:
    """`rows` values, but for `empty` and `one value`."""
    return _MAKE[kind](np.random.default_rng(seed), rows)


def _instead(rng: np.random.Generator, rows: int, *strange: float) -> Floats:
    """Normal values, a tenth of them replaced by each of these."""
    share, found = rng.random(rows), rng.normal(size=rows)
    return np.select([share < 0.1, share < 0.2], strange, found)


def profile_of(values: Floats, like: NumberProfile | None = None, cuts: Sequence[int] = ()) -> NumberProfile:
    """Folded at once, or in batches that end at `cuts`."""
    fold = NumberFold(like)
    for start, end in pairwise([0, *sorted(cuts), values.size]):
        fold.add(values[start:end])
    return fold.profile()


def exact_ks(reference: Floats, live: Floats) -> float:
    """D of the values themselves; missing ones are left out."""
    some = [each[~np.isnan(each)] for each in (reference, live)]
    return float(stats.ks_2samp(*some, method="asymp").statistic)


def exact_wasserstein(reference: Floats, live: Floats) -> float:
    """Of the finite values, in standard deviations of the reference; ∞ if no float can hold that."""
    r, n = (each[np.isfinite(each)] for each in (reference, live))
    middle = np.median(r)
    r, n = r - middle, n - middle
    largest = max(np.abs(r).max(), np.abs(n).max())
    r, n = r / largest, n / largest
    sd = float(r.std(ddof=1))
    return float(stats.wasserstein_distance(r, n)) / sd if sd > 0 else np.inf
