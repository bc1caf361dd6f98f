"""Mean and spread of numbers, of parts that are brought together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime_lib.profiles.grid import Floats

__all__ = ["Moments"]


_FAR = 1e140  # its square is still a number, also of some hundred million values


@dataclass(frozen=True)
class Moments:
    """Of `n` values in some unit: mean, sum of squared deviations from it, the least and the largest."""

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
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.mean()
            squares = np.dot(values, values) - values.size * mean**2
        if not np.isfinite(squares):
            return cls.of(np.clip(values, -_FAR, _FAR))
        return cls(
            values.size, float(mean), max(float(squares), 0.0), float(values.min()), float(values.max())
        )

    def merge(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub & LeVeque 1983, The American Statistician 37:242-247)."""
        if not self.n or not other.n:
            return self if self.n else other
        n, apart = self.n + other.n, other.mean - self.mean
        mean = self.mean + apart * other.n / n
        squares = self.squares + other.squares + apart**2 * self.n * other.n / n
        return Moments(n, mean, squares, min(self.least, other.least), max(self.most, other.most))
