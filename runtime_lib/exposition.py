"""Metrics in Prometheus' text format 0.0.4: what each is, samples of it, and the page that is scraped.

https://prometheus.io/docs/instrumenting/exposition_formats/ — a page of code, and no process-wide registry.
Names: https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["CONTENT_TYPE", "Metric", "Sample", "escape", "page"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKET = "_bucket"


@dataclass(frozen=True)
class Metric:
    """A metric as it is defined once: exporters, rules, dashboards and docs take it from here.

    Attributes:
        unit: of its values, in words; empty: a number without one.
        labels: the names that each of its samples has.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    labels: tuple[str, ...]

    def sample(self, value: float, suffix: str = "", **labels: str) -> Sample:
        """A value of it.

        Args:
            suffix: of a histogram: `_bucket` (which has the label `le` too), `_sum` or `_count`.
        """
        wanted = (*self.labels, "le") if suffix == _BUCKET else self.labels
        assert set(labels) == set(wanted), f"{self.name} has the labels {wanted}, not {tuple(labels)}"
        return Sample(self, suffix, {name: labels[name] for name in wanted}, value)

    def __str__(self) -> str:
        return self.name


class Sample(NamedTuple):
    metric: Metric
    suffix: str
    labels: Mapping[str, str]
    value: float

    @property
    def series(self) -> str:
        """Its name and labels, as the page has them."""
        given = ",".join(f'{name}="{escape(value)}"' for name, value in self.labels.items())
        return f"{self.metric.name}{self.suffix}" + (f"{{{given}}}" if given else "")


def page(samples: Iterable[Sample]) -> str:
    """The page of all samples, those of a metric together. Of one series the last value counts."""
    families: dict[Metric, dict[str, float]] = {}
    for sample in samples:
        families.setdefault(sample.metric, {})[sample.series] = sample.value
    return "".join(f"{line}\n" for metric, series in families.items() for line in _family(metric, series))


def _family(metric: Metric, series: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escape_help(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for name, value in series.items():
        yield f"{name} {int(value) if isinstance(value, int) else float(value)!r}"


def escape(value: str) -> str:
    """A label's value between quotes, on the page and in a query alike."""
    return _escape_help(value).replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
