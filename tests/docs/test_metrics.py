"""The page on metrics says what is defined: metrics, alerts, settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from runtime_lib.exposition import Metric
from runtime_lib.monitoring.metrics.definitions import EXPORTED
from runtime_lib.monitoring.metrics.rules import rules
from runtime_lib.serving.metrics import BOUNDS, METRICS
from runtime_lib.settings import Settings
from runtime_lib.settings.tables import Monitoring, ProjectNames

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def line(metric: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |"


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def tables(title: str) -> str:
    """Its lines of tables, without heads."""
    lines = [each for each in section(title).splitlines() if each.startswith("| `")]
    return "\n".join(lines)


def test_the_tables_are_the_definitions() -> None:
    assert tables("What the exporter serves") == "\n".join(map(line, EXPORTED))
    assert tables("What a server counts") == "\n".join(map(line, METRICS))


def test_every_alert_is_on_the_page_with_its_severities() -> None:
    settings = Settings(project=ProjectNames(name="flights", package="flights"))
    found: dict[str, set[str]] = {}
    for group in rules(settings)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                found.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    told = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", section("Alerting rules"), flags=re.MULTILINE)
    assert {name: set(severities.split(", ")) for name, severities in told} == found


def test_the_settings_are_the_defaults() -> None:
    [block] = re.findall(r"```toml\n(.*?)```", section("Settings"), flags=re.DOTALL)
    given = tomllib.loads(block)["monitoring"]
    defaults = msgspec.to_builtins(Monitoring())
    assert given == {name: defaults[name] for name in given}
    assert set(given) == {"metrics_port", "metrics_columns", "objectives"}


def test_the_latencies_that_an_objective_may_have_are_those_of_the_buckets() -> None:
    [told] = re.findall(r"one of ([\d., ]+) ms", section("Settings"))
    assert [float(each) for each in told.split(", ")] == [1000 * bound for bound in BOUNDS]
