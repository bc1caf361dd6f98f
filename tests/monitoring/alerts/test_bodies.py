"""What each receiver is sent, against what its maker publishes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from jsonschema import Draft202012Validator

from runtime_lib.monitoring.alerts import alertmanager, pagerduty, slack, webhook
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.message import Message
from tests.support.alert_schemas import ALERTMANAGER, PAGERDUTY, SLACK
from tests.support.alerts import NOW, alert

LONG = "x" * 5_000
ALERTS = {
    "firing": alert(),
    "resolved": alert(status="resolved"),
    "event": alert(status="event", severity="info", members=(), report="", text=""),
    "critical": alert(severity="critical", kind="performance", evidence={}),
    "long": alert(title=LONG, text="&" * 4_000, members=(LONG,) * 3, key=LONG, model="m" * 300),
}

each = pytest.mark.parametrize("name", ALERTS)


def problems(body, schema):
    body = json.loads(json.dumps(body, allow_nan=False))
    found = Draft202012Validator(schema).iter_errors(body)
    return [f"{error.json_path}: {error.message}" for error in found]


@each
def test_pagerduty_takes_it(name):
    body = {"routing_key": "k" * 32, **pagerduty.body(Message(ALERTS[name]))}
    assert problems(body, PAGERDUTY) == []


@each
def test_slack_takes_it(name):
    assert problems(slack.body(Message(ALERTS[name], test=True)), SLACK) == []


@each
def test_alertmanager_takes_it(name):
    assert problems(alertmanager.body(Message(ALERTS[name]), hours=24), ALERTMANAGER) == []


@pytest.mark.parametrize(
    ("change", "schema"),
    [
        (lambda body: body["payload"].update(severity="fatal"), PAGERDUTY),
        (lambda body: body["payload"].update(summary=LONG), PAGERDUTY),
        (lambda body: body.pop("payload"), PAGERDUTY),
        (lambda body: body["blocks"][0]["text"].update(text=LONG), SLACK),
        (lambda body: body["blocks"][1]["text"].update(type="plain"), SLACK),
        (lambda body: body["blocks"].append({"type": "section"}), SLACK),
        (lambda body: body[0]["labels"].pop("alertname"), ALERTMANAGER),
        (lambda body: body[0].update(startsAt="now"), ALERTMANAGER),
    ],
)
def test_the_schemas_refuse_what_is_wrong(change, schema):
    message = Message(alert())
    body = {
        id(PAGERDUTY): {"routing_key": "k" * 32, **pagerduty.body(message)},
        id(SLACK): slack.body(message),
        id(ALERTMANAGER): alertmanager.body(message, hours=24),
    }[id(schema)]
    assert problems(body, schema) == []
    change(body)
    assert len(problems(body, schema)) == 1


def test_pagerduty_resolves_what_it_triggered():
    fired, gone = (pagerduty.body(Message(alert(status=status))) for status in ("firing", "resolved"))
    assert (fired["event_action"], gone["event_action"]) == ("trigger", "resolve")
    assert fired["dedup_key"] == gone["dedup_key"] == "shop/prod/shop/monitor/drift"
    long = ALERTS["long"]
    keys = {pagerduty.body(Message(each))["dedup_key"] for each in (long, replace(long, status="resolved"))}
    assert len(keys) == 1
    assert fired["payload"]["custom_details"]["evidence"] == {
        "rows": 600,
        "columns": [{"name": "speed", "effect": 0.31}],
    }


def test_two_events_are_two_incidents_of_pagerduty():
    first, second = alert(status="event"), alert(status="event", since=NOW + timedelta(seconds=1))
    keys = {pagerduty.body(Message(each))["dedup_key"] for each in (first, second)}
    assert len(keys) == 2


def test_slack_shows_names_and_not_what_they_would_do():
    body = slack.body(Message(alert()))
    text = json.dumps(body["blocks"][1:])
    assert "&lt;b&gt;place&lt;/b&gt;" in text
    assert "&lt;!channel&gt;" in text
    assert "<!channel>" not in json.dumps(body)
    assert body["blocks"][0]["text"]["text"] == "[warning] shop version 7: drift in <b>place</b> & 'speed'"


def test_a_cut_text_of_slack_ends_with_no_half_escape():
    [section] = [b for b in slack.body(Message(ALERTS["long"]))["blocks"] if "&amp;" in str(b.get("text"))]
    assert section["text"]["text"].replace("&amp;", "").rstrip("…") == ""


def test_alertmanager_keeps_its_alert_while_it_is_repeated_and_ends_it():
    [fired] = alertmanager.body(Message(alert()), hours=24)
    assert fired["startsAt"] == NOW.isoformat()
    assert fired["endsAt"] == (NOW + timedelta(hours=48)).isoformat()
    assert fired["generatorURL"] == "file:///srv/shop/var/monitoring/report.html"
    [once] = alertmanager.body(Message(alert()), hours=0)
    assert once["endsAt"] == (NOW + timedelta(days=365)).isoformat()
    later = NOW + timedelta(hours=3)
    [gone] = alertmanager.body(Message(alert(status="resolved", time=later), 1, "warning"), hours=24)
    assert (gone["labels"], gone["startsAt"]) == (fired["labels"], fired["startsAt"])
    assert gone["endsAt"] == later.isoformat()


def test_alertmanager_ends_the_alert_of_the_severity_before():
    new, old = alertmanager.body(Message(alert(severity="critical"), 1, "warning"), hours=24)
    assert (new["labels"]["severity"], old["labels"]["severity"]) == ("critical", "warning")
    assert old["endsAt"] == NOW.isoformat() < new["endsAt"]


def test_a_webhook_gets_all_of_it():
    body = webhook.body(Message(alert(), 3))
    assert (body["format"], body["type"], body["test"]) == (2, "alert.firing", False)
    assert body["id"] == f"{alert().incident}-firing-3"
    assert body["text"].startswith("[warning] shop version 7: drift in")
    assert body["data"] == json.loads(json.dumps(alert().to_dict()))


@pytest.mark.parametrize(
    ("keys", "named"),
    [({"kind": "", "title": "odd"}, "The finding 'odd' has no kind"), ({"severity": "fatal"}, "fatal")],
)
def test_a_finding_that_is_none_is_named(keys, named):
    with pytest.raises(ValueError, match=named):
        Finding(**{"kind": "drift", "title": "", "text": "", **keys})
