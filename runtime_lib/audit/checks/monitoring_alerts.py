"""M4: somebody is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.checks.messages import NOBODY, messages
from runtime_lib.audit.checks.monitoring import judged
from runtime_lib.audit.index.model import UNKNOWN, Document, Entry, Evidence, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, entries, lines
from runtime_lib.audit.records import Finding, check

__all__: list[str] = []

_TARGETS = {
    "url", "api_url", "apiurl", "webhook_url", "webhookurl", "url_file", "api_url_file", "to", "routing_key",
    "channel", "service_key", "bot_token", "api_key", "chat_id", "user_key", "token", "routingkey",
    "servicekey", "addresses", "apikey", "topic_arn", "room_id", "recipient", "urlsecret",
    "integrationkey", "endpointurl",
}  # fmt: skip
_OURS = ("monitoring.webhook", "monitoring.alerts.*", "environments.*.monitoring.alerts.*")
_JOBS = re.compile(
    r"train|deploy|monitor|drift|predict|infer|scor|data|retrain|model|evaluat|pipeline", re.IGNORECASE
)
_ISSUES = r"\bgh issue create\b|https://hooks\.slack\.com|curl .*SLACK_WEBHOOK|curl .*DISCORD_WEBHOOK"
_TELLS = (
    r"(?i)slack|action-send-mail|ms-?teams|discord|telegram|pagerduty|create-an-issue|opsgenie|send-email"
)


@check(
    "M4",
    "monitoring",
    "Is somebody told when the service, the model or a pipeline fails?",
    pillar=True,
    looks_for="A rule with a receiver: Alertmanager, Grafana, alarms of a cloud with actions, a message to "
    "Slack, PagerDuty or by e-mail on failure or drift. Empty lists, comments and pop-ups tell nobody.",
    why="A dashboard helps those who look at it; the rest is found by customers.",
    false_answers="Receivers that are set up by hand in a cloud's console are not seen.",
    fix="Send one message, on one condition, to a channel that somebody reads.",
    effort="hours",
    priority="high",
    tools=("alertmanager", "grafana", "slack", "pagerduty", "cloudwatch"),
    brings="`mlops monitor` tells the channels below `[monitoring.alerts]`; `mlops metrics export` "
    "writes rules for Prometheus.",
)
def alerts(repo: Repo, project: Project) -> Finding:
    return judged(
        repo,
        project,
        _told(repo, project),
        "Somebody is told when something fails.",
        "Nobody is told when something fails.",
    )


def _told(repo: Repo, project: Project) -> Iterator[Evidence]:
    yield from _alertmanager(repo)
    yield from _airflow(repo, project)
    yield from _configured(repo)
    yield from _infrastructure(repo)
    yield from messages(repo, project)
    yield from _from_ci(repo)


def _alertmanager(repo: Repo) -> Iterator[Evidence]:
    """Receivers with a target, where there is a rule too."""
    rules = entries(repo, "*groups.*.rules.*.alert", "*groups.*.rules.*.title", "*groups.*.rules.*.uid")
    rule = next(iter(rules), None)
    if rule is None:
        return
    for document in repo.documents.values():
        if any(_receives(part) for part in _with_receivers(document.data)) and not _aside(document):
            yield at(rule[0], rule[1].line, f"alert: {rule[1].value}")
            yield at(document, _line(document, "receivers"), "receivers with a target")


def _aside(document: Document) -> bool:
    return bool(re.search(r"(?:^|[/._-])(?:examples?|samples?)(?:[/._-]|$)", document.path, re.IGNORECASE))


def _line(document: Document, key: str) -> int:
    return next((one.line for one in document.entries if key in one.keys), 1)


def _with_receivers(data: Any, depth: int = 0) -> Iterator[Any]:
    """The lists below "receivers", wherever charts and custom resources put them."""
    if depth > 8:
        return
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "receivers" and isinstance(value, list):
                yield from value
            yield from _with_receivers(value, depth + 1)
    elif isinstance(data, list):
        for value in data[:200]:
            yield from _with_receivers(value, depth + 1)


def _receives(receiver: Any) -> bool:
    """Whether it has a target: "slack_configs" of Alertmanager, "settings" of Grafana."""
    if not isinstance(receiver, dict):
        return False
    settings = receiver.get("settings")
    ways = [settings] if isinstance(settings, dict) else []
    for key, value in receiver.items():
        if str(key).lower().endswith(("_configs", "configs")) and isinstance(value, list):
            ways += [one for one in value if isinstance(one, dict)]
    return any(_reaches({str(key).lower(): value for key, value in way.items() if value}) for way in ways)


def _reaches(way: dict[str, Any]) -> bool:
    """Whether an address is given, or where none is a channel of the one given for all."""
    addresses = {key: value for key, value in way.items() if key in _TARGETS and key != "channel"}
    return any(
        not NOBODY.search(str(value)) for value in (addresses or {"": way.get("channel", "")}).values()
    )


def _airflow(repo: Repo, project: Project) -> Iterator[Evidence]:
    """E-mail on failure with an address, and callbacks that send something."""
    for module in repo.modules.values():
        if "airflow" not in module.packages or module.path in project.tests:
            continue
        given = [(value, line) for value, line in module.constants.values() if isinstance(value, dict)]
        for call in module.calls:
            given.append((dict(call.keywords), call.line))
            if isinstance(nested := call.keywords.get("default_args"), dict):
                given.append((nested, call.line))
        for options, line in given:
            wanted = options.get("email_on_failure", True)
            if wanted is not False and (to := _addresses(options.get("email"))):
                yield at(module, line, f"email on failure: {to}")
            elif wanted is True and options.get("email_on_failure") and options.get("email") is UNKNOWN:
                yield at(module, line, "email on failure, to whom a variable says")


def _addresses(value: Any) -> str:
    found = [one for one in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(one, str)]
    return ", ".join(one for one in found if "@" in one and not NOBODY.search(one))


def _configured(repo: Repo) -> Iterator[Evidence]:
    wanted = (
        "*email_notifications.on_failure.*", "*webhook_notifications.on_failure.*",
        "*alert_notification.emails.*",
        "*notifications.emails.*", "*alertEmail*", "*slack_webhook", "*AlarmActions.*", "*AlarmActions",
    )  # fmt: skip
    for document, entry in entries(repo, *wanted):
        if entry.value and not NOBODY.search(str(entry.value)) and not _aside(document):
            yield at(document, entry.line, f"{entry.keys[-1]}: {entry.value}")
    for document, entry in entries(repo, "*routes.*"):
        # Taskcluster.
        if re.match(
            r"notify\.[\w-]+\..+\.on-(?:failed|any|completed|exception|defined|resolved)", str(entry.value)
        ):
            yield at(document, entry.line, str(entry.value))
    for document, entry in entries(repo, "email.receiver", "core.error-email", within="*luigi.*"):
        yield at(document, entry.line, str(entry.value))
    for document, entry in entries(repo, *_OURS, within="/mlops.toml"):
        yield at(document, entry.line, ".".join(map(str, entry.keys)))


def _infrastructure(repo: Repo) -> Iterator[Evidence]:
    """Terraform's and a cloud's alarms with whom they tell."""
    actions = r"^\s*(?:alarm_actions|notification_channels)\s*=\s*\[\s*[^\]\s]|^\s*action_group_id\s*="
    yield from (at(text, line, words) for text, line, words in lines(repo, actions, within="*.tf"))
    groups = (
        r'^\s*resource\s+"(?:azurerm_monitor_action_group|google_monitoring_notification_channel'
        r'|pagerduty_service\w*)"'
    )
    yield from (at(text, line, words) for text, line, words in lines(repo, groups, within="*.tf"))
    # Datadog's monitors name those they tell in their message.
    told = r"^\s*message\s*=.*@(?:slack-|pagerduty|opsgenie|teams-|webhook-|[\w.+-]+@)"
    yield from (at(text, line, words) for text, line, words in lines(repo, told, within="*.tf"))
    for document, entry in entries(repo, "*type"):
        if re.fullmatch(r"(?i)microsoft\.insights/actiongroups", str(entry.value)):
            yield at(document, entry.line, str(entry.value))
    for module, one in calls(repo, "*.put_metric_alarm", "*.add_alarm_action"):
        if one.name.endswith("add_alarm_action") or one.keywords.get("AlarmActions"):
            yield at(module, one.line, one.name)
    for module, one in calls(repo, "*AlertConfiguration", "*EmailAlertConfig"):
        if one.args or any(one.keywords.get(key) for key in ("email_addresses", "user_emails")):
            yield at(module, one.line, one.name)


def _from_ci(repo: Repo) -> Iterator[Evidence]:
    """Jobs that run by the clock, or train, deploy or watch, and tell how it went."""
    # Steps for the case of failure are no part of what a job does, so the documents are asked.
    for pipeline in repo.ci:
        document = repo.documents.get(pipeline.path)
        if document is None or not pipeline.active or all(job.disabled for job in pipeline.jobs):
            continue
        clock = any(one.kind == "schedule" for one in pipeline.triggers)
        names = " ".join([pipeline.path, *(job.name for job in pipeline.jobs)])
        if clock or _JOBS.search(names):
            yield from (at(document, one.line, str(one.value)) for one in document.entries if _tells(one))


def _tells(entry: Entry) -> bool:
    key, value = str(entry.keys[-1]) if entry.keys else "", str(entry.value)
    return bool(re.search(_TELLS, value) if key in ("uses", "template") else re.search(_ISSUES, value))
