"""The whole of monitoring on a real prediction log: verdict, report, page, alert."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from runtime_lib import settings
from runtime_lib.cli.monitor import _show as show_verdict
from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import DataError
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.report import render
from runtime_lib.serving.log import PredictionLog
from tests.support.monitored import Champion, scored, write_profile
from tests.support.receivers import receiving

COLUMNS = [Column("speed", "number", True), Column("<b>place</b>", "category", True)]
START = datetime(2026, 11, 2, 8, tzinfo=UTC)


def rows(count, seed, shift=0.0, skill=1.5):
    rng = np.random.default_rng(seed)
    probability, label = scored(rng, count, skill)
    table = {
        "speed": rng.normal(10 + shift, 2, count),
        "<b>place</b>": rng.choice(["<i>A", "B", "C"], count).astype(object),
    }
    return table, probability, label


@pytest.fixture
def project(tmp_path):
    """Make a project whose champion, version 2, has a profile."""
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    write_profile(tmp_path, COLUMNS, *rows(5_000, 0))
    return tmp_path


def serve(root, count, *, version="2", days=3, ids="", role="primary", **options):
    """Log predictions over some days and return their ids (`<ids>-<i>`) and labels."""
    table, probability, label = rows(count, 1, **options)
    ids = [f"{ids or f'v{version}'}-{i}" for i in range(count)]
    log = PredictionLog(root / "var" / "predictions")
    for day in range(days):
        part = slice(day, None, days)
        checked = check_rows({name: values[part] for name, values in table.items()}, COLUMNS)
        time = START + timedelta(days=day)
        answer = {"probability": probability[part]}
        log.append(ids[part], checked, answer, model="demo", version=version, time=time, role=role)
    log.close()
    return pd.DataFrame({"id": ids, "label": label})


def judge(root, environ=None, **options):
    loaded = settings.load(root, environ=environ or {})
    return monitor(loaded, champion=Champion("2", root), **options)


def label(root, table):
    table.to_csv(root / "labels.csv", index=False)
    add_labels(settings.load(root, environ={}), root / "labels.csv")


class Page(HTMLParser):
    """Reads a page; refuses tags that do not close in order, and anything loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        assert not {"src", "href"} & dict(attributes).keys() or dict(attributes).get("href", "").startswith(
            "#"
        )
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


def test_all_well(project):
    label(project, serve(project, 3_000))
    verdict = judge(project)
    assert (verdict.state, verdict.drifted, verdict.retrain, verdict.reasons) == ("well", False, False, ())
    assert verdict.rows == 3_000
    assert verdict.performance.coverage == 1
    assert [p.predictions for p in verdict.periods] == [1_000] * 3


def test_drift_is_reported_with_its_figures_but_is_no_reason_to_retrain(project):
    label(project, serve(project, 3_000, shift=3).head(1_000))
    verdict = judge(project)
    assert (verdict.state, verdict.drifted_columns, verdict.retrain) == ("drift", ("speed",), False)
    report = json.loads(verdict.report_json.read_text())
    assert report == json.loads(json.dumps(verdict.to_dict()))
    assert report["performance"]["coverage"] == pytest.approx(1 / 3)
    assert report["report"] == str(verdict.report_html)
    assert (report["rules"]["ks_threshold"], report["rules"]["persistence"]) == (0.1, 2)
    assert not {"webhook", "alerts"} & report["rules"].keys()
    text = verdict.report_html.read_text()
    page = Page(text)
    assert "Look: the data has drifted" in page.words
    assert f"{verdict.columns[0].evidence[0].reached:.3f}" in page.words
    assert "33.3%" in page.words
    assert page.seen.count("svg") == 7  # two inputs, the prediction, the chart, three of what labels say
    assert "<b>place</b>" in page.words  # shown as text, not as markup
    assert "script" not in page.seen


