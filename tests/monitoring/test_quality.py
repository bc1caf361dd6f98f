"""Served rows are judged by the project's rules of inputs, over a real log, and never refused."""

from __future__ import annotations

import json
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from runtime_lib import settings
from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.findings import findings
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.quality import judge_served
from runtime_lib.serving.log import PredictionLog
from tests.support.monitored import Champion, write_profile
from tests.support.receivers import receiving

COLUMNS = [Column("speed", "number", True), Column("place", "category", True)]
START = datetime(2026, 11, 2, 8, 0, 7, 715_775, tzinfo=UTC)  # no server answers on the second
PACKAGE = "quality_demo"
RULES = """
from runtime_lib.data.quality import AllowedValues, NotMissing, Range, Unique, Volume

def quality_rules():
    return [
        Range("speed", least=0, most=200, at="inputs"),
        AllowedValues("place", ["A", "B"], at="inputs", max_bad=0.5),
        NotMissing("newer_input", at="inputs"),
        Range("raw_speed", least=0),
        Unique("raw_id"),
        Volume(least=1),
    ]
"""


def rows(count: int, bad: int, seed: int = 1):
    rng = np.random.default_rng(seed)
    speed = rng.normal(100, 5, count)
    speed[rng.choice(count, bad, replace=False)] = -1
    return {"speed": speed, "place": rng.choice(["A", "B", "C"], count, p=[0.4, 0.5, 0.1]).astype(object)}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a champion, version 2, and rules."""
    (tmp_path / "mlops.toml").write_text(f'[project]\nname = "demo"\npackage = "{PACKAGE}"\n')
    package = tmp_path / "src" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "features.py").write_text(RULES)
    monkeypatch.syspath_prepend(package.parent)
    table, rng = rows(4_000, 0, 0), np.random.default_rng(0)
    write_profile(tmp_path, COLUMNS, table, rng.random(4_000), rng.integers(0, 2, 4_000))
    yield settings.load(tmp_path, environ={})
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def serve(project, count: int, bad: int, *, version: str = "2", days: int = 2, batch: int = 10**9) -> None:
    table = check_rows(rows(count, bad), COLUMNS)
    answer = np.random.default_rng(0).random(count)
    log = PredictionLog(project.predictions)
    edges = np.linspace(0, count, days + 1).astype(int)
    for day in range(days):
        for start in range(edges[day], edges[day + 1], batch):
            part = slice(start, min(start + batch, edges[day + 1]))
            log.append(
                [f"v{version}-{number}" for number in range(part.start, part.stop)],
                {name: values[part] for name, values in table.items()},
                {"probability": answer[part]},
                model="demo",
                version=version,
                time=START + timedelta(days=day),
            )
    log.close()


def judge(project):
    return monitor(project, champion=Champion("2", project.root))


def test_served_rows_that_break_a_rule_are_counted_and_told(project):
    serve(project, 6_000, 60)
    serve(project, 500, 500, version="1")  # another version's rows are another model's matter
    verdict = judge(project)
    assert (verdict.state, verdict.found) == ("quality", True)
    by_name = {each.rule.name: each for each in verdict.quality.judgements}
    assert [*by_name] == ["range speed", "set place", "missing newer_input"]
    speed = by_name["range speed"]
    assert (speed.count.rows, speed.count.bad, speed.word) == (6_000, 60, "broken")
    assert by_name["set place"].word == "proven"
    assert by_name["missing newer_input"].count.rows == 0
    assert by_name["missing newer_input"].word == "not yet"
    example = speed.count.examples[0]
    assert (example.where, example.row[:3], example.value) == ("2026-11-02", "v2-", "-1.0")
    assert verdict.quality.parts == ("2026-11-02", "2026-11-03")
    assert verdict.reasons[0].startswith("quality: range speed: 60 of 6,000 rows are bad, 1 %")
    report = json.loads(verdict.report_json.read_text())
    assert (report["state"], report["quality"]["broken"]) == ("quality", ["range speed"])
    page = verdict.report_html.read_text()
    assert "Quality of served rows" in page
    assert "1 % (0.798 % to 1.24 %)" in page
    [finding] = findings(verdict)
    assert finding.title == "demo version 2: served rows break quality rules (range speed)"
    assert (finding.kind, finding.members) == ("quality", ("range speed",))


def test_only_the_period_is_judged(project):
    serve(project, 6_000, 60)
    loaded = settings.load(project.root, environ={"MLOPS_MONITORING__PERIOD_DAYS": "1"})
    verdict = monitor(loaded, champion=Champion("2", project.root))
    assert verdict.quality.parts == ("2026-11-03",)


def test_an_alert_says_it(project):
    serve(project, 6_000, 60)
    with receiving() as hook:
        loaded = settings.load(project.root, environ={"MLOPS_MONITORING__WEBHOOK": hook.url})
        monitor(loaded, champion=Champion("2", project.root))
    [alert] = hook.bodies
    assert alert["event"] == "quality"
    assert alert["text"].splitlines()[0] == "demo version 2: served rows break quality rules"


def test_clean_rows_prove_it_and_few_rows_cannot_tell(project):
    serve(project, 3_500, 0)
    verdict = judge(project)
    assert (verdict.state, verdict.quality.judgements[0].word) == ("well", "proven")
    serve(project, 3_500, 1, version="3")
    report = judge_served(project, "3", on_damage=print)
    assert report.judgements[0].word == "not yet"


def test_without_rules_of_inputs_the_report_is_as_it_was(project):
    features = project.root / "src" / PACKAGE / "features.py"
    features.write_text("quality = 'mine'\n")
    serve(project, 1_000, 10)
    verdict = judge(project)
    assert verdict.quality is None
    assert "quality" not in json.loads(verdict.report_json.read_text())
    assert "Quality of served rows" not in verdict.report_html.read_text()


def test_code_that_cannot_be_imported_does_not_stop_monitoring_and_a_wrong_rule_does(project, caplog):
    features = project.root / "src" / PACKAGE / "features.py"
    features.write_text("import no_such_driver\n")
    serve(project, 1_000, 10)
    assert judge(project).quality is None
    assert (
        "Served rows are not judged by quality rules: quality_demo.features cannot be imported" in caplog.text
    )
    features.write_text("def quality_rules():\n    return UNKNOWN\n")
    assert judge(project).quality is None
    assert "quality_rules() failed: NameError: name 'UNKNOWN' is not defined" in caplog.text
    forget()
    features.write_text(RULES.replace("most=200", "most='200 km'"))
    with pytest.raises(SettingsError, match=r"'range speed': most = '200 km': write a finite number"):
        judge(project)


def test_the_log_is_judged_in_constant_memory(project):
    """Ten times the rows, one frame a row as a server writes them: the same memory."""

    def peak(version: str) -> int:
        tracemalloc.start()
        judge_served(project, version, on_damage=print)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    serve(project, 4_000, 4, version="5", batch=2)
    serve(project, 40_000, 40, version="6", batch=2)
    peak("5")
    assert peak("6") < 2 * peak("5")
    assert judge_served(project, "6", on_damage=print).judgements[0].count.rows == 40_000
