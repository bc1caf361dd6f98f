"""What a server counts, by worker and together, and the page that Prometheus scrapes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime_lib.exposition import Metric, Sample, page
from runtime_lib.serving.releases.figures import Figures

__all__ = ["BOUNDS", "METRICS", "PREDICTING", "READY", "REQUESTS", "SECONDS", "Metrics"]

BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 10.0),
)
"""Upper bounds of the latency buckets, in seconds: an objective of latency is one of them."""

PREDICTING = ("/invocations", "/raw/invocations", "/v2/models/{name}/infer")
"""Routes whose requests count for objectives."""

# The buckets that 0.8 knows: after an upgrade its supervisor may hold workers of this version.
_COARSE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A series that began with its first failure would hide that one from `rate`: these are there from the start.
_FROM_THE_START = (200, 500, 503)

_OF_VERSION = ("model", "version")
READY = Metric("mlops_model_ready", "gauge", "Whether the version is loaded.", "", _OF_VERSION)
VERSION_REQUESTS = Metric(
    "mlops_version_requests_total", "counter", "Requests that a version was asked.", "requests", _OF_VERSION
)
VERSION_ERRORS = Metric(
    "mlops_version_errors_total", "counter", "Of these, what it failed.", "requests", _OF_VERSION
)
VERSION_ROWS = Metric(
    "mlops_version_rows_total", "counter", "Rows that a version answered.", "rows", _OF_VERSION
)
ROWS = Metric("mlops_rows_total", "counter", "Rows predicted and logged.", "rows", ("model",))
REQUESTS = Metric(
    "mlops_requests_total", "counter", "Requests answered.", "requests", ("model", "route", "status")
)
SECONDS = Metric(
    "mlops_request_seconds", "histogram", "Time from request to answer.", "seconds", ("model", "route")
)
METRICS = (READY, VERSION_REQUESTS, VERSION_ERRORS, VERSION_ROWS, ROWS, REQUESTS, SECONDS)
"""All that a server's page has."""


class Metrics:
    """Counters of a worker, or of several together. Not locked: only the event loop's thread touches them."""

    def __init__(self) -> None:
        self.versions: defaultdict[str, Figures] = defaultdict(Figures)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, route: str, status: int, seconds: float, *, version: str = "", rows: int = 0) -> None:
        """Count a request.

        Args:
            route: the pattern, never the path: what clients send must not make series.
            version: that answered `rows`, or failed; empty: none had a part in it.
        """
        self._requests[route, status] += 1
        self._buckets[route][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds
        if version and rows:
            self.versions[version].answered(seconds, rows)
        elif version:
            self.versions[version].failed()

    def add(self, other: Metrics) -> None:
        """Count what another worker has counted too."""
        for version, figures in other.versions.items():
            self.versions[version] += figures
        self._requests.update(other._requests)
        for route, buckets in other._buckets.items():
            self._buckets[route] = [a + b for a, b in zip(self._buckets[route], buckets, strict=True)]
            self._seconds[route] += other._seconds[route]

    def to_dict(self) -> dict[str, Any]:
        return {
            "versions": {version: figures.to_dict() for version, figures in self.versions.items()},
            "requests": [[route, status, number] for (route, status), number in self._requests.items()],
            "buckets": {route: _coarse(cells) for route, cells in self._buckets.items()},
            "cells": dict(self._buckets),
            "seconds": dict(self._seconds),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Metrics:
        found = cls()
        found.versions.update({name: Figures.from_dict(held) for name, held in stored["versions"].items()})
        found._requests.update({(route, status): number for route, status, number in stored["requests"]})
        cells = stored.get("cells") or {route: _fine(held) for route, held in stored["buckets"].items()}
        found._buckets.update(cells)
        found._seconds.update(stored["seconds"])
        return found

    def text(self, model: str, ready: Mapping[str, bool]) -> str:
        """The page.

        Args:
            ready: the versions, and whether each is loaded.
        """
        return page((*self._of_versions(model, ready), *self._of_requests(model)))

    def _of_versions(self, model: str, ready: Mapping[str, bool]) -> Iterator[Sample]:
        for version, loaded in ready.items():
            yield READY.sample(int(loaded), model=model, version=version)
        for version, figures in sorted(self.versions.items()):
            yield VERSION_REQUESTS.sample(figures.requests, model=model, version=version)
            yield VERSION_ERRORS.sample(figures.errors, model=model, version=version)
            yield VERSION_ROWS.sample(figures.rows, model=model, version=version)

    def _of_requests(self, model: str) -> Iterator[Sample]:
        yield ROWS.sample(sum(figures.rows for figures in self.versions.values()), model=model)
        begun = {(route, status): 0 for route in PREDICTING for status in _FROM_THE_START}
        for (route, status), number in sorted({**begun, **self._requests}.items()):
            yield REQUESTS.sample(number, model=model, route=route, status=str(status))
        for route, cells in sorted(self._buckets.items()):
            total = 0
            for bound, number in zip((*map(str, BOUNDS), "+Inf"), cells, strict=True):
                total += number
                yield SECONDS.sample(total, "_bucket", model=model, route=route, le=bound)
            yield SECONDS.sample(self._seconds[route], "_sum", model=model, route=route)
            yield SECONDS.sample(total, "_count", model=model, route=route)


def _coarse(cells: Sequence[int]) -> list[int]:
    """What the buckets of 0.8 hold."""
    found = [0] * (len(_COARSE) + 1)
    for bound, number in zip((*BOUNDS, float("inf")), cells, strict=True):
        found[bisect_left(_COARSE, bound)] += number
    return found


def _fine(buckets: Sequence[int]) -> list[int]:
    """The buckets of 0.8, each as slow as it may have been."""
    found = [0] * (len(BOUNDS) + 1)
    for bound, number in zip((*_COARSE, float("inf")), buckets, strict=True):
        found[bisect_left(BOUNDS, bound)] += number
    return found
