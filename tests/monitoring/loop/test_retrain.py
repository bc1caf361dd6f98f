"""What a drop in performance starts, how each end of it is told, and what it does not start.

A small program stands in for `mlops run`, a process of its own too: what is tested is what comes of it. The
real one is in test_closed_loop.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from runtime_lib.errors import DataError, ServiceError, SettingsError
from runtime_lib.monitoring.alerts.findings import SOURCE
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.monitoring.alerts.state import opened
from runtime_lib.monitoring.loop.trail import Step, append, read
from runtime_lib.settings import load
from tests.monitoring.loop.conftest import LOCAL, judged
from tests.support.receivers import receiving
from tests.support.servers import eventually

CHAT = "MLOPS_MONITORING__ALERTS__CHAT__"
APPROVE = {"MLOPS_MONITORING__RETRAIN__APPROVE": "true"}


def chat(receiver, severity="info"):
    return {f"{CHAT}KIND": "webhook", f"{CHAT}URL": receiver.url, f"{CHAT}SEVERITY": severity}


def firing(loop):
    with opened(loop.settings().alerts) as state:
        return {alert.kind for alert, _ in state.alerts() if alert.status == "firing"}


def earlier(loop, what, hours, version="2"):
    """A step that was written some hours ago."""
    time = datetime.now(UTC) - timedelta(hours=hours)
    append(loop.settings().loop_trail, Step(what, version, "before", time))


def test_a_release_is_told_and_what_fired_is_resolved(loop):
    loop.next_run(judged("3", promoted=True))
    with receiving(200) as receiver:
        last, said = loop.monitor(**chat(receiver))
    assert said == ["started", "released"] == loop.trail()
    assert (last.what, last.to) == ("released", "3")
    assert last.reason == "version 3 is the champion: roc_auc 0.91"
    assert loop.runs() == ["run --json"]
    alerts = [body["data"] for body in receiver.bodies if body["data"]["kind"] != "drift"]
    told = [(each["kind"], each["status"], each["title"]) for each in alerts]
    assert [each[:2] for each in told] == [
        ("performance", "firing"),
        ("retraining", "event"),
        ("retraining", "event"),
        ("performance", "resolved"),
    ]
    assert told[1][2] == "demo version 2: retraining began"
    assert told[2][2] == "demo version 2: released"
    assert firing(loop) == set()


def test_what_the_gate_refused_is_told_in_its_words_and_the_alert_stays(loop):
    loop.next_run(judged("3", promoted=False, reason="roc_auc 0.70 is not better than 0.69"), code=3)
    with receiving(200) as receiver:
        last, said = loop.monitor(**chat(receiver, "warning"))
    assert said == ["started", "refused"]
    assert last.reason == "the gate refused version 3: roc_auc 0.70 is not better than 0.69"
    event = receiver.bodies[-1]["data"]
    assert (event["severity"], event["text"]) == ("warning", last.reason)
    assert "performance" in firing(loop)


def test_with_approve_it_waits_and_the_next_verdict_on_another_version_resolves(loop):
    loop.next_run({"ran": ["train"]})
    reports = loop.root / "reports"
    reports.mkdir()
    (reports / "registered.json").write_text('{"format": 1, "version": "3", "digest": "x"}')
    with receiving(200) as receiver:
        last, said = loop.monitor(**APPROVE, **chat(receiver))
    assert loop.runs() == ["run --json --no-promote"]
    assert said == ["started", "waiting"]
    assert (last.to, last.reason) == ("3", "version 3 is trained; `mlops promote` lets the gate judge it")
    assert "`mlops promote`" in receiver.bodies[-1]["data"]["text"]
    assert "performance" in firing(loop)
    notify(loop.settings(), [], source=SOURCE, model="demo", version="3")
    assert firing(loop) == set()


@pytest.mark.parametrize("approve", [{}, APPROVE])
def test_nothing_new_to_learn_from(loop, approve):
    said = judged("2", promoted=True, judged=False, reason="version 2 is already the champion", ran=[])
    loop.next_run({"ran": []} if approve else said)
    (loop.root / "reports").mkdir()
    (loop.root / "reports" / "registered.json").write_text('{"format": 1, "version": "2", "digest": "x"}')
    last, steps = loop.monitor(**approve)
    assert steps == ["started", "nothing"]
    assert "nothing new to learn from" in last.reason
    assert "`data.last: latest`" in last.reason


def test_a_version_that_was_judged_before_is_nothing_new(loop):
    loop.next_run(judged("3", promoted=False, judged=False, reason="refused: too weak", ran=[]))
    last, steps = loop.monitor()
    assert steps == ["started", "nothing"]
    assert "Version 3, of the same data, was judged before: refused: too weak" in last.reason
    (loop.root / "reports").mkdir()
    (loop.root / "reports" / "registered.json").write_text('{"format": 1, "version": "3", "digest": "x"}')
    (loop.root / "reports" / "promotion.json").write_text('{"format": 1, "version": "3", "promoted": false}')
    loop.next_run({"ran": []})
    last, steps = loop.monitor(MLOPS_MONITORING__RETRAIN__COOL_DOWN_HOURS="0", **APPROVE)
    assert steps == ["started", "nothing"]
    assert "judged version 3 before" in last.reason


@pytest.mark.parametrize(
    ("code", "document", "reason"),
    [
        (1, None, "`mlops run` ended with 1: what it printed says why"),
        (2, None, "`mlops run` ended with 2: what it printed says why"),
        (-9, None, "`mlops run` was killed by signal 9: what it printed says why"),
        (0, None, "did not say which version it made"),
        (0, "{'epoch': 1}\n", "did not say which version it made"),
    ],
)
def test_a_run_that_fails_is_told_and_cools_down(loop, code, document, reason):
    loop.next_run(document, code=code)
    last, said = loop.monitor()
    assert said == ["started", "failed"]
    assert reason in last.reason
    assert loop.monitor()[1] == ["cooling"]


def test_what_a_project_prints_does_not_hide_the_result(loop):
    loop.next_run("{'rows': 3}\nhello\n" + json.dumps(judged("3", promoted=True), indent=2))
    assert loop.monitor()[0].to == "3"


def test_a_second_drop_within_the_cool_down_starts_nothing_and_is_said_once(loop):
    earlier(loop, "started", 23.5)
    earlier(loop, "refused", 23)
    loop.next_run(judged("3", promoted=True))
    with receiving(200) as receiver:
        until = datetime.now(UTC) + timedelta(hours=0.5)
        last, said = loop.monitor(**chat(receiver))
        assert said == ["cooling"]
        assert f"none before {until:%-d %b %Y, %H:}" in last.reason
        again, said = loop.monitor(**chat(receiver))
        assert (again, said) == (last, [])
        assert loop.monitor("4", **chat(receiver))[1] == ["cooling"]  # another version's drop is news
    assert loop.runs() == []
    told = [body["data"]["title"] for body in receiver.bodies if body["data"]["kind"] == "retraining"]
    assert told == ["demo version 2: cools down", "demo version 4: cools down"]
    assert loop.trail() == ["started", "refused", "cooling", "cooling"]


def test_after_the_cool_down_it_starts(loop):
    earlier(loop, "started", 24.5)
    earlier(loop, "refused", 24.5)
    earlier(loop, "cooling", 5)
    loop.next_run(judged("3", promoted=True))
    assert loop.monitor()[1] == ["started", "released"]


def test_a_run_that_was_cut_short_for_a_version_that_is_replaced_cools_down_all_the_same(loop):
    earlier(loop, "started", 1, version="1")
    assert loop.monitor()[1] == ["cooling"]


@pytest.mark.parametrize("how", ["off", ""])
def test_off_does_nothing_and_leaves_no_file(loop, how):
    variables = {"MLOPS_MONITORING__RETRAIN__HOW": "off"} if how else {}
    loop.next_run(judged("3", promoted=True))
    settings = load(loop.root, environ=variables)
    from runtime_lib.monitoring.loop.act import act

    verdict = loop.verdict(settings)
    assert act(settings, verdict) == (verdict, None)
    assert loop.runs() == []
    assert list(settings.loop_trail.parent.glob("loop*")) == []


def test_a_verdict_that_is_well_starts_nothing(loop):
    from dataclasses import replace

    from runtime_lib.monitoring.loop.act import act

    settings = loop.settings()
    verdict = loop.verdict(settings)
    well = replace(verdict, performance=replace(verdict.performance, retrain=False))
    assert act(settings, well) == (well, None)
    assert loop.trail() == []


def test_of_two_monitors_at_once_one_acts(loop):
    loop.next_run(judged("3", promoted=True), more="import time; time.sleep(4)")
    results = []

    def monitor():
        results.append(loop.monitor()[1])

    first = threading.Thread(target=monitor)
    first.start()
    assert eventually(lambda: loop.runs() == ["run --json"], 120)
    monitor()
    first.join(120)
    assert results == [[], ["started", "released"]]
    assert loop.runs() == ["run --json"]


def test_report_and_page_show_causes_and_the_steps_of_this_run(loop):
    loop.next_run(judged("3", promoted=False, reason="<b>no</b>"), code=3)
    loop.monitor()
    settings = loop.settings()
    report = json.loads(settings.monitoring_report.read_text())
    assert [step["what"] for step in report["steps"]] == ["started", "refused"]
    page = settings.monitoring_page.read_text()
    assert "the gate refused version 3: &lt;b&gt;no&lt;/b&gt;" in page
    assert "retraining began" in page
    assert ('id="causes"' in page) == bool(report["causes"])


def test_where_the_trail_cannot_be_written_nothing_starts(loop):
    settings = loop.settings()
    loop.next_run(judged("3", promoted=True))
    verdict = loop.verdict(settings)
    from runtime_lib.monitoring.loop.retrain import retrain

    settings.loop_trail.with_suffix(".lock").mkdir(parents=True)
    with pytest.raises(ServiceError, match=r"No retraining can begin: .*loop\.lock cannot be written \(Is a"):
        retrain(settings, verdict)
    settings.loop_trail.with_suffix(".lock").rmdir()
    settings.loop_trail.mkdir()
    with pytest.raises(DataError, match=r"cannot be read from .*loop\.jsonl"):
        retrain(settings, verdict)
    assert loop.runs() == []


def test_a_channel_that_is_down_does_not_stop_the_loop(loop):
    loop.next_run(judged("3", promoted=True))
    with receiving(500) as receiver:
        last, _ = loop.monitor(**chat(receiver), **{f"{CHAT}TRIES": "1"})
    assert last.what == "released"


def test_a_login_in_the_address_of_airflow_is_refused(loop):
    with pytest.raises(SettingsError, match="airflow_url holds a login") as error:
        load(loop.root, environ={"MLOPS_MONITORING__RETRAIN__AIRFLOW_URL": "http://me:pa55word@127.0.0.1"})
    assert "pa55word" not in str(error.value)


ACTING = """
import sys
from pathlib import Path
from runtime_lib.monitoring.loop.act import act
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.settings import load
from tests.support.monitored import Champion

