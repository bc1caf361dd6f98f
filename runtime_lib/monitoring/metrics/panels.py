"""Grafana's dashboards as JSON: panels in rows, laid out on its grid of 24 columns.

Version 42 of the schema is the last of the dashboards' API v1 (Grafana 12); older Grafana reads it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Panel", "Query", "Row", "dashboard"]

_SCHEMA = 42
_WIDTH = 24
_ROW_HEIGHT = 1
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OK, _BAD = "green", "red"


@dataclass(frozen=True)
class Query:
    """PromQL, and what a series of it is called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """Attributes:
    unit: a unit's id in Grafana.
    limit: from where a value is shown in red; None: nowhere.
    """

    title: str
    queries: Sequence[Query]
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    unit: str = "none"
    description: str = ""
    limit: float | None = None
    width: int = 12
    height: int = 8


@dataclass(frozen=True)
class Row:
    title: str
    panels: Sequence[Panel]


def dashboard(
    uid: str, title: str, rows: Sequence[Row], *, model: str, models: str, description: str
) -> dict[str, Any]:
    """A dashboard, as Grafana imports it.

    Args:
        model: the model that is shown at first.
        models: the query that lists all of them.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["mlops"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_source_variable(), _model_variable(model, models)]},
        "panels": [*_laid_out(rows)],
    }


def _source_variable() -> Mapping[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "options": [],
        "refresh": 1,
        "hide": 0,
    }


def _model_variable(model: str, models: str) -> Mapping[str, Any]:
    return {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": models, "refId": "StandardVariableQuery"},
        "current": {"selected": True, "text": model, "value": model},
        "options": [],
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
        "hide": 0,
    }


def _laid_out(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Panels from left to right, and under one another where a line is full."""
    number = top = 0
    for row in rows:
        number += 1
        grid = {"x": 0, "y": top, "w": _WIDTH, "h": _ROW_HEIGHT}
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": grid,
        }
        top += _ROW_HEIGHT
        left = height = 0
        for panel in row.panels:
            if left + panel.width > _WIDTH:
                top, left, height = top + height, 0, 0
            number += 1
            grid = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": grid, **_panel(panel)}
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": _OK, "value": None}]
    if panel.limit is not None:
        steps.append({"color": _BAD, "value": panel.limit})
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        shown = "dashed" if panel.limit is not None else "off"
        defaults["custom"] = {"drawStyle": "line", "showPoints": "auto", "thresholdsStyle": {"mode": shown}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(number, query, panel.kind) for number, query in enumerate(panel.queries)],
    }


def _target(number: int, query: Query, kind: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "range": kind == "timeseries",
        "instant": kind != "timeseries",
    }


_REDUCED = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": _REDUCED,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    },
    "bargauge": {
        "reduceOptions": _REDUCED,
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
    },
}
