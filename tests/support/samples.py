"""Samples of numbers that summaries get wrong, and the exact figures they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from runtime_lib.profiles.number import NumberFold, NumberProfile

__all__ = ["HARD", "corpus", "exact_ks", "exact_wasserstein", "profile_of"]

Floats = NDArray[np.float64]

# Without finite values, or with values that have no standard deviation a float can hold.
HARD = ("all missing", "all infinite", "empty", "whole range")


def corpus(rows: int, seed: int = 0) -> dict[str, Floats]:
    """Each of `rows` values, but for `empty` and `one value`."""
    rng = np.random.default_rng(seed)
    normal, share = rng.normal(size=rows), rng.random(rows)
    return {
        "normal": normal,
        "heavy-tailed": rng.standard_cauchy(rows),
        "lognormal": rng.lognormal(0, 2, rows),
        "bimodal": np.where(share < 0.5, normal, 1e6 + normal),
        "tied": rng.integers(1, 8, rows).astype(float),
        "whole numbers": rng.integers(0, 1_000, rows).astype(float),
        "zero-inflated": np.where(share < 0.9, 0, rng.exponential(1, rows)),
        "constant": np.full(rows, 3.0),
        "seconds": 1.7e9 + 86_400 * share,
        "tiny": 1e-300 * normal,
        "huge": 1e300 * normal,
        "every size": 10 ** rng.uniform(-300, 300, rows) * rng.choice([-1, 1], rows),
        "whole range": rng.choice([1.79e308, -1.79e308, 0.0, 1.0], rows),
        "with infinities": np.select([share < 0.1, share < 0.2], [np.inf, -np.inf], normal),
        "with missing": np.where(share < 0.3, np.nan, normal),
        "one value": np.array([2.0]),
        "all infinite": np.full(rows, np.inf),
        "all missing": np.full(rows, np.nan),
        "empty": np.empty(0),
    }


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
