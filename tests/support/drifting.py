"""Twenty columns over time whose rows may resemble their neighbours; and changes of known size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr

from runtime_lib.data.columns import Column
from runtime_lib.monitoring.drift import ColumnDrift, Reference, drift, read_reference
from runtime_lib.profiles.table import TableProfile
from runtime_lib.settings import Monitoring
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.profile import build_profile

__all__ = [
    "COLUMNS",
    "MISSING",
    "Stream",
    "judged",
    "names_of",
    "profile_like",
    "reference_of",
    "shares_of_psi",
    "shares_of_v",
    "stream",
]

NUMBERS = [f"n{i}" for i in range(15)]
CATEGORIES = [f"c{i}" for i in range(5)]
COLUMNS = [Column(n, "number", True) for n in NUMBERS] + [Column(c, "category", True) for c in CATEGORIES]
MISSING = 0.05
SHARES = np.array([0.4, 0.3, 0.2, 0.1])

Table = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """Rows in the order of time: the first `reference` of them train, the others come in windows."""

    table: Table
    reference: int
    rows: int

    def windows(self) -> Iterator[Table]:
        size = next(iter(self.table.values())).size
        for start in range(self.reference, size - self.rows + 1, self.rows):
            yield {name: values[start : start + self.rows] for name, values in self.table.items()}


def stream(seed: int, reference: int, rows: int, windows: int, phi: float = 0.0) -> Stream:
    """15 numbers (normal, heavy-tailed, whole, mostly zero, lognormal), 5 categories of 4 to 40 names.

    Args:
        rows, windows: of a window, and how many follow the reference.
        phi: how much a row resembles the one before: the autocorrelation of what is below each column.
    """
    rng, size = np.random.default_rng(seed), reference + windows * rows
    table: Table = {}
    for place, name in enumerate(NUMBERS):
        table[name] = _number(place, _latent(rng, size, phi))
    for place, name in enumerate(CATEGORIES):
        weights = 1 / np.arange(1, 5 + 9 * place) if place else SHARES
        table[name] = names_of(weights / weights.sum(), ndtr(_latent(rng, size, phi)))
    for name, values in table.items():
        missing = ndtr(_latent(rng, size, phi)) < MISSING
        values[missing] = np.nan if name in NUMBERS else None
    return Stream(table, reference, rows)


def reference_of(found: Stream) -> Reference:
    """As a training run would describe it."""
    table = {name: values[: found.reference] for name, values in found.table.items()}
    return read_reference(build_profile(table, COLUMNS, task=BINARY))


def profile_like(reference: Reference, part: Mapping[str, Any]) -> TableProfile:
    fold = reference.fold(answers=False)
    fold.add(reference.columns(part))
    return fold.profile()


def judged(reference: Reference, profiles: list[TableProfile]) -> Iterator[list[ColumnDrift]]:
    """What is said each time a window has come, by the last three of them."""
    for last in range(3, len(profiles) + 1):
        yield drift(reference, profiles[last - 3 : last], Monitoring())


def shares_of_v(v: float) -> NDArray[np.float64]:
    """`SHARES` changed so that Cramér's V is so large."""
    return _moved(lambda q: math.sqrt(0.5 * ((SHARES - q) ** 2 / (SHARES + q)).sum()) - v)


def shares_of_psi(psi: float) -> NDArray[np.float64]:
    """`SHARES` changed so that the index is so large."""
    return _moved(lambda q: float(((SHARES - q) * np.log(SHARES / q)).sum()) - psi)


def _moved(gap: Any) -> NDArray[np.float64]:
    step = np.array([1.0, 0.0, 0.0, -1.0])
    moved = brentq(lambda by: gap(SHARES - by * step), 1e-6, 0.39)
    return np.asarray(SHARES - moved * step)


def _latent(rng: np.random.Generator, size: int, phi: float) -> NDArray[np.float64]:
    """A stationary standard normal process."""
    noise = rng.normal(size=size)
    if not phi:
        return noise
    noise[1:] *= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def _number(place: int, z: NDArray[np.float64]) -> NDArray[np.float64]:
    if place == 11:
        return np.exp(2 * z)
    if place == 12:
        return np.tan(np.pi * (ndtr(z) - 0.5))
    if place == 13:
        return np.floor(7 * ndtr(z))
    if place == 14:
        return np.where(z < 1.28, 0.0, z)
    return place + (1 + place) * z


def names_of(shares: NDArray[np.float64], even: NDArray[np.float64]) -> NDArray[Any]:
    """Names v0, v1, … with such shares, for values that are spread evenly between 0 and 1."""
    names = np.array([f"v{each}" for each in range(shares.size)], dtype=object)
    return names[np.searchsorted(np.cumsum(shares)[:-1], even)]
