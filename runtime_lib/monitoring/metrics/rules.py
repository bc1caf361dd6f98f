"""Prometheus' rules for a project: what is recorded of its objectives, and what somebody is told.

Severity is `critical` for what a person should see to now (a page), `warning` for what can wait until the
working day (a ticket).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime_lib.exposition import Metric
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.objectives import (
    BURNS,
    Objective,
    Severity,
    objectives,
    recorded,
    recording_rules,
)
from runtime_lib.monitoring.metrics.queries import select
from runtime_lib.serving.metrics import READY
from runtime_lib.settings import Settings

__all__ = ["rules"]

_HEAVY = 2  # of thermal pressure


def rules(settings: Settings) -> dict[str, Any]:
    """The content of a rules file, as YAML takes it.

    Raises:
        SettingsError: see `objectives`.
    """
    held = objectives(settings)
    model = settings.model_name
    return {
        "groups": [
            {"name": f"mlops {model}: objectives", "rules": [r for o in held for r in recording_rules(o)]},
            {"name": f"mlops {model}: burn rates", "rules": [r for o in held for r in _burn_rates(o, model)]},
            {"name": f"mlops {model}: service", "rules": [*_service(model)]},
            {"name": f"mlops {model}: model", "rules": [*_model(settings, model)]},
            {"name": f"mlops {model}: monitoring", "rules": [*_monitoring(settings, model)]},
        ]
    }


def _burn_rates(objective: Objective, model: str) -> Iterator[dict[str, Any]]:
    severities: tuple[Severity, ...] = ("critical", "warning")
    for severity in severities:
        pairs = [
            f"({recorded(objective, model, burn.long)} > {_limit(objective, burn.rate)}"
            f" and {recorded(objective, model, burn.short)} > {_limit(objective, burn.rate)})"
            for burn in BURNS
            if burn.severity == severity
        ]
        yield _alert(
            "MlopsErrorBudgetBurn",
            " or ".join(pairs),
            severity,
            f"{{{{ $labels.model }}}}: the error budget of {objective.name} burns too fast",
            f"{{{{ $value | humanizePercentage }}}} of requests are bad. Objective: {objective.title}.",
            objective=objective.name,
        )


def _limit(objective: Objective, rate: float) -> str:
    return f"{rate * objective.budget:.6g}"


def _service(model: str) -> Iterator[dict[str, Any]]:
    yield _alert(
        "MlopsServerDown",
        f"absent({select(READY, model=model)})",
        "critical",
        "{{ $labels.model }}: no server answers",
        "Prometheus has no metrics of a server of this model. Does `mlops serve` run?",
        wait="2m",
    )
    yield _alert(
        "MlopsModelNotReady",
        f"{select(READY, model=model)} == 0",
        "warning",
        "{{ $labels.model }}: version {{ $labels.version }} is not loaded",
        "The server runs, but this version cannot answer. `mlops traffic` says why.",
        wait="5m",
    )
    yield _alert(
        "MlopsThermalPressure",
        f"{select(d.THERMAL, model=model)} >= {_HEAVY}",
        "warning",
        "{{ $labels.model }}: the machine is hot",
        "Thermal pressure is {{ $value }} (2 is Heavy): the machine is slower, and trainings wait.",
        wait="10m",
    )


def _model(settings: Settings, model: str) -> Iterator[dict[str, Any]]:
    yield _alert(
        "MlopsPerformanceDropped",
        _dropped(model, settings.monitoring.max_drop, settings.monitoring.min_rows),
        "critical",
        "{{ $labels.model }}: {{ $labels.metric }} of version {{ $labels.version }} has dropped",
        f"It is {{{{ $value }}}}, {settings.monitoring.max_drop:.3g} or more (relative) worse than held out, "
        f"and not by chance. Retrain.",
    )
    yield _alert(
        "MlopsDrift",
        f"{select(d.DRIFTED, model=model)} > 0",
        "warning",
        "{{ $labels.model }}: the data has drifted (columns: {{ $value }})",
        _listed(d.COLUMN_DRIFTED, "column"),
    )
    yield _alert(
        "MlopsSkew",
        f"{select(d.SKEWED, model=model)} > 0",
        "warning",
        "{{ $labels.model }}: served features differ from training (columns: {{ $value }})",
        "The report of `mlops monitor` names them, with an example.",
    )
    yield _alert(
        "MlopsQualityBroken",
        f"sum by (model, of) ({select(d.BROKEN, model=model)}) > 0",
        "warning",
        "{{ $labels.model }}: quality rules are broken ({{ $labels.of }}: {{ $value }})",
        _listed(d.BROKEN, "rule"),
    )


def _dropped(model: str, most: float, least_rows: int) -> str:
    """As `mlops monitor` decides on retraining: far enough, not by chance, on labels enough."""
    live, held_out, lower, upper, best = (
        select(metric, model=model) for metric in (d.LIVE, d.HELD_OUT, d.LOWER, d.UPPER, d.BEST)
    )
    step = f"{most:g} * abs({held_out})"  # R² may be below 0
    higher = f"({live} <= {held_out} - {step} and {upper} < {held_out} and {best} == 1)"
    error = f"({live} >= {held_out} + {step} and {lower} > {held_out} and {best} == 0)"
    enough = f"{select(d.LABELLED, model=model)} >= {least_rows}"
    return f"({higher} or {error}) and on (model, version) {enough}"


def _monitoring(settings: Settings, model: str) -> Iterator[dict[str, Any]]:
    hours = settings.monitoring.objectives.report_hours
    reported = select(d.REPORTED, model=model)
    yield _alert(
        "MlopsMonitorStale",
        f"time() - {reported} > {hours * 3600:g} or absent({reported})",
        "warning",
        "{{ $labels.model }}: nobody monitors",
        f"There is no report younger than {hours:g} hours. Does `mlops monitor` run, and `mlops metrics`?",
        wait="15m",
    )
    yield _alert(
        "MlopsSourceUnreadable",
        f"{select(d.READABLE, model=model)} == 0",
        "warning",
        "{{ $labels.model }}: {{ $labels.source }} cannot be read",
        "Its metrics are missing, so no alert on them can fire. `mlops metrics --once` says why.",
        wait="15m",
    )
    yield _alert(
        "MlopsAlertsUndelivered",
        f"{select(d.UNDELIVERED, model=model)} > 0",
        "warning",
        "{{ $labels.model }}: alerts were not delivered (messages: {{ $value }})",
        "The next run of `mlops monitor` tries again. `mlops alerts list` says why.",
        wait="15m",
    )
    yield _alert(
        "MlopsLogDamaged",
        f"{select(d.DAMAGE, model=model)} > 0",
        "warning",
        "{{ $labels.model }}: the prediction log is damaged",
        "{{ $value }} places could not be read. The report of `mlops monitor` names them.",
    )


def _listed(metric: Metric, label: str) -> str:
    """A template that names what a metric of the alert's model is 1 for: each once, in a stable order."""
    query = f"`max by ({label}) ({metric}{{model=%q}}) == 1` $labels.model | query"
    names = f'{{{{ range printf {query} | sortByLabel "{label}" }}}}{{{{ .Labels.{label} }}}} {{{{ end }}}}'
    return f"{names}- `mlops monitor` tells more."


def _alert(
    name: str, expr: str, severity: Severity, summary: str, description: str, *, wait: str = "", **labels: str
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        **({"for": wait} if wait else {}),
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "description": description},
    }