settings = load(Path(sys.argv[1]))
act(settings, monitor(settings, champion=Champion("2", settings.root)))
"""
SLOW = """
import os, time
from pathlib import Path
from runtime_lib.pipeline.run_lock import die_with_the_run
die_with_the_run(os.environ)
Path("stage.txt").write_text(str(os.getpid()))
time.sleep(300)
"""


def test_after_kill_9_nothing_runs_on_and_the_next_monitor_goes_on_whatever_the_cool_down(loop):
    """A real `mlops run`, of one stage that takes its time."""
    root = loop.root
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (root / "slow.py").write_text(SLOW)
    (root / "params.yaml").write_text("train: {}\n")
    (root / "dvc.yaml").write_text("stages:\n  train:\n    cmd: python slow.py\n    outs: [models]\n")
    command = [sys.executable, "-c", ACTING, str(root)]
    with (root / "said.txt").open("w") as said:
        process = subprocess.Popen(command, env={**os.environ, **LOCAL}, stdout=said, stderr=said)
        stage = root / "stage.txt"
        assert eventually(
            lambda: process.poll() is not None or (stage.exists() and bool(stage.read_text())), 240
        )
        assert process.poll() is None, (root / "said.txt").read_text()
        tree = psutil.Process(process.pid).children(recursive=True)
        assert int(stage.read_text()) in {each.pid for each in tree}
        process.kill()
        process.wait(60)
    assert eventually(lambda: not any(_lives(each) for each in tree), 60)
    assert loop.trail() == ["started"]
    loop.next_run(judged("3", promoted=True))
    assert loop.monitor()[1] == ["started", "released"]
    assert loop.monitor("3")[1] == ["cooling"]


def _lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_what_was_written_before_is_read(loop):
    earlier(loop, "asked", 2)
    assert read(loop.settings().loop_trail)[0].what == "asked"
    assert loop.monitor()[1] == ["cooling"]
