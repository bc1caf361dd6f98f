"""Samples of what quality rules found: in the months, and in served rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.exposition import Sample
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import sample, table, tables

__all__ = ["of_quality"]


def of_quality(report: Mapping[str, Any], model: str, most: int) -> Iterator[Sample]:
    """Samples of `reports/quality.json`, or of `quality` in monitoring's report.

    Args:
        most: rules to show, broken ones first.
    """
    names = {"model": model, "of": str(report.get("of", ""))}
    yield from sample(d.QUALITY_ROWS, report.get("rows"), **names)
    yield from sample(d.QUARANTINED, report.get("quarantined"), **names)
    judgements = sorted(tables(report, "judgements"), key=lambda each: each.get("word") != "broken")
    if judgements:
        yield d.RULES_LEFT_OUT.sample(max(0, len(judgements) - most), **names)
    for each in judgements[:most]:
        yield from _rule(each, {**names, "rule": str(table(each, "rule").get("name", ""))})


def _rule(judgement: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Sample]:
    rate, word = table(judgement, "rate"), judgement.get("word")
    yield d.BROKEN.sample(int(word == "broken"), **names)
    if not rate:  # a rule of whole months, which it keeps or breaks
        return
    yield d.PROVEN.sample(int(word == "proven"), **names)
    yield from sample(d.BAD, rate.get("share"), **names)
    yield from sample(d.BAD_UPPER, rate.get("upper"), **names)
    yield from sample(d.ACCEPTED, rate.get("target"), **names)
