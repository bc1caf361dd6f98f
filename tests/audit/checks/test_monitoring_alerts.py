"""M4: a rule with a receiver; M7 and M8: dashboards and runbooks."""

from __future__ import annotations

import json

import pytest

SERVED = {"app.py": "import joblib\nfrom fastapi import FastAPI\napp = FastAPI()\nmodel = joblib.load('m')\n"}
RULES = "groups:\n  - name: a\n    rules:\n      - alert: Down\n        expr: up == 0\n"
MANAGER = "route: {{receiver: team}}\nreceivers:\n  - name: team\n    {configs}\n"
POST = 'requests.post(os.environ["SLACK_WEBHOOK_URL"], json={"text": text})'
SEND = f"""
    import os
    import requests

    def notify_failure(text):
        {POST}
    """
USE = "from notify import notify_failure\n\nif __name__ == '__main__':\n    notify_failure('no')\n"
DAG = "from airflow import DAG\n\ndefault_args = {options}\ndag = DAG('train', default_args=default_args)\n"


def manager(configs: str) -> dict[str, str]:
    return {"rules.yml": RULES, "alertmanager.yml": MANAGER.format(configs=configs)}


def dag(**options) -> dict[str, str]:
    return {"dags/train.py": DAG.format(options=options)}


TOLD = {
    "alertmanager": manager(
        "slack_configs: [{channel: '#ml', api_url: 'https://hooks.slack.com/services/T/B/x'}]"
    ),
    "alertmanager by mail": manager("email_configs: [{to: team@acme.org}]"),
    "in a chart": {
        "rules.yml": RULES,
        "values.yaml": "alertmanager:\n  config:\n    receivers:\n      - name: a\n"
        "        pagerduty_configs: [{routing_key: abc}]\n",
    },
    "grafana": {
        "rules.yaml": "groups:\n  - name: a\n    rules:\n      - title: Slow\n        condition: C\n",
        "contacts.yaml": "contactPoints:\n  - name: a\n    receivers:\n      - type: email\n"
        "        settings: {addresses: ml@acme.org}\n",
    },
    "slack": {"notify.py": SEND, "main.py": USE},
    "slack's client": {
        "notify.py": SEND.replace(POST, "WebClient().chat_postMessage(text=text)").replace(
            "import requests", "from slack_sdk import WebClient"
        ),
        "main.py": USE,
    },
    "airflow": dag(email=["team@acme.org"], email_on_failure=True),
    "airflow by default": dag(email="team@acme.org"),
    "cloudwatch": {
        "alarm.py": "import boto3\n"
        "boto3.client('cloudwatch').put_metric_alarm(AlarmActions=['arn:aws:sns:x'])\n"
    },
    "cloudformation": {
        "stack.yaml": "Resources:\n  A:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n"
        "      AlarmActions: [!Ref Topic]\n"
    },
    "terraform": {
        "main.tf": 'resource "aws_cloudwatch_metric_alarm" "a" {\n'
        "  alarm_actions = [aws_sns_topic.a.arn]\n}\n"
    },
    "azure": {"main.tf": 'resource "azurerm_monitor_action_group" "a" {\n}\n'},
    "databricks": {
        "job.yml": "resources:\n  jobs:\n    a:\n      email_notifications:\n"
        "        on_failure: [ml@acme.org]\n"
    },
    "taskcluster": {
        "infra/pipeline.yml": "tasks:\n  - routes:\n      - notify.email.ml@acme.org.on-failed\n"
    },
    "a job that runs by the clock": {
        ".github/workflows/train.yml": "on:\n  schedule:\n    - cron: '0 0 * * *'\n"
        "jobs:\n  a:\n    runs-on: x\n    steps:\n"
        "      - run: python train.py\n      - uses: slackapi/slack-github-action@v1\n        if: failure()\n"
    },
    "this library": {"mlops.toml": "[monitoring]\nwebhook = 'https://alerts.acme.org/hook'\n"},
}
CALLBACK = """
    from airflow import DAG
    from notify import notify_failure

    default_args = {"retries": 1, "on_failure_callback": notify_failure}
    dag = DAG("train", default_args=default_args)
    """
