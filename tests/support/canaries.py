"""Simulated releases: requests that fail, take time and lose something, judged after every batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from runtime_lib.serving.releases.evidence import Evidence
from runtime_lib.serving.releases.figures import BASE, Figures, Latencies, Moments
from runtime_lib.serving.releases.judge import Verdict, judge
from runtime_lib.serving.releases.rules import Rules

__all__ = ["Canary", "Traffic", "first", "looks", "moments"]


@dataclass(frozen=True)
class Traffic:
    """What all versions are sent; `tide` lets errors, latency and losses rise and fall together."""

    shares: tuple[float, ...] = (0.01, 0.1, 0.5)
    looks: int = 80  # in each step
    batch: int = 250
    errors: float = 0.01
    tide: float = 0.0
    loss: Callable[[np.random.Generator, int], np.ndarray] = field(
        default=lambda rng, n: rng.exponential(1, n)
    )


@dataclass(frozen=True)
class Canary:
    """How it differs, from the look `since` on: in its share of errors, its latency, and its mean loss."""

    errors: float = 0.0
    slower: float = 1.0
    loss: float = 0.0
    since: int = 0


def looks(
    seed: int, traffic: Traffic, canary: Canary, rules: Rules
) -> Iterator[tuple[int, Evidence, Verdict]]:
    """The number of each look, the evidence and the verdict."""
    rng = np.random.default_rng(seed)
    one, other, evidence = Figures(), Figures(), Evidence()
    for look in range(traffic.looks * len(traffic.shares)):
        step = look // traffic.looks
        number = int(rng.binomial(traffic.batch, traffic.shares[step]))
        tide = 1 + traffic.tide * math.sin(look / 15)
        now = canary if look >= canary.since else Canary()
        _serve(one, rng, number, traffic, tide, now)
        _serve(other, rng, traffic.batch - number, traffic, tide, Canary())
        evidence = evidence.look(one, other, rules, step=step)
        yield look, evidence, judge(evidence, rules, canary="7", champion="5")


def first(seed: int, outcome: str, traffic: Traffic, canary: Canary, rules: Rules) -> int | None:
    """The canary's requests when a verdict was first reached, counted from when it changed; None if never."""
    before = 0
    for look, evidence, verdict in looks(seed, traffic, canary, rules):
        if look < canary.since:
            before = evidence.canary.requests
        if verdict.outcome == outcome:
            return evidence.canary.requests - before
    return None


def moments(values: np.ndarray) -> Moments:
    if not len(values):
        return Moments()
    return Moments(len(values), float(values.mean()), float(((values - values.mean()) ** 2).sum()))


def _serve(
    to: Figures, rng: np.random.Generator, number: int, traffic: Traffic, tide: float, how: Canary
) -> None:
    for _ in range(failed := int(rng.binomial(number, min(traffic.errors * tide + how.errors, 1)))):
        to.failed()
    seconds = 0.02 * how.slower * math.sqrt(tide) * rng.lognormal(0, 0.5, number - failed)
    # `Figures.answered` for each of them, in one go: millions of requests are simulated.
    buckets, counts = np.unique(np.ceil(np.log(seconds) / math.log(BASE)) - 1, return_counts=True)
    to.latencies += Latencies(Counter(dict(zip(buckets.astype(int).tolist(), counts.tolist(), strict=True))))
    to.requests += len(seconds)
    to.rows += len(seconds)
    to.losses += moments(traffic.loss(rng, number) + tide + how.loss)
