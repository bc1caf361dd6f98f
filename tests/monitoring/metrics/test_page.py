"""The page of a project: what report, rules, releases, record and machine say, and what cannot be read."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.exposition import page
from runtime_lib.hardware.read.facts import facts
from runtime_lib.monitoring.metrics.collect import Collected, Collector
from runtime_lib.monitoring.metrics.machine import Machine
from runtime_lib.monitoring.metrics.report import of_report
from runtime_lib.settings import Settings, load
from tests.support.depth import examples
from tests.support.energy import count, powercap
from tests.support.monitored import (
    make_project,
    monitored,
    write_quality,
    write_release,
    write_training,
)
from tests.support.scraping import needs_promtool, promtool


def collected(project: Settings, machine: Machine | None = None) -> Collected:
    with closing(Collector(project, machine=machine)) as collector:
        return collector.collect()


def figures(found: Collected) -> dict[str, float]:
    """Series → value."""
    lines = [line for line in found.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", "[hardware]\nprice_per_kwh = 0.3\ngrid_intensity = 380\n")


def test_the_page_says_what_the_report_says(project: Settings) -> None:
    verdict = monitored(project, "shifted", shift=3, missing=0.25)
    found, names = figures(collected(project)), 'model="flights",version="8"'
    assert found[f"mlops_report_rows{{{names}}}"] == 3_000
    assert found['mlops_report_timestamp_seconds{model="flights"}'] == verdict.time.timestamp()
    assert found['mlops_report_last_row_timestamp_seconds{model="flights"}'] == verdict.last.timestamp()
    assert found[f"mlops_drifted_columns{{{names}}}"] == len(verdict.drifted_columns) == 1
    speed = next(column for column in verdict.columns if column.name == "speed")
    assert found[f'mlops_column_drifted{{{names},column="speed"}}'] == 1
    assert found[f'mlops_column_drifted{{{names},column="place"}}'] == 0
    assert found[f'mlops_column_null_ratio{{{names},column="speed"}}'] == speed.nulls.live > 0.2
    assert found[f'mlops_column_unseen_ratio{{{names},column="place"}}'] == 0
    for each in speed.evidence:
        statistic = f'{names},column="speed",statistic="{each.name}"'
        assert found[f"mlops_drift_effect{{{statistic}}}"] == each.value
        assert found[f'mlops_drift_threshold{{model="flights",statistic="{each.name}"}}'] == each.threshold
    performance = verdict.performance
    for name in ("live", "lower", "upper", "held_out", "best"):
        series = f'mlops_performance_{name}{{{names},metric="{performance.metric}"}}'
        assert found[series] == getattr(performance, name)
    assert found[f"mlops_labelled_rows{{{names}}}"] == 2_400
    assert found[f"mlops_label_coverage_ratio{{{names}}}"] == 0.8
    assert found[f"mlops_retrain_wanted{{{names}}}"] == performance.retrain
    assert verdict.estimated
    estimated = f'mlops_performance_estimated{{{names},metric="{verdict.estimated.metric}"}}'
    assert found[estimated] == verdict.estimated.value


def test_a_report_that_calls_for_retraining_says_so(project: Settings) -> None:
    assert monitored(project, "worse", skill=0.3).retrain
    assert figures(collected(project))['mlops_retrain_wanted{model="flights",version="8"}'] == 1


def test_quality_energy_and_releases_are_on_the_page(project: Settings, tmp_path: Path) -> None:
    write_quality(project)
    write_training(project)
    write_release(project, tmp_path)
    found = figures(collected(project))
    rule = 'model="flights",of="months",rule="range speed"'
    assert found[f"mlops_quality_rule_broken{{{rule}}}"] == 1
    assert found[f"mlops_quality_rule_proven{{{rule}}}"] == 0
    assert found[f"mlops_quality_bad_ratio{{{rule}}}"] == 0.02
    assert 0.02 < found[f"mlops_quality_bad_upper_ratio{{{rule}}}"] < 0.023
    assert found[f"mlops_quality_accepted_ratio{{{rule}}}"] == 0.001
    assert found['mlops_quality_rule_proven{model="flights",of="months",rule="not missing place"}'] == 1
    assert found['mlops_quality_quarantined_rows{model="flights",of="months"}'] == 400
    assert found['mlops_training_energy_joules{model="flights",kind="measured"}'] == 7.2e6
    assert found['mlops_training_energy_cost{model="flights",currency="EUR"}'] == pytest.approx(0.6)
    assert found['mlops_training_co2_grams{model="flights"}'] == pytest.approx(760)
    assert found['mlops_traffic_ratio{model="flights",version="7"}'] == 1
    assert found['mlops_release_in_progress{model="flights"}'] == 0


def test_alerts_are_counted_by_severity(project: Settings) -> None:
    monitored(project, "well")
    before = figures(collected(project))
    assert before['mlops_alerts_firing{model="flights",severity="warning"}'] == 0
    monitored(project, "shifted", shift=3)
    found = figures(collected(project))
    assert found['mlops_alerts_firing{model="flights",severity="warning"}'] == 1
    assert found['mlops_alerts_undelivered{model="flights"}'] == 0


def test_what_a_channel_does_not_take_is_counted(tmp_path: Path) -> None:
    project = make_project(tmp_path, '[monitoring.alerts.team]\nkind = "webhook"\ntries = 1\n')
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        project = load(project.root, environ={"MLOPS_MONITORING__ALERTS__TEAM__URL": address})
        monitored(project, "shifted", shift=3)
    assert figures(collected(project))['mlops_alerts_undelivered{model="flights"}'] == 1


def test_the_log_is_measured(project: Settings) -> None:
    monitored(project, "some")
    found = figures(collected(project))
    files = [
        path
        for path in project.predictions.rglob("*")
        if path.is_file() and path.parent != project.predictions
    ]
    assert found['mlops_log_bytes{model="flights"}'] == sum(path.stat().st_size for path in files) > 0
    assert found['mlops_log_folders{model="flights"}'] == 3


def test_counters_of_energy_add_up_over_pages(project: Settings, tmp_path: Path) -> None:
    tree = powercap(tmp_path / "powercap", before=5_000_000)
    machine = Machine(replace(facts(), platform="linux"), project.hardware, powercap=tree)
    with closing(machine):
        seen = []
        for microjoules in (12_000_000, 12_500_000, 20_000_000):
            count(tree, microjoules)
            samples = {sample.series: sample.value for sample in machine.samples("flights")}
            seen.append(samples['mlops_machine_energy_joules_total{model="flights"}'])
    assert seen == [7, 7.5, 15]
    cost = samples['mlops_machine_energy_cost_total{model="flights",currency="EUR"}']
    assert cost == pytest.approx(15 / 3.6e6 * 0.3)


def test_a_project_without_anything_has_a_page(project: Settings) -> None:
    found = collected(project)
    assert found.warnings == ()
    assert {'mlops_source_readable{model="flights",source="report"}'} < figures(found).keys()
    assert not [name for name in figures(found) if name.startswith(("mlops_report", "mlops_drift"))]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"columns": 3', "\x00" * 100, '{"format": "?"}'])
def test_a_damaged_report_takes_only_its_own_metrics_with_it(project: Settings, content: str) -> None:
    write_quality(project)
    project.monitoring_report.parent.mkdir(parents=True)
    project.monitoring_report.write_text(content)
    found = collected(project)
    values = figures(found)
    assert values['mlops_source_readable{model="flights",source="report"}'] == 0
    assert values['mlops_quality_rows{model="flights",of="months"}'] == 20_000
    [warning] = found.warnings
    assert warning.startswith("report: ")
    assert str(project.monitoring_report) in warning
    assert f"# mlops: {warning}" in found.text


def test_a_label_that_cannot_be_sent_takes_only_its_own_source_with_it(project: Settings) -> None:
    write_quality(project)
    project.monitoring_report.parent.mkdir(parents=True)
    project.monitoring_report.write_text('{"columns": [{"name": "\\ud800", "drifted": true}]}')
    found = collected(project)
    assert figures(found)['mlops_source_readable{model="flights",source="report"}'] == 0
    assert found.text.encode()


def test_reports_of_earlier_releases_are_exported(project: Settings) -> None:
    """As 0.8 wrote them: no evidence by statistic."""
    change = {"reference": 0.0, "live": 0.02, "effect": 0.3, "q": 0.01, "flagged": True}
    column = {
        "name": "speed",
        "drifted": True,
        "effect": 0.4,
        "second": 0.2,
        "second_name": "ks",
        "nulls": change,
    }
    report = {
        "format": 2,
        "model": "flights",
        "version": "3",
        "rows": 900,
        "columns": [column],
        "predictions": [],
    }
    project.monitoring_report.parent.mkdir(parents=True)
    project.monitoring_report.write_text(json.dumps(report))
    found, names = figures(collected(project)), 'model="flights",version="3",column="speed"'
    assert found[f'mlops_drift_effect{{{names},statistic="psi"}}'] == 0.4
    assert found[f'mlops_drift_effect{{{names},statistic="ks"}}'] == 0.2
    assert found[f"mlops_column_null_ratio{{{names}}}"] == 0.02


def test_of_many_columns_those_that_have_drifted_are_exported_and_the_others_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, "[monitoring]\nmetrics_columns = 10\n")
    columns = [
        {"name": f"c{number}", "drifted": number < 3, "effect": 1 / (1 + number)} for number in range(500)
    ]
    report = {"version": "3", "columns": columns, "predictions": [{"name": "(prediction)", "drifted": False}]}
    project.monitoring_report.parent.mkdir(parents=True)
    project.monitoring_report.write_text(json.dumps(report))
    found = collected(project)
    values = figures(found)
    shown = set(re.findall(r'column="(.*?)"', found.text))
    assert shown == {"(prediction)", *(f"c{number}" for number in range(9))}
    assert values['mlops_columns_left_out{model="flights",version="3"}'] == 491
    assert values['mlops_drifted_columns{model="flights",version="3"}'] == 3
    assert len(values) < 60
    [warning] = found.warnings
    assert "metrics_columns = 10: 'c9', 'c10'" in warning
    assert warning.endswith("and 471 more")


FIELDS = [
    *("name", "drifted", "evidence", "nulls", "unseen", "live", "value", "threshold"),
    *("metric", "columns", "rows", "effect", "second", "held_out", "labelled"),
]
TABLES = [
    *("model", "version", "time", "last", "rows", "retrain", "damage", "skew"),
    *("columns", "predictions", "performance", "estimated"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=30,
)
REPORTS = st.fixed_dictionaries({}, optional=dict.fromkeys(TABLES, JSON))


@settings(max_examples=examples(200, 5_000), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(REPORTS)
def test_no_report_ends_the_exporter_and_each_page_can_be_read(report: dict[str, Any]) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    try:
        text = page(of_report(report, "flights", 5))
        text.encode()
    except (
        OverflowError,
        UnicodeEncodeError,
    ):  # of a number or a name that cannot be sent; collect() says so
        return
    list(parser.text_string_to_metric_families(text))


@needs_promtool
def test_promtool_finds_nothing_to_say_against_the_page(project: Settings, tmp_path: Path) -> None:
    monitored(project, "shifted", shift=3)
    write_quality(project)
    write_training(project)
    write_release(project, tmp_path)
    tree = powercap(tmp_path / "powercap", before=0)
    machine = Machine(replace(facts(), platform="linux"), project.hardware, powercap=tree)
    count(tree, 9_000_000)
    found = collected(project, machine)
    assert "mlops_machine_energy_joules_total" in found.text
    code, said = promtool("check", "metrics", given=found.text)
    assert (code, said) == (0, "")
