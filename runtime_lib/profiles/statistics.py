"""Effects, p-values and error rates for counts in cells; pure functions of numpy arrays.

An effect says how much two samples differ, a p-value how sure that is. With a hundred thousand rows a
shift of a hundredth of a standard deviation is certain and means nothing, so decisions here need both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime_lib.errors import DataError, require

__all__ = [
    "benjamini_hochberg",
    "binomial_excess",
    "chi_square_p",
    "cohen_h",
    "cohen_h_error",
    "cramers_v",
    "jensen_shannon",
    "ks_distance",
    "psi",
]

Floats = NDArray[np.float64]


def psi(reference: ArrayLike, live: ArrayLike) -> float:
    """Population stability index of two samples counted in the same cells.

    The symmetrised Kullback-Leibler divergence Σ (p - q) ln(p / q) of the cell shares p and q (Jeffreys 1946;
    Yurdakul & Naranjo 2020, "Statistical properties of the population stability index"). Half a row is
    added to every cell, so that an empty one does not make it infinite; cells empty in both are left out.

    Args:
        reference: training counts, shape `(k,)`.
        live: serving counts in the same cells, shape `(k,)`.

    Returns:
        Index in nats, never negative; `0.0` for equal counts.

    Raises:
        DataError: the shapes differ, a count is negative or a sample is empty.
    """
    r, n = _used(reference, live)
    p, q = (r + 0.5) / (r + 0.5).sum(), (n + 0.5) / (n + 0.5).sum()
    return float(np.sum((p - q) * np.log(p / q)))


def ks_distance(reference: ArrayLike, live: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance of two samples counted in the same ordered bins, between 0 and 1.

    The largest gap between the two cumulative shares at an edge of the bins: a lower bound of the distance
    between the samples, below it by at most the mass of the heaviest bin. Arguments and errors as for `psi`.
    """
    r, n = _used(reference, live)
    return float(np.abs(np.cumsum(r) / r.sum() - np.cumsum(n) / n.sum()).max())


def cramers_v(reference: ArrayLike, live: ArrayLike) -> float:
    """Cramér's V of the table "sample x cell" (Cramér 1946), both samples weighted alike, between 0 and 1.

    Weighted by rows, V would shrink the more training rows there are for the same shift.
    Arguments and errors as for `psi`.
    """
    r, n = _used(reference, live)
    p, q = r / r.sum(), n / n.sum()
    return float(np.sqrt(0.5 * np.sum((p - q) ** 2 / (p + q))))


def jensen_shannon(reference: ArrayLike, live: ArrayLike) -> float:
    """Jensen-Shannon distance of two samples counted in the same cells, between 0 and 1.

    The square root of the divergence with base 2 (Endres & Schindelin 2003, IEEE Transactions on Information
    Theory 49:1858-1860). Arguments and errors as for `psi`; shares will do.
    """
    r, n = _used(reference, live)
    p, q = r / r.sum(), n / n.sum()
    middle = (p + q) / 2
    return math.sqrt(min(max((_divergence(p, middle) + _divergence(q, middle)) / 2, 0.0), 1.0))


def _divergence(p: Floats, q: Floats) -> float:
    held = p > 0
    return float((p[held] * np.log2(p[held] / q[held])).sum())


def chi_square_p(reference: ArrayLike, live: ArrayLike) -> float:
    """P-value of Pearson's chi-square test that both samples come from one distribution over the cells.

    Both samples vary: taking training shares as exact would see drift in clean data. Cells where fewer
    than five rows are expected are pooled (Cochran 1954). Arguments and errors as for `psi`.
    """
    table = np.stack(_used(reference, live))
    total = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    least = expected.min(axis=0)
    small = least < 5
    if small.any() and not small.all() and least[small].sum() < 5:
        small[np.flatnonzero(~small)[least[~small].argmin()]] = (
            True  # all small ones together are still too few
        )
    if small.sum() > 1:
        table = np.column_stack([table[:, ~small], table[:, small].sum(axis=1)])
        expected = np.column_stack([expected[:, ~small], expected[:, small].sum(axis=1)])
    if table.shape[1] < 2:
        return 1.0
    statistic = float(((table - expected) ** 2 / expected).sum())
    special = require("scipy.special", extra="monitoring")
    return float(special.gammaincc((table.shape[1] - 1) / 2, statistic / 2))


def binomial_excess(events: int, trials: int, rate: float) -> float:
    """P-value of seeing `events` or more in `trials` when each happens with probability `rate` (exact)."""
    if events <= 0:
        return 1.0
    return float(require("scipy.special", extra="monitoring").bdtrc(events - 1, trials, rate))


def cohen_h(reference: float, live: float) -> float:
    """Effect of a changed rate: 2 asin √live - 2 asin √reference (Cohen 1988, chapter 6).

    Positive for a rise. It means the same over the whole range, where a difference or a ratio does not: from
    0 to 1 % is 0.2, and so is from 30 to 40 %.
    """
    return 2 * math.asin(math.sqrt(live)) - 2 * math.asin(math.sqrt(reference))


def cohen_h_error(reference: int, live: int) -> float:
    """Standard error of Cohen's h for rates of so many rows: the same over the whole range (Cohen 1988)."""
    return math.sqrt(1 / reference + 1 / live)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjust p-values of tests made together to q-values (Benjamini & Hochberg 1995).

    Flagging q < 0.05 keeps the expected share of false ones among all flags below 5 %.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    q = np.empty_like(values)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return [float(v) for v in q]


def _used(reference: ArrayLike, live: ArrayLike) -> tuple[Floats, Floats]:
    r, n = np.asarray(reference, dtype=np.float64), np.asarray(live, dtype=np.float64)
    if r.ndim != 1 or r.shape != n.shape:
        raise DataError(f"The counts have shapes {r.shape} and {n.shape}: count both in the same cells.")
    if min(r.min(initial=0), n.min(initial=0)) < 0 or r.sum() == 0 or n.sum() == 0:
        raise DataError("Counts are negative, or a sample is empty: compare two samples that hold rows.")
    used = (r + n) > 0
    return r[used], n[used]