def test_the_page_lists_columns_by_the_effect_that_it_shows_and_says_what_training_had_too(project):
    serve(project, 3_000)
    verdict = judge(project)
    calm, large = (
        replace(column, name=name, reasons=(), effect=effect, evidence=(evidence,))
        for name, effect, reached in (("calm", 0.5, 0.1), ("large", 0.1, 0.7))
        for column in verdict.columns[:1]
        for evidence in [replace(column.evidence[0], name="psi", reached=reached, typical=0.9)]
    )
    page = render(replace(verdict, columns=(calm, large)))
    assert page.index('title="large"') < page.index('title="calm"')
    assert page.count("windows; training varied as much") == 1
    assert page.index("training varied as much") < page.index('title="calm"')


def test_the_command_says_once_how_performance_is(project, capsys):
    ids = serve(project, 3_000, skill=0.5)
    show_verdict(judge(project))
    assert capsys.readouterr().out.count("  performance: ") == 1
    label(project, ids)
    verdict = judge(project)
    show_verdict(verdict)
    assert verdict.retrain
    assert capsys.readouterr().out.count(verdict.performance.reason) == 1


def test_a_drop_in_performance_calls_for_retraining_and_an_alert(project):
    label(project, serve(project, 3_000, skill=0.5))
    with receiving(500, 200) as hook:
        verdict = judge(project, {"MLOPS_MONITORING__WEBHOOK": f"{hook.url}/secret"})
    assert verdict.retrain
    assert verdict.alert.error is None
    alert = hook.bodies[-1]
    assert (alert["event"], alert["model"], alert["version"]) == ("retrain", "demo", "2")
    assert alert["performance"]["live"] == pytest.approx(verdict.performance.live)
    assert alert["performance"]["labelled"] == 3_000
    assert alert["report"] == str(verdict.report_html)
    assert "retraining is due" in alert["text"]
    assert "Retrain: performance has dropped" in Page(verdict.report_html.read_text()).words


def test_an_alert_on_drift_names_column_effect_threshold_and_rows(project):
    serve(project, 600, shift=3)
    with receiving() as hook:
        judge(project, {"MLOPS_MONITORING__WEBHOOK": hook.url})
    [alert] = hook.bodies
    [column] = alert["columns"]
    assert (column["name"], column["rows"]) == ("speed", 600)
    assert column["effect"] > alert["rules"]["drift_threshold"] == 0.2
    assert "moved by 1.5" in alert["text"]


def test_all_well_sends_no_alert(project):
    serve(project, 600)
    with receiving() as hook:
        verdict = judge(project, {"MLOPS_MONITORING__WEBHOOK": hook.url})
    assert hook.requests == []
    assert verdict.alert is None


def test_an_alert_that_does_not_arrive_is_reported_and_the_verdict_kept(project):
    serve(project, 600, shift=3)
    with receiving(404) as hook:
        verdict = judge(project, {"MLOPS_MONITORING__WEBHOOK": f"{hook.url}/secret"})
    assert "HTTP 404" in verdict.alert.error
    assert "HTTP 404" in verdict.report_html.read_text()
    assert json.loads(verdict.report_json.read_text())["drifted"] is True
    assert "secret" not in verdict.report_json.read_text() + verdict.report_html.read_text()


def test_only_the_champion_is_judged(project):
    serve(project, 3_000, version="1", shift=5)
    serve(project, 700)
    verdict = judge(project)
    assert (verdict.rows, verdict.state) == (700, "well")


def test_a_shadow_that_answers_the_same_ids_changes_nothing(project):
    label(project, serve(project, 3_000, ids="call"))
    alone = judge(project)
    serve(project, 3_000, version="3", ids="call", shift=5, skill=-2)
    beside = judge(project)
    assert (beside.rows, beside.state) == (3_000, "well")
    assert (beside.performance, beside.columns) == (alone.performance, alone.columns)


def test_what_a_shadow_was_asked_for_is_left_out(project):
    """Even under the champion's version: it was a shadow before it was promoted."""
    serve(project, 600)
    serve(project, 600, shift=3, ids="shadow", role="shadow")
    verdict = judge(project)
    assert (verdict.rows, verdict.drifted) == (600, False)


