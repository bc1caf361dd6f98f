"""PromQL, made of metrics' definitions: a query cannot name a metric or a label that is not there."""

from __future__ import annotations

from runtime_lib.exposition import Metric, escape
from runtime_lib.serving.metrics import PREDICTING

__all__ = ["PREDICTIONS", "Matching", "select"]


class Matching(str):
    """A regular expression (RE2) in the place of a label's value."""


PREDICTIONS = Matching("|".join(route.replace("{", r"\{").replace("}", r"\}") for route in PREDICTING))
"""The routes that predict: those of pages and health must not water down an objective."""


def select(metric: Metric, /, suffix: str = "", over: str = "", **labels: str) -> str:
    """A selector of a metric's series.

    Args:
        suffix: of a histogram.
        over: a range, as `5m`.
        labels: what they must be; one that is `Matching` must match.
    """
    known = (*metric.labels, "le") if suffix == "_bucket" else metric.labels
    if strange := set(labels) - set(known):
        raise ValueError(f"{metric.name} has no label {', '.join(sorted(strange))}")
    matchers = [
        f'{name}{"=~" if isinstance(value, Matching) else "="}"{escape(value)}"'
        for name, value in labels.items()
    ]
    return f"{metric.name}{suffix}{{{','.join(matchers)}}}" + (f"[{over}]" if over else "")
