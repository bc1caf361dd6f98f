"""Alerts to a real Alertmanager, which forwards them to a webhook, and ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.notify import announce, notify
from tests.support.alerts import drift
from tests.support.prometheus import alertmanager, needs_alertmanager
from tests.support.receivers import receiving

pytestmark = needs_alertmanager


def statuses(hook):
    return [(body["status"], alert["labels"]["severity"]) for body in hook.bodies for alert in body["alerts"]]


def settings_for(project, url, more="", **environ):
    return project(f'[monitoring.alerts.am]\nkind = "alertmanager"\nurl = "{url}/"\n{more}', **environ)


def test_an_alert_is_forwarded_and_resolved(project, tmp_path):
    with receiving() as hook, alertmanager(tmp_path, hook.url) as manager:
        settings = settings_for(project, manager.url)
        finding = drift("speed", "<b>place</b>", report="/srv/shop/report.html")
        [outcome] = notify(settings, [finding], source="monitor")
        assert outcome.error is None
        hook.wait_for(1)
        [sent] = hook.bodies[0]["alerts"]
        assert (sent["status"], sent["generatorURL"]) == ("firing", "file:///srv/shop/report.html")
        assert sent["labels"] == {
            "alertname": "mlops_drift",
            "project": "shop",
            "environment": "local",
            "model": "shop",
            "kind": "drift",
            "key": "shop/local/shop/monitor/drift",
            "severity": "warning",
        }
        assert sent["annotations"]["affected"] == "speed, <b>place</b>"
        assert "mlops_drift" in manager.amtool("alert", "query", "model=shop")

        [outcome] = notify(
            settings, [finding], source="monitor"
        )  # sent by each run: it may have been restarted
        assert (outcome.sent, outcome.error) == (1, None)
        [active] = manager.alerts()
        assert datetime.fromisoformat(active["endsAt"]) > datetime.now(UTC) + timedelta(hours=47)

        notify(settings, [], source="monitor")
        hook.wait_for(2)
        assert statuses(hook) == [("firing", "warning"), ("resolved", "warning")]
        assert manager.alerts() == []


def test_an_alert_that_becomes_graver_is_one_alert_and_ends_as_one(project, tmp_path):
    with receiving() as hook, alertmanager(tmp_path, hook.url) as manager:
        settings = settings_for(project, manager.url)
        notify(settings, [drift("speed")], source="monitor")
        hook.wait_for(1)
        notify(settings, [drift("speed", severity="critical")], source="monitor")
        hook.wait_for(3)
        assert sorted(statuses(hook)[1:]) == [("firing", "critical"), ("resolved", "warning")]
        assert [alert["labels"]["severity"] for alert in manager.alerts()] == ["critical"]
        notify(settings, [], source="monitor")
        hook.wait_for(4)
        assert statuses(hook)[3] == ("resolved", "critical")
        assert manager.alerts() == []


def test_an_event_ends_by_itself(project, tmp_path):
    with receiving() as hook, alertmanager(tmp_path, hook.url) as manager:
        settings = settings_for(project, manager.url, 'severity = "info"\n')
        announce(settings, Finding("released", "shop: version 8", ""), source="loop")
        hook.wait_for(1)
        [active] = manager.alerts()
        assert datetime.fromisoformat(active["endsAt"]) < datetime.now(UTC) + timedelta(minutes=6)


def test_a_login_is_sent_and_a_wrong_one_named(project, tmp_path):
    # "horse", by bcrypt at its cheapest.
    hashed = "$2b$04$raTZmk52D330r8n/VN6QYusEX.r6Hp77dQQ57GbPtB9rnRoNXAtzy"
    with receiving() as hook, alertmanager(tmp_path, hook.url, hashed=hashed, login="me:horse") as manager:
        variable = "MLOPS_MONITORING__ALERTS__AM__PASSWORD"
        wrong = settings_for(project, manager.url, 'user = "me"\n', **{variable: "mule"})
        [outcome] = notify(wrong, [drift("speed")], source="monitor")
        assert "(HTTP 401, try 1)" in outcome.error
        right = settings_for(project, manager.url, 'user = "me"\n', **{variable: "horse"})
        [outcome] = notify(right, [drift("speed")], source="monitor")
        assert outcome.error is None
        hook.wait_for(1)
