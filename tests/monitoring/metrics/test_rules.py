"""The rules, judged by promtool: that they are rules, and when they fire."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.metrics.definitions import ALL
from runtime_lib.monitoring.metrics.export import export
from runtime_lib.monitoring.metrics.objectives import BURNS, objectives
from runtime_lib.monitoring.metrics.rules import rules
from runtime_lib.settings import Settings, load
from tests.support.depth import DEEP
from tests.support.scraping import needs_promtool, promtool

A_MINUTE = 1000  # requests
HOUR, DAY = 60, 60 * 24


def project(root: Path, tables: str = "") -> Settings:
    (root / "mlops.toml").write_text(f'[project]\nname = "flights"\npackage = "flights"\n{tables}')
    return load(root, environ={})


def series(name: str, *parts: tuple[int, float], **labels: str) -> dict[str, str]:
    """A series, minute by minute: for so many minutes it grows by so much."""
    value, words = 0.0, []
    for minutes, step in parts:
        words.append(f"{value:g}+{step:g}x{minutes - 1}")
        value += minutes * step
    named = ",".join(f'{key}="{each}"' for key, each in labels.items())
    return {"series": f"{name}{{{named}}}", "values": " ".join(words)}


def constant(name: str, value: str, **labels: str) -> dict[str, str]:
    named = ",".join(f'{key}="{each}"' for key, each in {"model": "flights", **labels}.items())
    return {"series": f"{name}{{{named}}}", "values": value}


def requests(*parts: tuple[int, float]) -> list[dict[str, str]]:
    """What a server counts: for so many minutes, so large a share of failures."""
    names = {"model": "flights", "route": "/invocations"}
    good = [(minutes, A_MINUTE * (1 - share)) for minutes, share in parts]
    bad = [(minutes, A_MINUTE * share) for minutes, share in parts]
    found = [
        series("mlops_requests_total", *good, **names, status="200"),
        series("mlops_requests_total", *bad, **names, status="503"),
    ]
    # Health is asked more often than all else, and never fails.
    health = [(minutes, 10.0 * A_MINUTE) for minutes, _ in parts]
    return [*found, series("mlops_requests_total", *health, model="flights", route="/health", status="200")]


def durations(*parts: tuple[int, float]) -> list[dict[str, str]]:
    """For so many minutes, so large a share of requests that take more than 200 ms."""
    names = {"model": "flights", "route": "/v2/models/{name}/infer"}
    fast = [(minutes, A_MINUTE * (1 - share)) for minutes, share in parts]
    all_of_them = [(minutes, float(A_MINUTE)) for minutes, _ in parts]
    return [
        series("mlops_request_seconds_bucket", *fast, **names, le="0.2"),
        series("mlops_request_seconds_count", *all_of_them, **names),
    ]


def firing(
    root: Path, given: Sequence[Mapping[str, str]], minute: int, alert: str, **labels: str
) -> set[str]:
    """The severities with which an alert fires at that minute, as promtool has it."""
    named = ",".join(f'{key}="{each}"' for key, each in {"alertname": alert, **labels}.items())
    expr = f'count by (severity) (ALERTS{{alertstate="firing",{named}}})'
    return set(re.findall(r'severity=\\?"(\w+)', judged(root, given, minute, expr)))


def judged(root: Path, given: Sequence[Mapping[str, str]], minute: int, expr: str) -> str:
    """What an expression gives at that minute; empty: nothing. promtool tells what it got, if not nothing."""
    export(load(root, environ={}), root / "exported")
    test = {
        "rule_files": [str(root / "exported" / "rules.yml")],
        "evaluation_interval": "5m",  # what is recorded is there for no longer
        "tests": [
            {
                "interval": "1m",
                "input_series": [*given],
                "promql_expr_test": [{"expr": expr, "eval_time": f"{minute}m", "exp_samples": []}],
            }
        ],
    }
    (root / "test.yml").write_text(yaml.safe_dump(test, width=10_000))
    code, said = promtool("test", "rules", root / "test.yml")
    if code == 0:
        return ""
    [got] = [line for line in said.splitlines() if line.strip().startswith("got:")]
    return got


@needs_promtool
@pytest.mark.parametrize("name", ["flights", 'it\'s "odd" \\ é'])
def test_promtool_takes_rules_and_targets_of_any_model(tmp_path: Path, name: str) -> None:
    settings = project(tmp_path, f"[registry]\nmodel = {json.dumps(name)}\n")
    export(settings, tmp_path)
    for what, file in (("rules", "rules.yml"), ("config", "prometheus.yml")):
        code, said = promtool("check", what, tmp_path / file)
        assert code == 0, said
    _, said = promtool("check", "rules", tmp_path / "rules.yml")
    assert "29 rules found" in said, said


def test_every_rule_names_only_what_is_defined(tmp_path: Path) -> None:
    content = rules(project(tmp_path))
    every = [rule for group in content["groups"] for rule in group["rules"]]
    known = {metric.name for metric in ALL} | {rule["record"] for rule in every if "record" in rule}
    known |= {f"{metric.name}{suffix}" for metric in ALL for suffix in ("_bucket", "_count", "_sum")}
    for rule in every:
        named = set(re.findall(r"(?:model_objective:)?mlops_[a-z0-9_:]+", rule["expr"]))
        assert named, rule
        assert named <= known, rule
    severities = {rule["labels"]["severity"] for rule in every if "alert" in rule}
    assert severities == {"critical", "warning"}


@needs_promtool
@pytest.mark.parametrize(
    ("failing", "minutes", "expected"),
    [
        (0.02, 4, set()),  # 2 % of an hour's budget are not spent yet
        (0.02, HOUR, {"critical"}),  # 14.4 times, over an hour and five minutes
        (0.013, HOUR, set()),
        *(
            [
                (0.008, 6 * HOUR, {"critical"}),  # 6 times, over six hours and half an hour
                (0.0055, 6 * HOUR, set()),
                (0.004, DAY, {"warning"}),  # 3 times, over a day and two hours
                (0.0015, 3 * DAY, {"warning"}),  # once, over three days and six hours
                (0.0009, 3 * DAY, set()),
            ]
            if DEEP
            else []
        ),
    ],
)
def test_an_error_budget_that_burns_is_told(
    tmp_path: Path, failing: float, minutes: int, expected: set[str]
) -> None:
    project(tmp_path)
    before = DAY if minutes <= HOUR else 3 * DAY
    given = requests((before, 0.0), (minutes, failing))
    last = before + minutes - 1
    assert firing(tmp_path, given, last, "MlopsErrorBudgetBurn", objective="availability") == expected


@needs_promtool
def test_the_short_window_ends_the_alert(tmp_path: Path) -> None:
    project(tmp_path)
    given = requests((DAY, 0.0), (HOUR, 0.02), (15, 0.0))
    during, after = DAY + HOUR - 1, DAY + HOUR + 14
    assert firing(tmp_path, given, during, "MlopsErrorBudgetBurn") == {"critical"}
    assert firing(tmp_path, given, after, "MlopsErrorBudgetBurn") == set()


@needs_promtool
@pytest.mark.parametrize(("slow", "expected"), [(0.2, {"critical"}), (0.13, set())])
def test_slow_answers_burn_the_budget_of_latency(tmp_path: Path, slow: float, expected: set[str]) -> None:
    project(tmp_path)
    given = durations((DAY, 0.0), (HOUR, slow))
    assert firing(tmp_path, given, DAY + HOUR - 1, "MlopsErrorBudgetBurn", objective="latency") == expected


@needs_promtool
def test_without_requests_nothing_burns(tmp_path: Path) -> None:
    project(tmp_path)
    idle = [{**each, "values": "0x120"} for each in (*requests((HOUR, 0.0)), *durations((HOUR, 0.0)))]
    asked = [*requests((2 * HOUR, 0.0)), *durations((2 * HOUR, 0.0))]
    recorded = "count(model_objective:mlops_requests_bad:ratio_rate1h)"
    assert judged(tmp_path, idle, 2 * HOUR - 1, recorded) == ""
    assert "2" in judged(tmp_path, asked, 2 * HOUR - 1, recorded)
    assert firing(tmp_path, idle, 2 * HOUR - 1, "MlopsErrorBudgetBurn") == set()


def performance(live: float, lower: float, upper: float, best: int, labelled: int) -> list[dict[str, str]]:
    values = {"live": live, "lower": lower, "upper": upper, "held_out": 0.8, "best": best}
    return [
        *(
            constant(f"mlops_performance_{name}", f"{value}x20", version="3", metric="m")
            for name, value in values.items()
        ),
        constant("mlops_labelled_rows", f"{labelled}x20", version="3"),
    ]


@needs_promtool
@pytest.mark.parametrize(
    ("live", "lower", "upper", "best", "labelled", "expected"),
    [
        (0.75, 0.73, 0.77, 1, 600, True),  # below 0.95 of 0.8, surely
        (0.77, 0.75, 0.79, 1, 600, False),  # a drop, and too small
        (0.75, 0.69, 0.81, 1, 600, False),  # perhaps by chance
        (0.75, 0.73, 0.77, 1, 400, False),  # on too few labels
        (0.85, 0.83, 0.87, 0, 600, True),  # an error that has risen
        (0.75, 0.73, 0.77, 0, 600, False),  # an error that has fallen
        (0.85, 0.83, 0.87, 1, 600, False),
    ],
)
def test_a_drop_below_the_baseline_fires_as_monitoring_decides(
    tmp_path: Path, live: float, lower: float, upper: float, best: int, labelled: int, expected: bool
) -> None:
    project(tmp_path)
    given = performance(live, lower, upper, best, labelled)
    assert bool(firing(tmp_path, given, 10, "MlopsPerformanceDropped", severity="critical")) == expected


@needs_promtool
@pytest.mark.parametrize(
    ("alert", "given", "before", "at"),
    [
        ("MlopsServerDown", [constant("mlops_model_ready", "1x20 _x100", version="3")], 15, 40),
        ("MlopsModelNotReady", [constant("mlops_model_ready", "1x20 0x100", version="3")], 15, 40),
        ("MlopsMonitorStale", [constant("mlops_report_timestamp_seconds", "0x2000")], 1555, 1585),
        ("MlopsMonitorStale", [constant("mlops_report_timestamp_seconds", "0+60x20 _x100")], 15, 60),
        ("MlopsSourceUnreadable", [constant("mlops_source_readable", "1x20 0x100", source="report")], 15, 60),
        ("MlopsQualityBroken", [constant("mlops_quality_rule_broken", "0x20 1x9", of="m", rule="r")], 15, 28),
        ("MlopsSkew", [constant("mlops_skewed_columns", "0x20 1x100", version="3")], 15, 30),
        ("MlopsAlertsUndelivered", [constant("mlops_alerts_undelivered", "0x20 2x100")], 15, 60),
        ("MlopsLogDamaged", [constant("mlops_log_damaged_places", "0x20 1x100")], 15, 30),
        ("MlopsThermalPressure", [constant("mlops_thermal_pressure", "1x20 2x100")], 15, 60),
    ],
)  # fmt: skip
def test_an_alert_fires_when_its_cause_is_there_and_not_before(
    tmp_path: Path, alert: str, given: list[dict[str, str]], before: int, at: int
) -> None:
    project(tmp_path)
    assert not firing(tmp_path, given, before, alert)
    assert firing(tmp_path, given, at, alert)


@needs_promtool
def test_an_alert_on_drift_says_which_columns(tmp_path: Path) -> None:
    settings = project(tmp_path)
    export(settings, tmp_path)
    names = {"version": "3"}
    given = [
        constant("mlops_drifted_columns", "3x20", **names),
        *(
            constant("mlops_column_drifted", f"{drifted}x20", **names, column=column)
            for column, drifted in {"d": 1, "a": 1, "b": 0, "c": 1}.items()
        ),
    ]
    alert = {
        "exp_labels": {"severity": "warning", "model": "flights", "version": "3"},
        "exp_annotations": {
            "summary": "flights: the data has drifted (columns: 3)",
            "description": "a c d - `mlops monitor` tells more.",
        },
    }
    test: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": given,
                "alert_rule_test": [{"eval_time": "10m", "alertname": "MlopsDrift", "exp_alerts": [alert]}],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    code, said = promtool("test", "rules", tmp_path / "test.yml")
    assert code == 0, said


def test_limits_follow_the_objectives(tmp_path: Path) -> None:
    settings = project(tmp_path, "[monitoring.objectives]\navailability = 0.99\nlatency_p99_ms = 50\n")
    text = yaml.safe_dump(rules(settings), width=10_000)
    assert all(f"> {burn.rate * 0.01:.6g}" in text for burn in BURNS)
    assert 'le="0.05"' in text
    assert [each.budget for each in objectives(settings)] == [0.01, 0.01]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("latency_p99_ms = 170", ["latency_p99_ms = 170", "150, 200", "Choose one of"]),
        ("availability = 0.9", ["monitoring.objectives.availability = 0.9", ">= 0.95"]),
        ("availability = 1", ["monitoring.objectives.availability = 1", "< 1"]),
        ("report_hours = 0", ["monitoring.objectives.report_hours = 0", "> 0"]),
        ("avalability = 0.99", ["monitoring.objectives.avalability", "monitoring.objectives.availability"]),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused_with_its_value(
    tmp_path: Path, line: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        export(project(tmp_path, f"[monitoring.objectives]\n{line}\n"), tmp_path / "out")
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "out").exists()
