"""How busy a server is: the requests under way, on the mean over time.

A mean, because a look at one moment finds a busy event loop between two batches as often as an idle one.
"""

from __future__ import annotations

import time

__all__ = ["Load"]


class Load:
    """Counts requests under way. For the event loop's thread only."""

    def __init__(self) -> None:
        self._under_way = 0
        self._summed = 0.0
        self._asked = self._counted = time.perf_counter()

    def begin(self, now: float) -> None:
        """`now`, as in `end`: of `time.perf_counter`, which who counts requests has asked already."""
        self._count(1, now)

    def end(self, now: float) -> None:
        self._count(-1, now)

    def mean(self) -> float:
        """The mean since this was last asked."""
        now = time.perf_counter()
        self._count(0, now)
        seconds, summed = now - self._asked, self._summed
        self._asked, self._summed = now, 0.0
        return summed / seconds if seconds else float(self._under_way)

    def _count(self, more: int, now: float) -> None:
        self._summed += self._under_way * (now - self._counted)
        self._counted = now
        self._under_way += more