def test_a_damaged_log_is_told_and_the_rest_is_judged(project):
    serve(project, 3_000)
    [path] = sorted(project.glob("var/predictions/*/*.arrows"))[:1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    verdict = judge(project)
    assert verdict.rows == 2_000
    assert [each.split(":")[0] for each in verdict.damage] == [f"{path}, byte 224"]
    assert json.loads(verdict.report_json.read_text())["damage"] == list(verdict.damage)


def test_a_log_that_is_all_damage_is_told(project):
    serve(project, 10, days=1)
    [path] = project.glob("var/predictions/*/*.arrows")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"monitor again\. It may have been in .*, byte 224: a batch"):
        judge(project)


def test_performance_is_compared_with_what_the_gate_saw(project):
    label(project, serve(project, 3_000))
    champion = Champion("2", project, {"roc_auc": 0.99, "rows": 5_000})
    verdict = monitor(settings.load(project, environ={}), champion=champion)
    assert verdict.performance.held_out == 0.99
    assert verdict.retrain


def test_performance_is_judged_by_the_gates_metric(project):
    """The gate's figures say that the ranking holds, and that the average precision has dropped."""
    label(project, serve(project, 3_000))
    champion = Champion("2", project, {"roc_auc": 0.85, "average_precision": 0.90, "rows": 5_000})
    assert not monitor(settings.load(project, environ={}), champion=champion).retrain
    with (project / "mlops.toml").open("a") as file:
        file.write('[registry]\nmetric = "average_precision"\n')
    with receiving() as hook:
        loaded = settings.load(project, environ={"MLOPS_MONITORING__WEBHOOK": f"{hook.url}/secret"})
        verdict = monitor(loaded, champion=champion)
    performance = verdict.performance
    assert (verdict.retrain, performance.metric, performance.held_out) == (True, "average_precision", 0.90)
    assert performance.lower < performance.live == performance.metrics["average_precision"]
    assert performance.live < performance.upper < 0.90
    assert verdict.reasons[0].startswith("Average precision 0.7")
    assert all(p.lower < p.live < p.upper < 0.90 for p in verdict.periods)
    page = Page(verdict.report_html.read_text())
    assert "Average precision, live against held-out" in page.words
    assert "Live average precision" in page.words
    [alert] = hook.bodies
    sent = alert["performance"]
    assert sent["held_out"] == sent["baseline"] == 0.90  # the second for whoever reads alerts of 0.4
    assert sent["held_out_rows"] == sent["baseline_rows"] == 5_000
    assert "secret" not in repr(verdict)


def test_labels_without_a_prediction_are_counted(project):
    labels = serve(project, 600)
    label(project, pd.concat([labels, pd.DataFrame({"id": ["x", "y"], "label": [0, 1]})]))
    verdict = judge(project)
    assert (verdict.performance.unknown, verdict.performance.labelled) == (2, 600)


def test_since_leaves_out_what_came_before(project):
    serve(project, 900)
    assert judge(project, since=START + timedelta(days=1)).rows == 600


def test_a_few_predictions_are_too_early_to_tell(project):
    serve(project, 60, days=1, shift=9)
    verdict = judge(project)
    assert (verdict.state, verdict.drifted) == ("early", False)
    assert "Too early to tell" in Page(verdict.report_html.read_text()).words


def test_a_given_profile_judges_the_whole_log(project):
    serve(project, 300, version="1")
    serve(project, 300, version="2")
    profile = json.loads((project / "profile.json").read_text())
    assert monitor(settings.load(project, environ={}), profile).rows == 600
    serve(project, 100, version="3", ids="v2")  # rows that version 2 has answered: the last answer counts
    assert monitor(settings.load(project, environ={}), profile).rows == 600


def test_without_predictions_the_next_step_is_named(project):
    with pytest.raises(DataError, match=r"mlops serve.*mlops predict"):
        judge(project)
    serve(project, 10, version="1")
    with pytest.raises(DataError, match="10 predictions of version 1, but none of the champion, version 2"):
        judge(project)


def test_without_a_profile_the_next_step_is_named(project):
    serve(project, 10)
    (project / "profile.json").unlink()
    with pytest.raises(DataError, match=r"profile\.json does not exist yet: `mlops run`"):
        judge(project)


def test_a_registry_without_champion_names_the_next_step(project):
    pytest.importorskip("mlflow")
    with pytest.raises(DataError, match=r"'demo' has no champion.*mlops run"):
        monitor(settings.load(project, environ={}))
