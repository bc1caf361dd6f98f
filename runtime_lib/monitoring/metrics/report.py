"""Samples of what `mlops monitor` found: `var/monitoring/report.json`.

Reports of every format are exported as far as they go: a field that is missing gives no sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime_lib.exposition import Sample
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import sample, table, tables, timestamp

__all__ = ["left_out", "of_report"]


def of_report(report: Mapping[str, Any], model: str, most: int) -> Iterator[Sample]:
    """Samples of a report.

    Args:
        model: whose report it is, if it does not say so itself.
        most: columns to show: answers first, then those that have drifted, then by effect.
    """
    names = {"model": str(report.get("model") or model), "version": str(report.get("version") or "")}
    of_model = {"model": names["model"]}
    yield from _moments(report, of_model)
    yield from sample(d.JUDGED, report.get("rows"), **names)
    yield from sample(d.RETRAIN, report.get("retrain"), **names)
    if isinstance(damage := report.get("damage"), list):
        yield d.DAMAGE.sample(len(damage), **of_model)
    if isinstance(skewed := table(report, "skew").get("columns"), list):
        yield d.SKEWED.sample(len(skewed), **names)
    columns = _columns(report)
    yield from _drift(columns, most, names)
    yield from _thresholds(columns, of_model)
    yield from _performance(table(report, "performance"), names)
    estimated = table(report, "estimated")
    yield from sample(d.ESTIMATED, estimated.get("value"), **names, metric=str(estimated.get("metric")))


def left_out(report: Mapping[str, Any], most: int) -> list[str]:
    """Names of the columns that are not shown."""
    return [column["name"] for column in _columns(report)[most:]]


def _columns(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Answers first, then as the report has them: those that have drifted, then by effect."""
    found = [*tables(report, "predictions"), *tables(report, "columns")]
    return [column for column in found if isinstance(column.get("name"), str)]


def _moments(report: Mapping[str, Any], of_model: Mapping[str, str]) -> Iterator[Sample]:
    yield from sample(d.REPORTED, timestamp(report.get("time")), **of_model)
    yield from sample(d.LAST_ROW, timestamp(report.get("last")), **of_model)


def _drift(columns: Sequence[Mapping[str, Any]], most: int, names: Mapping[str, str]) -> Iterator[Sample]:
    if not columns:
        return
    yield d.DRIFTED.sample(sum(column.get("drifted") is True for column in columns), **names)
    yield d.LEFT_OUT.sample(max(0, len(columns) - most), **names)
    for column in columns[:most]:
        yield from _column(column, {**names, "column": column["name"]})


def _column(column: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Sample]:
    yield from sample(d.COLUMN_DRIFTED, column.get("drifted"), **names)
    yield from sample(d.NULLS, table(column, "nulls").get("live"), **names)
    yield from sample(d.UNSEEN, table(column, "unseen").get("live"), **names)
    for statistic, value in _effects(column):
        yield from sample(d.EFFECT, value, **names, statistic=statistic)


def _effects(column: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    evidence = tables(column, "evidence")
    yield from ((str(each.get("name")), each.get("value")) for each in evidence)
    if not evidence:
        yield "psi", column.get("effect")
        yield str(column.get("second_name")), column.get("second")


def _thresholds(columns: Sequence[Mapping[str, Any]], of_model: Mapping[str, str]) -> Iterator[Sample]:
    for column in columns:
        for each in tables(column, "evidence"):
            yield from sample(d.THRESHOLD, each.get("threshold"), **of_model, statistic=str(each.get("name")))


def _performance(found: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Sample]:
    yield from sample(d.LABELLED, found.get("labelled"), **names)
    yield from sample(d.COVERAGE, found.get("coverage"), **names)
    if not isinstance(metric := found.get("metric"), str):
        return
    figures = {d.LIVE: "live", d.LOWER: "lower", d.UPPER: "upper", d.HELD_OUT: "held_out", d.BEST: "best"}
    for each, field in figures.items():
        yield from sample(each, found.get(field), **names, metric=metric)
