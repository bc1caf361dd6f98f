"""What a server counts, by worker and together, and in Prometheus' text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ — a page of code, and no process-wide registry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runtime_lib.serving.releases.figures import Figures

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets, in seconds."""


class Metrics:
    """Counters of a worker, or of several together. Not locked: only the event loop's thread touches them."""

    def __init__(self) -> None:
        self.versions: defaultdict[str, Figures] = defaultdict(Figures)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, route: str, status: int, seconds: float, *, version: str = "", rows: int = 0) -> None:
        """Count a request.

        Args:
            route: the pattern, never the path: what clients send must not make series.
            version: that answered `rows`, or failed; empty: none had a part in it.
        """
        self._requests[route, status] += 1
        self._buckets[route][bisect_left(_BOUNDS, seconds)] += 1
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
            "buckets": dict(self._buckets),
            "seconds": dict(self._seconds),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Metrics:
        found = cls()
        found.versions.update({name: Figures.from_dict(held) for name, held in stored["versions"].items()})
        found._requests.update({(route, status): number for route, status, number in stored["requests"]})
        found._buckets.update(stored["buckets"])
        found._seconds.update(stored["seconds"])
        return found

    def text(self, model: str, ready: Mapping[str, bool]) -> str:
        """The page.

        Args:
            ready: the versions, and whether each is loaded.
        """
        return "\n".join((*_of_versions(model, ready, self.versions), *self._of_requests())) + "\n"

    def _of_requests(self) -> Iterator[str]:
        yield from _head("mlops_rows_total", "Rows predicted and logged.", "counter")
        yield f"mlops_rows_total {sum(figures.rows for figures in self.versions.values())}"
        yield from _head("mlops_requests_total", "Requests answered.", "counter")
        for (route, status), number in sorted(self._requests.items()):
            yield f'mlops_requests_total{{route="{route}",status="{status}"}} {number}'
        yield from _head("mlops_request_seconds", "Time from request to answer.", "histogram")
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, number in zip((*_BOUNDS, "+Inf"), buckets, strict=True):
                total += number
                yield f'mlops_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'mlops_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'mlops_request_seconds_count{{route="{route}"}} {total}'


def _of_versions(model: str, ready: Mapping[str, bool], versions: Mapping[str, Figures]) -> Iterator[str]:
    def named(version: str) -> str:
        return f'{{model="{_escape(model)}",version="{_escape(version)}"}}'

    yield from _head("mlops_model_ready", "Whether the model is loaded.", "gauge")
    yield from (f"mlops_model_ready{named(version)} {int(loaded)}" for version, loaded in ready.items())
    series: Iterable[tuple[str, str, str]] = (
        ("mlops_version_requests_total", "Requests that a version was asked.", "requests"),
        ("mlops_version_errors_total", "Of these, what it failed.", "errors"),
        ("mlops_version_rows_total", "Rows that a version answered.", "rows"),
    )
    for name, help_, field in series:
        yield from _head(name, help_, "counter")
        for version, figures in sorted(versions.items()):
            yield f"{name}{named(version)} {getattr(figures, field)}"


def _head(name: str, help_: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {kind}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
