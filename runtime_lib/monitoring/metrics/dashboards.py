"""The two dashboards: how good the model is, and how the service does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_lib.exposition import Metric
from runtime_lib.hardware.energy.estimate import JOULES_PER_KWH
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.objectives import objectives, recorded
from runtime_lib.monitoring.metrics.panels import Panel, Query, Row, dashboard
from runtime_lib.monitoring.metrics.queries import PREDICTIONS, Matching, select
from runtime_lib.serving.metrics import READY, REQUESTS, ROWS, SECONDS, VERSION_ERRORS, VERSION_REQUESTS
from runtime_lib.settings import Settings

__all__ = ["dashboards"]

# Grafana's variables: the model that was chosen, and a range that holds scrapes enough for a rate.
_MODEL = "$model"
_RANGE = "$__rate_interval"
_FIRING = f'ALERTS{{alertname=~"Mlops.*",alertstate="firing",model="{_MODEL}"}}'


def dashboards(settings: Settings) -> Mapping[str, dict[str, Any]]:
    """File name → dashboard.

    Raises:
        SettingsError: see `objectives`.
    """
    shared = {"model": settings.model_name, "models": f"label_values({d.INFO}, model)"}
    return {
        "mlops-model.json": dashboard(
            "mlops-model",
            "MLOps: model",
            [_state(settings), _drift(), _performance(), _quality()],
            description="What `mlops monitor` found: drift, performance, quality.",
            **shared,
        ),
        "mlops-service.json": dashboard(
            "mlops-service",
            "MLOps: service",
            [_requests(), _objectives(settings), _releases(), _machine()],
            description="What the server answers, releases, the machine and its energy.",
            **shared,
        ),
    }


def _of(metric: Metric, suffix: str = "", over: str = "", **labels: str) -> str:
    return select(metric, suffix, over, model=_MODEL, **labels)


def _state(settings: Settings) -> Row:
    stale = settings.monitoring.objectives.report_hours * 3600
    panels: Sequence[Panel] = (
        _stat("Alerts of Prometheus", f"count({_FIRING}) or vector(0)", limit=1),
        _stat("Alerts on channels", f"sum({_of(d.FIRING)})", limit=1),
        _stat("Not delivered", f"sum({_of(d.UNDELIVERED)})", limit=1),
        _stat("Retraining is due", f"max({_of(d.RETRAIN)})", limit=1),
        _stat("Drifted columns", f"max({_of(d.DRIFTED)})", limit=1),
        _stat("Broken quality rules", f"sum({_of(d.BROKEN)})", limit=1),
        _stat("Age of the report", f"time() - {_of(d.REPORTED)}", unit="s", limit=stale),
        _stat("With a label", f"max({_of(d.COVERAGE)})", unit="percentunit"),
    )
    return Row("State", panels)


def _stat(title: str, expr: str, *, unit: str = "none", limit: float | None = None) -> Panel:
    return Panel(title, [Query(expr)], kind="stat", unit=unit, limit=limit, width=3, height=4)


def _drift() -> Row:
    threshold = f"max by (model, statistic) ({_of(d.THRESHOLD)})"
    relative = f"{_of(d.EFFECT)} / on (model, statistic) group_left () {threshold}"
    return Row(
        "Drift",
        (
            Panel(
                "Effect, in parts of what matters",
                [Query(relative, "{{column}} {{statistic}}")],
                description="From 1 on a change matters; the column drifts if it lasts and is no accident.",
                limit=1,
                width=24,
            ),
            Panel("Drifted now", [Query(_of(d.COLUMN_DRIFTED), "{{column}}")], kind="bargauge", limit=1),
            Panel(
                "Missing values, and categories never seen in training",
                [Query(_of(d.NULLS), "{{column}} missing"), Query(_of(d.UNSEEN), "{{column}} unseen")],
                unit="percentunit",
            ),
        ),
    )


def _performance() -> Row:
    figures = [
        Query(_of(d.LIVE), "{{metric}} live"),
        Query(_of(d.LOWER), "lower bound"),
        Query(_of(d.UPPER), "upper bound"),
        Query(_of(d.HELD_OUT), "held out"),
        Query(_of(d.ESTIMATED), "expected without labels"),
    ]
    rows = [Query(_of(d.JUDGED), "predictions"), Query(_of(d.LABELLED), "with a label")]
    return Row("Performance", (Panel("Live against held out", figures), Panel("Rows", rows, unit="short")))


def _quality() -> Row:
    rates = [
        Query(_of(d.BAD), "{{rule}} ({{of}})"),
        Query(_of(d.BAD_UPPER), "{{rule}} ({{of}}) upper bound"),
        Query(_of(d.ACCEPTED), "{{rule}} ({{of}}) accepted"),
    ]
    rows = [Query(_of(d.QUALITY_ROWS), "judged ({{of}})"), Query(_of(d.QUARANTINED), "set aside ({{of}})")]
    return Row(
        "Quality",
        (Panel("Bad rows by rule", rates, unit="percentunit"), Panel("Rows", rows, unit="short")),
    )


def _requests() -> Row:
    buckets = f"sum by (le) (rate({_of(SECONDS, '_bucket', _RANGE, route=PREDICTIONS)}))"
    failed = f"sum(rate({_of(REQUESTS, over=_RANGE, route=PREDICTIONS, status=Matching('5..'))}))"
    all_of_them = f"sum(rate({_of(REQUESTS, over=_RANGE, route=PREDICTIONS)}))"
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return Row(
        "Requests",
        (
            Panel(
                "Requests by status",
                [Query(f"sum by (status) (rate({_of(REQUESTS, over=_RANGE)}))", "{{status}}")],
                unit="reqps",
            ),
            Panel("Failed by the server", [Query(f"{failed} / {all_of_them}", "5xx")], unit="percentunit"),
            Panel(
                "Latency of predictions",
                [Query(f"histogram_quantile({share}, {buckets})", name) for name, share in shares.items()],
                unit="s",
            ),
            Panel("Rows predicted", [Query(f"sum(rate({_of(ROWS, over=_RANGE)}))", "rows a second")]),
        ),
    )


def _objectives(settings: Settings) -> Row:
    panels = []
    for objective in objectives(settings):
        burns = [
            Query(f"{recorded(objective, _MODEL, window)} / {objective.budget:g}", f"over {window}")
            for window in ("5m", "1h", "6h", "3d")
        ]
        panels.append(
            Panel(
                f"Burn rate: {objective.name}",
                burns,
                description=f"Objective: {objective.title}. At 1 the budget of 30 days lasts 30 days.",
                limit=1,
            )
        )
    return Row("Objectives", panels)


def _releases() -> Row:
    return Row(
        "Releases",
        (
            Panel("Share of traffic", [Query(_of(d.TRAFFIC), "{{version}}")], unit="percentunit", width=8),
            Panel(
                "Requests and errors by version",
                [
                    Query(f"sum by (version) (rate({_of(VERSION_REQUESTS, over=_RANGE)}))", "{{version}}"),
                    Query(
                        f"sum by (version) (rate({_of(VERSION_ERRORS, over=_RANGE)}))", "{{version}} errors"
                    ),
                ],
                unit="reqps",
                width=8,
            ),
            Panel("Loaded", [Query(_of(READY), "{{version}}")], kind="stat", width=3),
            Panel("Release under way", [Query(_of(d.RELEASING))], kind="stat", width=2),
            Panel("Last change", [Query(f"time() - {_of(d.RELEASED)}")], kind="stat", unit="s", width=3),
        ),
    )


def _machine() -> Row:
    return Row(
        "Machine, energy and log",
        (
            Panel(
                "Energy of the last training",
                [Query(_of(d.TRAINING_JOULES), "{{kind}}")],
                kind="stat",
                unit="joule",
                width=4,
            ),
            Panel(
                "What it cost",
                [Query(_of(d.TRAINING_COST), "{{currency}}")],
                kind="stat",
                unit="short",
                width=4,
            ),
            Panel("CO2 of it", [Query(_of(d.TRAINING_CO2))], kind="stat", unit="massg", width=4),
            Panel(
                "Energy of the machine, per hour",
                [Query(f"increase({_of(d.MACHINE_JOULES, over='1h')}) / {JOULES_PER_KWH:g}", "kWh")],
                unit="kwatth",
            ),
            Panel(
                "Cost of the machine, per hour",
                [Query(f"increase({_of(d.MACHINE_COST, over='1h')})", "{{currency}}")],
            ),
            Panel(
                "CO2 of the machine, per hour",
                [Query(f"increase({_of(d.MACHINE_CO2, over='1h')})")],
                unit="massg",
            ),
            Panel(
                "Thermal pressure",
                [Query(_of(d.THERMAL))],
                description=d.THERMAL.help,
                limit=2,
                width=8,
            ),
            Panel("Free memory", [Query(_of(d.FREE_MEMORY))], unit="bytes", width=8),
            Panel("Prediction log", [Query(_of(d.LOG_BYTES), "size")], unit="bytes", width=8),
        ),
    )