TOLD |= {
    "airflow to whom a variable says": {
        "dags/train.py": "from airflow import DAG\nfrom airflow.models import Variable\n"
        "DAG('a', default_args={'email': Variable.get('TEAM'), 'email_on_failure': True})\n"
    },
    "airflow's callback": {"notify.py": SEND, "dags/train.py": CALLBACK},
    "the occasion is that of who calls": {
        "notify.py": SEND.replace("notify_failure", "post"),
        "main.py": USE.replace("notify_failure", "post").replace("'no'", "'training failed'"),
    },
}
UNTOLD = {
    "nothing": {},
    "rules alone": {"rules.yml": RULES},
    "receivers without rules": {
        "alertmanager.yml": manager("email_configs: [{to: team@acme.org}]")["alertmanager.yml"]
    },
    "an empty receiver": manager("slack_configs: []"),
    "a receiver without a target": manager("webhook_configs: [{url: 'http://127.0.0.1:5001/'}]"),
    "a receiver by name alone": manager("{}").copy() | {"alertmanager.yml": "receivers:\n  - name: team\n"},
    "a receiver to fill in": manager(
        "slack_configs: [{channel: '#ml', api_url: 'https://hooks.slack.com/services/YOUR/WEBHOOK/URL'}]"
    ),
    "a hook to fill in": {
        "notify.py": SEND.replace(
            'os.environ["SLACK_WEBHOOK_URL"]', '"https://hooks.slack.com/services/XXXX"'
        ),
        "main.py": USE,
    },
    "an address of documentation": {
        "notify.py": "import smtplib\n\n\ndef alert(text):\n"
        "    smtplib.SMTP('localhost').sendmail('', 'b@example.com', text)\n\n\nalert('failed')\n"
    },
    "in comments": manager("# slack_configs: [{api_url: 'https://hooks.slack.com/x'}]"),
    "a dashboard's annotations": {
        "board.json": json.dumps(
            {"annotations": {"list": [{"name": "Annotations & Alerts", "enable": True}]}, "panels": []}
        )
    },
    "a pop-up": {"notify.py": "from win10toast import ToastNotifier\nToastNotifier().show_toast('failed')\n"},
    "a function that nothing calls": {"notify.py": SEND},
    "a function that is imported alone": {"notify.py": SEND, "main.py": "import notify\n\nprint(notify)\n"},
    "a function that a test calls": {"notify.py": SEND, "tests/test_a.py": USE},
    "airflow off": dag(email=["team@acme.org"], email_on_failure=False),
    "airflow's example": dag(email=["airflow@example.com"], email_on_failure=True),
    "airflow without an address": dag(email=[], email_on_failure=True),
    "an alarm without an action": {
        "alarm.py": "import boto3\nboto3.client('cloudwatch').put_metric_alarm(AlarmActions=[])\n"
    },
    "terraform without an action": {
        "main.tf": 'resource "aws_cloudwatch_metric_alarm" "a" {\n  alarm_actions = []\n}\n'
    },
    "a message that is the product": {
        "bot.py": "from slack_sdk import WebClient\nWebClient().chat_postMessage(channel='a', text='hello')\n"
    },
    "a commented webhook": {"mlops.toml": "[monitoring]\n# webhook = 'https://alerts.acme.org/hook'\n"},
    "tests that tell": {
        ".github/workflows/ci.yml": "on: [push]\njobs:\n  lint:\n    runs-on: x\n    steps:\n"
        "      - uses: slackapi/slack-github-action@v1\n"
    },
}


@pytest.mark.parametrize("files", TOLD.values(), ids=TOLD)
def test_somebody_is_told(ask, files):
    found = ask("M4", SERVED | files)
    assert (found.verdict, found.value) == ("pass", True)


@pytest.mark.parametrize("files", UNTOLD.values(), ids=UNTOLD)
def test_nobody_is_told(ask, files):
    found = ask("M4", SERVED | files)
    assert (found.verdict, found.value) == ("fail", False), found.evidence


@pytest.mark.parametrize(
    ("there", "files"),
    [
        (True, {"board.json": json.dumps({"title": "a", "panels": [{"type": "graph"}]})}),
        (True, {"board.json": json.dumps({"dashboard": {"panels": [{"type": "graph"}]}})}),
        (True, {"main.tf": 'resource "aws_cloudwatch_dashboard" "a" {\n}\n'}),
        (False, {"board.json": json.dumps({"title": "a", "panels": []})}),
        (False, {"main.tf": "# dashboard\n"}),
    ],
)
def test_a_dashboard(ask, there, files):
    assert ask("M7", SERVED | files).verdict == ("pass" if there else "fail")


@pytest.mark.parametrize(
    ("there", "files"),
    [
        (True, {"docs/runbook.md": "# When it fails\n"}),
        (True, {"README.md": "# A\n\n## Rollback\n"}),
        (True, {"rules.yml": RULES + "        annotations: {runbook_url: 'https://wiki.acme.org/a'}\n"}),
        (False, {"README.md": "# A\nWe have no runbook.\n"}),
    ],
)
def test_a_runbook(ask, there, files):
    assert ask("M8", SERVED | files).verdict == ("pass" if there else "fail")


def test_a_library_that_can_send_messages_tells_nobody(ask):
    pyproject = "[build-system]\nrequires = ['hatchling']\n[project]\nname = 'notify'\nversion = '1'\n"
    package = {"pyproject.toml": pyproject, "notify/__init__.py": SEND, "notify/__main__.py": USE}
    assert ask("M4", package).value is False
