"""The form of the dashboards, as Grafana imports them. What their queries find: test_prometheus.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.monitoring.metrics.definitions import ALL
from runtime_lib.monitoring.metrics.export import export
from runtime_lib.monitoring.metrics.queries import Matching, select
from runtime_lib.serving.metrics import REQUESTS
from runtime_lib.settings import load
from tests.support.depth import DEEP

# Of Grafana's list of units, packages/grafana-data/src/valueFormats/categories.ts.
UNITS = {"none", "short", "percentunit", "s", "bytes", "reqps", "joule", "kwatth", "massg"}
KINDS = {"row", "timeseries", "stat", "bargauge"}
# From the dashboards' API v1: what an import needs.
NEEDED = {"uid", "title", "panels", "templating", "time", "schemaVersion", "version", "annotations"}


@pytest.fixture(params=["mlops-model", "mlops-service"])
def dashboard(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "mlops.toml").write_text('[project]\nname = "flights"\npackage = "flights"\n')
    export(load(tmp_path, environ={}), tmp_path / "out")
    found: dict[str, Any] = json.loads(
        (tmp_path / "out" / "dashboards" / f"{request.param}.json").read_text()
    )
    assert found["uid"] == request.param
    return found


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_it_has_what_an_import_needs(dashboard: dict[str, Any]) -> None:
    assert dashboard.keys() >= NEEDED
    assert dashboard["schemaVersion"] == 42
    assert "id" not in dashboard, "Grafana gives the number"
    assert {panel["type"] for panel in dashboard["panels"]} <= KINDS


def test_no_two_panels_share_a_number_or_a_place(dashboard: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = {panel["id"]: area(panel["gridPos"]) for panel in dashboard["panels"]}
    for one, other in combinations(cells.values(), 2):
        assert not one & other
    assert all(0 <= x < 24 for area in cells.values() for x, _ in area)


def area(grid: dict[str, int]) -> set[tuple[int, int]]:
    columns, lines = range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])
    return {(x, y) for x in columns for y in lines}


def test_each_panel_asks_the_chosen_source_in_units_that_grafana_has(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == [*"ABCDEFGH"[: len(letters)]]
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_each_query_is_about_the_chosen_model_and_names_what_is_defined(dashboard: dict[str, Any]) -> None:
    known = {f"{metric.name}{suffix}" for metric in ALL for suffix in ("", "_bucket", "_sum", "_count")}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert 'model="$model"' in target["expr"]
            assert set(re.findall(r"(?<![:\w])mlops_\w+", target["expr"])) <= known, target["expr"]


def test_the_model_is_chosen_among_those_that_are_exported(dashboard: dict[str, Any]) -> None:
    source, model = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert model["query"]["query"] == "label_values(mlops_exporter_info, model)"
    assert model["current"]["value"] == "flights"


@pytest.mark.skipif(
    not DEEP or shutil.which("npm") is None, reason="a deep test, which needs npm and its registry"
)
def test_it_is_a_dashboard_to_the_types_of_grafana_itself(dashboard: dict[str, Any], tmp_path: Path) -> None:
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    packages = ["@grafana/schema@13.2.3", "typescript@7"]
    subprocess.run([*install, *packages], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert typed(dashboard, tmp_path) == ""
    dashboard["panels"][1]["gridPos"]["h"] = "eight"
    assert "Type 'string' is not assignable to type 'number'" in typed(dashboard, tmp_path)


def typed(dashboard: dict[str, Any], folder: Path) -> str:
    """What the compiler has to say against it as a `Dashboard`."""
    # A text is no member of an enumeration to it.
    text = json.dumps(dashboard).replace('"mode": "absolute"', '"mode": ThresholdsMode.Absolute')
    head = "import { type Dashboard, ThresholdsMode } from '@grafana/schema';\n"
    (folder / "check.ts").write_text(f"{head}export const given: Dashboard = {text};\n")
    options = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "es2022",
        "--moduleResolution",
        "bundler",
    ]
    done = subprocess.run(
        ["npx", "tsc", *options, "check.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_query_cannot_name_a_label_that_is_not_there() -> None:
    assert select(REQUESTS, model="a", status=Matching("5.."), over="5m") == (
        'mlops_requests_total{model="a",status=~"5.."}[5m]'
    )
    with pytest.raises(ValueError, match="mlops_requests_total has no label code"):
        select(REQUESTS, code="500")
