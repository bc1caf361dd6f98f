"""The page of a project's metrics: every source that is there, each on its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime_lib import __version__
from runtime_lib.exposition import Sample, page
from runtime_lib.files import read_json
from runtime_lib.hardware.read.facts import facts
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import table
from runtime_lib.monitoring.metrics.machine import Machine, of_training
from runtime_lib.monitoring.metrics.quality import of_quality
from runtime_lib.monitoring.metrics.report import left_out, of_report
from runtime_lib.monitoring.metrics.service import of_alerts, of_log, of_releases
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings

__all__ = ["Collected", "Collector"]

# Several Prometheus servers that scrape at once are given the same page.
_SECONDS_KEPT = 1.0
# Reports are read field by field, so a later format is no reason to refuse one.
_ANY_FORMAT = 1 << 30
_MOST_NAMED = 20

Source = Callable[[], Iterator[Sample]]


@dataclass(frozen=True)
class Collected:
    """A page, and what is not on it.

    Attributes:
        warnings: a sentence for each source that could not be read, and for columns that were left out.
    """

    text: str
    warnings: tuple[str, ...] = ()


class Collector:
    """Reads a project's sources, as often as it is asked."""

    def __init__(self, settings: Settings, *, machine: Machine | None = None) -> None:
        """
        Args:
            machine: default: this one. It is closed with the collector.
        """
        self._settings = settings
        self._machine = machine or Machine(facts(), settings.hardware)
        self._lock = threading.Lock()
        self._last: tuple[float, Collected] | None = None

    def collect(self) -> Collected:
        """The page now, or that of the last second. A source that fails takes its own metrics with it."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] >= _SECONDS_KEPT:
                self._last = (time.monotonic(), self._collect())
            return self._last[1]

    def close(self) -> None:
        """End the machine's counters."""
        with self._lock:
            self._machine.close()

    def _collect(self) -> Collected:
        settings, model = self._settings, self._settings.model_name
        found = [d.INFO.sample(1, model=model, environment=settings.environment, library=__version__)]
        warnings: list[str] = []
        for name, source in self._sources(warnings).items():
            try:
                samples = [*source()]
                # A label may hold what cannot be sent: it must not take the page with it.
                page(samples).encode()
            except Exception as error:  # whatever a damaged file makes its reader raise
                samples = []
                warnings.append(f"{name}: {without_secrets(' '.join(str(error).split()))}")
                found.append(d.READABLE.sample(0, model=model, source=name))
            else:
                found.append(d.READABLE.sample(1, model=model, source=name))
            found += samples
        comments = "".join(f"# mlops: {warning}\n" for warning in warnings)
        return Collected(comments + page(found), tuple(warnings))

    def _sources(self, warnings: list[str]) -> Mapping[str, Source]:
        settings, model = self._settings, self._settings.model_name
        return {
            "report": partial(self._report, warnings),
            "quality": self._quality,
            "alerts": partial(of_alerts, settings),
            "releases": partial(of_releases, settings.releases),
            "log": partial(of_log, settings.predictions, model),
            "training": partial(of_training, settings.record, model),
            "machine": partial(self._machine.samples, model),
        }

    def _report(self, warnings: list[str]) -> Iterator[Sample]:
        path = self._settings.monitoring_report
        if not path.exists():  # nobody has monitored yet
            return
        report: dict[str, Any] = read_json(path, made_by="mlops monitor", newest=_ANY_FORMAT)
        model, most = self._settings.model_name, self._settings.monitoring.metrics_columns
        yield from of_report(report, model, most)
        if served := table(report, "quality"):
            yield from of_quality(served, str(report.get("model") or model), most)
        if names := left_out(report, most):
            more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
            warnings.append(
                f"left out, beyond monitoring.metrics_columns = {most}: "
                f"{', '.join(map(repr, names[:_MOST_NAMED]))}{more}"
            )

    def _quality(self) -> Iterator[Sample]:
        path = self._settings.report("quality")
        if path.exists():
            report = read_json(path, made_by="mlops quality", newest=_ANY_FORMAT)
            yield from of_quality(
                report, self._settings.model_name, self._settings.monitoring.metrics_columns
            )
