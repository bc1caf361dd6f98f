"""What is known of one version since a release began; workers' figures add up, snapshots subtract."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.errors import DataError

__all__ = ["BASE", "Figures", "Latencies", "Moments"]

_PER_DOUBLING = 16
BASE = 2 ** (1 / _PER_DOUBLING)
"""A bucket's upper edge over its lower one: scale 4 of OpenTelemetry's exponential histograms.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram — the error of a quantile
is at most a factor of `sqrt(BASE)`, 2.2 %.
"""
_LOWEST, _HIGHEST = -20 * _PER_DOUBLING, 10 * _PER_DOUBLING - 1  # 1 microsecond to 17 minutes


@dataclass(slots=True)
class Latencies:
    """Seconds per answer, counted in buckets: number `i` holds what is in (BASE^i, BASE^(i+1)]."""

    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        self.buckets[_bucket(seconds)] += 1

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def bucket_of(self, share: float) -> int | None:
        """The bucket in which the quantile `share` lies; None if nothing was counted."""
        rank = share * self.count
        below = 0
        for bucket in sorted(self.buckets):
            below += self.buckets[bucket]
            if below >= rank and below > 0:
                return bucket
        return None

    def quantile(self, share: float) -> float | None:
        """Seconds, 2.2 % too high or low at most (1 microsecond to 17 minutes); None without answers."""
        bucket = self.bucket_of(share)
        return None if bucket is None else BASE ** (bucket + 0.5)

    def beyond(self, bucket: int) -> int:
        """How many were slower than all of that bucket."""
        return sum(number for index, number in self.buckets.items() if index > bucket)

    def __add__(self, other: Latencies) -> Latencies:
        return Latencies(_plus(self.buckets, other.buckets, 1))

    def __sub__(self, other: Latencies) -> Latencies:
        rest = _plus(self.buckets, other.buckets, -1)
        if min(rest.values(), default=0) < 0:
            raise _fallen("latencies")
        return Latencies(rest)


@dataclass(slots=True)
class Moments:
    """Number of values, their mean, and the sum of squares about it; values such as the loss of a row."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of_hits(cls, hits: int, trials: int) -> Moments:
        """Those of trials of which a hit counts 1 and the others 0.

        Raises:
            DataError: there are more hits than trials.
        """
        if not 0 <= hits <= trials:
            raise DataError(f"{hits} hits of {trials} trials are no share. Count each trial once.")
        return cls(trials, hits / trials, hits * (trials - hits) / trials) if trials else cls()

    def add(self, value: float) -> None:
        """Count one value, by Welford's recurrence.

        Raises:
            DataError: it is not finite.
        """
        if not math.isfinite(value):
            raise DataError(f"{value!r} cannot be averaged. Leave such rows out of the comparison.")
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    def __add__(self, other: Moments) -> Moments:
        """As Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"."""
        if not other.count:
            return Moments(self.count, self.mean, self.squares)
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * other.count / count,
            self.squares + other.squares + step**2 * self.count * other.count / count,
        )

    def __sub__(self, other: Moments) -> Moments:
        count = self.count - other.count
        if count < 0:
            raise _fallen("labelled rows")
        if not count:
            return Moments()
        mean = self.mean + (self.mean - other.mean) * other.count / count
        between = (mean - other.mean) ** 2 * count * other.count / self.count
        return Moments(count, mean, max(0.0, self.squares - other.squares - between))


@dataclass(slots=True)
class Figures:
    """What one version did: `a + b` of two workers, `now - before` since a snapshot.

    Args:
        requests: those the version was asked, without what the client got wrong (4xx).
        errors: of them, those in which the version itself failed (5xx).
        rows: rows predicted.
        latencies: of the requests that were answered; failing fast is not fast.
        losses: of the rows whose labels have arrived, in the task's own unit.
    """

    requests: int = 0
    errors: int = 0
    rows: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    losses: Moments = field(default_factory=Moments)

    def answered(self, seconds: float, rows: int = 1) -> None:
        self.requests += 1
        self.rows += rows
        self.latencies.add(seconds)

    def failed(self) -> None:
        self.requests += 1
        self.errors += 1

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.requests + other.requests,
            self.errors + other.errors,
            self.rows + other.rows,
            self.latencies + other.latencies,
            self.losses + other.losses,
        )

    def __sub__(self, other: Figures) -> Figures:
        """What came after the snapshot `other`.

        Raises:
            DataError: something was counted more often in the snapshot.
        """
        rest = Figures(
            self.requests - other.requests,
            self.errors - other.errors,
            self.rows - other.rows,
            self.latencies - other.latencies,
            self.losses - other.losses,
        )
        if min(rest.requests, rest.errors, rest.rows) < 0:
            raise _fallen("requests")
        return rest

    def to_dict(self) -> dict[str, Any]:
        losses = self.losses
        return {
            "requests": self.requests,
            "errors": self.errors,
            "rows": self.rows,
            "latencies": {str(bucket): self.latencies.buckets[bucket] for bucket in self.latencies.buckets},
            "losses": [losses.count, losses.mean, losses.squares],
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Figures:
        buckets = Counter({int(bucket): number for bucket, number in held["latencies"].items()})
        return cls(
            held["requests"], held["errors"], held["rows"], Latencies(buckets), Moments(*held["losses"])
        )


def _plus(one: Counter[int], other: Counter[int], sign: int) -> Counter[int]:
    """A sum without zeros, made in a fraction of the time that `Counter`'s own takes."""
    sums = Counter(one)
    for bucket, number in other.items():
        sums[bucket] = sums.get(bucket, 0) + sign * number
        if not sums[bucket]:
            del sums[bucket]
    return sums


def _bucket(seconds: float) -> int:
    if seconds <= 0:
        return _LOWEST
    bucket = math.ceil(math.log2(seconds) * _PER_DOUBLING) - 1
    if _LOWEST <= bucket <= _HIGHEST:
        return bucket
    return _LOWEST if bucket < _LOWEST else _HIGHEST


def _fallen(what: str) -> DataError:
    return DataError(
        f"There are fewer {what} now than in the earlier snapshot. "
        f"Keep what a worker had counted when it ended."
    )
