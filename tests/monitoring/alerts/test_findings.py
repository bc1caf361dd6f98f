"""What `mlops monitor` finds on a real prediction log, as alerts on several channels."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.monitoring.alerts.dead import DeadLetters
from runtime_lib.monitoring.alerts.payload import payload
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.serving.log import PredictionLog
from runtime_lib.settings import load
from tests.support.alerts import webhook
from tests.support.monitored import Champion, scored, write_profile
from tests.support.receivers import receiving

COLUMNS = [Column(name, "number", True) for name in ("speed", "hour", "wind")]
START = datetime(2026, 11, 2, 8, tzinfo=UTC)


def rows(count, seed, shift=0.0, skill=1.5):
    rng = np.random.default_rng(seed)
    probability, label = scored(rng, count, skill)
    return {column.name: rng.normal(10 + shift, 2, count) for column in COLUMNS}, probability, label


@pytest.fixture
def shop(project, tmp_path):
    """The folder of a project whose champion, version 2, has a profile."""
    project()
    write_profile(tmp_path, COLUMNS, *rows(5_000, 0))
    return tmp_path


class Days:
    """Serves one day after another, each judged on its own."""

    def __init__(self, root, text, environ):
        self.root, self.environ, self.day = root, environ, 0
        (root / "mlops.toml").write_text((root / "mlops.toml").read_text() + text)

    def judge(self, count, **how):
        time = START + timedelta(days=self.day)
        table, probability, label = rows(count, self.day + 1, **how)
        ids = [f"{self.day}-{n}" for n in range(count)]
        log = PredictionLog(self.root / "var" / "predictions")
        checked, answer = check_rows(table, COLUMNS), {"probability": probability}
        log.append(ids, checked, answer, model="shop", version="2", time=time)
        log.close()
        labels = self.root / "labels.csv"
        pd.DataFrame({"id": ids, "label": label}).to_csv(labels, index=False)
        settings = load(self.root, environ=self.environ)
        add_labels(settings, labels)
        self.day += 1
        return monitor(settings, champion=Champion("2", self.root), since=time)


def channels(**urls):
    text, environ = "", {}
    for name, url in urls.items():
        table, variables = webhook(name, url)
        text, environ = text + table, environ | variables
    return text, environ


def told(receiver):
    return [(body["type"], body["data"]["kind"], sorted(body["data"]["members"])) for body in receiver.bodies]


def test_drift_is_one_alert_that_is_told_once_and_is_over_when_it_is_gone(shop):
    with receiving() as ops:
        days = Days(shop, *channels(ops=ops.url))
        first = days.judge(600, shift=3)
        assert first.state == "drift"
        again = days.judge(600, shift=3)
        early = days.judge(20)
        well = days.judge(600)
    names = ["hour", "speed", "wind"]
    assert told(ops) == [("alert.firing", "drift", names), ("alert.resolved", "drift", names)]
    assert [len(verdict.alerts) for verdict in (first, again, early, well)] == [1, 0, 0, 1]
    alert, three = ops.bodies[0]["data"], list(first.drifted_columns)
    assert alert["title"] == f"shop version 2: drift in {', '.join(three)}"
    assert alert["report"] == str(first.report_html)
    assert [column["name"] for column in alert["evidence"]["columns"]] == three
    assert alert["evidence"]["columns"][0]["effect"] > alert["evidence"]["rules"]["drift_threshold"] == 0.2
    assert alert["text"].startswith(f"{three[0]}: ")
    assert (early.state, well.state) == ("early", "well")
    report = json.loads(well.report_json.read_text())
    host = ops.url.removeprefix("http://")
    assert report["alert"] == {"host": host, "error": None}
    assert report["alerts"] == [{"channel": "ops", "host": host, "sent": 1, "error": None}]


def test_a_drop_in_performance_is_critical_and_of_few_labels_nothing_is_concluded(shop):
    with receiving() as ops:
        days = Days(shop, *channels(ops=ops.url))
        assert days.judge(3_000, skill=0.2).retrain
        days.judge(100)
        assert {body["type"] for body in ops.bodies} == {"alert.firing"}
        days.judge(3_000)
    # The answers have moved with the skill: that is an alert of its own.
    drops = [body["data"] for body in ops.bodies if body["data"]["kind"] == "performance"]
    assert [drop["status"] for drop in drops] == ["firing", "resolved"]
    assert drops[0]["severity"] == "critical"
    assert drops[0]["evidence"]["performance"]["labelled"] == 3_000
    assert "retraining is due" in drops[0]["title"]


def test_the_verdict_stands_and_says_which_channel_failed(shop):
    with receiving(0) as hung, receiving() as ops:
        text, environ = channels(hung=f"{hung.url}/secret-of-the-channel", ops=ops.url)
        text = text.replace("[monitoring.alerts.ops]", "deadline = 2\n[monitoring.alerts.ops]")
        days = Days(shop, text, environ)
        started = time.monotonic()
        verdict = days.judge(600, shift=3)
        assert time.monotonic() - started < 60
        assert [(outcome.channel, outcome.sent) for outcome in verdict.alerts] == [("hung", 0), ("ops", 1)]
        report, page = verdict.report_json.read_text(), verdict.report_html.read_text()
        assert verdict.alert == verdict.alerts[0]
        assert verdict.alert.error in report
        assert "no answer within 2 s" in page
        assert f"An alert was sent to ops, {ops.url.removeprefix('http://')}." in page
        assert "secret" not in report + page
        [letter] = DeadLetters(shop / "var" / "monitoring" / "alerts" / "dead.jsonl").all()
        assert letter.channel == "hung"


def test_the_report_is_there_before_a_channel_answers(shop):
    with receiving(0) as hung:
        text, environ = channels(hung=hung.url)
        days = Days(shop, text, environ)
        running = threading.Thread(target=days.judge, args=(600,), kwargs={"shift": 3}, daemon=True)
        running.start()
        hung.wait_for(1)
        report = json.loads((shop / "var" / "monitoring" / "report.json").read_text())
        assert (report["state"], report["alerts"]) == ("drift", [])
        hung.closed.set()
        running.join(60)


def test_the_old_webhook_gets_what_it_always_got_from_each_run_that_finds_something(shop):
    with receiving() as old:
        days = Days(shop, "", {"MLOPS_MONITORING__WEBHOOK": old.url})
        verdicts = [days.judge(600, shift=3), days.judge(600, shift=3), days.judge(600)]
    assert [len(verdict.alerts) for verdict in verdicts] == [1, 1, 0]
    assert old.bodies == [json.loads(json.dumps(payload(verdict))) for verdict in verdicts[:2]]
    assert [(body["format"], body["event"]) for body in old.bodies] == [(1, "drift")] * 2
    assert all("webhook-id" not in request.headers for request in old.requests)


def test_the_old_webhook_is_tried_again_with_the_newest_verdict_alone(shop):
    with receiving(503) as old:
        days = Days(shop, "", {"MLOPS_MONITORING__WEBHOOK": old.url})
        days.judge(600, shift=3)
        days.judge(600, shift=4)
        assert len(old.requests) == 6
        old.answers[:] = [200]
        days.judge(600)  # all well: what was not delivered is
        assert len(old.requests) == 7
        assert old.bodies[-1] == old.bodies[-2] != old.bodies[0]


def test_what_went_wrong_with_the_state_is_told_and_the_verdict_kept(shop):
    with receiving() as ops:
        days = Days(shop, *channels(ops=ops.url))
        (shop / "var" / "monitoring" / "alerts").mkdir(parents=True)
        (shop / "var" / "monitoring" / "alerts" / "state.db").write_bytes(b"no database" * 100)
        verdict = days.judge(600, shift=3)
    assert verdict.state == "drift"
    assert "No alert was sent: " in verdict.alert.error
    assert "is damaged" in verdict.report_html.read_text()
