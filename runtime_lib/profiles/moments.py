"""Mean and spread of numbers, of parts that are brought together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime_lib.profiles.grid import Floats

__all__ = ["Moments"]

_FAR = 1e140


@dataclass(frozen=True)
class Moments:
    """Of `n` values in some unit: mean, sum of squared deviations from it, the least and the largest.

    Values beyond 1e140 units count as that far: of larger ones no square could be kept.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = np.inf
    most: float = -np.inf

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """Args: finite values, `(n,)`."""
        if not values.size:
            return cls()
        least, most = float(values.min()), float(values.max())
        if least < -_FAR or most > _FAR:
            return cls.of(np.clip(values, -_FAR, _FAR))
        mean = float(values.mean())
        # Not the sum of squares less that of the mean: far from 0 nothing would be left of it.
        apart = values - mean
        # Not by `dot`: it would wake threads, which on a busy machine wait for each other.
        np.square(apart, out=apart)
        return cls(values.size, mean, float(apart.sum()), least, most)

    def merge(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub & LeVeque 1983, The American Statistician 37:242-247)."""
        if not self.n or not other.n:
            return self if self.n else other
        n, apart = self.n + other.n, other.mean - self.mean
        mean = self.mean + apart * other.n / n
        squares = self.squares + other.squares + apart**2 * self.n * other.n / n
        return Moments(n, mean, squares, min(self.least, other.least), max(self.most, other.most))
