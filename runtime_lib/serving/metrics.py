"""What the server counts, in Prometheus' text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ — a page of code, and no process-wide registry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets, in seconds."""


class Metrics:
    """Counters of one server process. Not locked: only the event loop's thread touches them."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._rows = 0
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is the pattern, never the path: what clients send must not make series."""
        self._requests[route, status] += 1
        buckets = self._buckets.setdefault(route, [0] * (len(_BOUNDS) + 1))
        buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[route] += seconds

    def count_rows(self, rows: int) -> None:
        self._rows += rows

    def asked(self, routes: Collection[str]) -> tuple[int, int]:
        """How many requests these routes answered, and how many of them failed by the server's fault."""
        found = [(status, count) for (route, status), count in self._requests.items() if route in routes]
        return sum(count for _, count in found), sum(count for status, count in found if status >= 500)

    @property
    def rows(self) -> int:
        return self._rows

    def text(self, *, model: str, version: str, ready: bool) -> str:
        return "\n".join(self._lines(model, version, ready)) + "\n"

    def _lines(self, model: str, version: str, ready: bool) -> Iterator[str]:
        yield "# HELP mlops_model_ready Whether the model is loaded.\n# TYPE mlops_model_ready gauge"
        yield f'mlops_model_ready{{model="{_escape(model)}",version="{_escape(version)}"}} {int(ready)}'
        yield "# HELP mlops_rows_total Rows predicted and logged.\n# TYPE mlops_rows_total counter"
        yield f"mlops_rows_total {self._rows}"
        yield "# HELP mlops_requests_total Requests answered.\n# TYPE mlops_requests_total counter"
        for (route, status), number in sorted(self._requests.items()):
            yield f'mlops_requests_total{{route="{route}",status="{status}"}} {number}'
        yield "# HELP mlops_request_seconds Time from request to answer."
        yield "# TYPE mlops_request_seconds histogram"
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, number in zip((*_BOUNDS, "+Inf"), buckets, strict=True):
                total += number
                yield f'mlops_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'mlops_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'mlops_request_seconds_count{{route="{route}"}} {total}'


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
