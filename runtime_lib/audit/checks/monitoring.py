"""M1, M5, M6: the running service, its log of predictions, its health."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from runtime_lib.audit.index.model import Document, Entry, Evidence, Repo
from runtime_lib.audit.parts import examples, web
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, entries, lines, reached
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.tools import used

__all__ = ["judged", "looked"]

_AGENTS = r"\b(?:ddtrace-run|newrelic-admin run-program|opentelemetry-instrument|elasticapm-run)\b"
_RESOURCES = re.compile(r"AWS::CloudWatch::(?:Alarm|Dashboard|CompositeAlarm)|AWS::Synthetics::Canary")
_TERRAFORM = (
    r'^\s*resource\s+"(?:aws_cloudwatch_metric_alarm|google_monitoring_(?:alert_policy|uptime_check_config)'
    r'|azurerm_monitor_metric_alert|datadog_monitor|newrelic_\w+)"'
)
_HEALTH = re.compile(
    r"/?(?:api/|v\d+/)*_?(?:health\w*|health[-_]?check|ping|ready\w*|readiness|live|livez|liveness|heartbeat"
    r"|status|up)/?"
)
_KEEPS = (
    "*.insert_one", "*.insert_many", "*.insert_rows*", "*.put_item", "*.put_record*", "*.produce", "*.xadd",
    "*.send_and_wait", "azureml*Collector*", "azure.ai.ml*Collector*", "bentoml.monitor", "*log_prediction*",
    "*save_prediction*", "*store_prediction*", "*record_prediction*", "whylogs*.log", "arize*.log*",
)  # fmt: skip
_INSERTS = re.compile(r"(?i)\binsert\s+into\s+[\w.`\"]*(?:predict|inference|request|score|log|feedback)")


def looked(repo: Repo) -> tuple[str, ...]:
    """Where monitoring was looked for."""
    return (
        f"{len(repo.modules):,} modules and {len(repo.notebooks):,} notebooks",
        f"{len(repo.documents):,} configuration files",
    )


def judged(repo: Repo, project: Project, found: Iterator[Evidence], yes: str, no: str) -> Finding:
    """Pass with what was found; else "n/a" where nothing is served, and "fail" where something is."""
    shown = tuple(islice(dict.fromkeys(found), 5))
    if shown:
        return Finding("pass", yes, shown, value=True)
    if not project.serves:
        why = "Nothing here answers predictions." if project.ml else "Nothing here trains or predicts."
        return Finding("n/a", why, looked_at=looked(repo), value=False)
    return Finding("fail", no, looked_at=looked(repo), value=False)


@check(
    "M1",
    "monitoring",
    "Does the running service tell how it is: requests, latency, errors?",
    pillar=True,
    looks_for="Metrics, traces or error reports in the code of the service, an agent that starts it, a "
    "configuration of Prometheus that scrapes it, alarms of a cloud. What training logs does not count.",
    why="Without metrics a slow or failing service is found by those who use it.",
    false_answers="Metrics that a platform takes without any configuration in the repository are not seen.",
    fix="Export requests, errors and latency from the service, and scrape them.",
    effort="hours",
    priority="high",
    tools=("prometheus-client", "prometheus-fastapi-instrumentator", "opentelemetry", "sentry"),
    brings="`mlops serve` exports metrics at /metrics; `mlops metrics` writes rules and dashboards for them.",
)
def system(repo: Repo, project: Project) -> Finding:
    return judged(
        repo,
        project,
        _measured(repo, project),
        "The running service exports metrics, traces or errors.",
        "The service reports no requests, latency or errors.",
    )


def _measured(repo: Repo, project: Project) -> Iterator[Evidence]:
    answering = reached(repo, web(repo) | project.serving)
    training = reached(repo, project.training) - answering
    aside = project.tests | training | set(repo.notebooks)
    # A package that can measure others is not watched itself.
    within = (answering - examples(repo) if project.kind == "library" else set(repo.modules)) - aside
    yield from (one for _, one in used(repo, "monitoring_system", by=("calls", "imports"), within=within))
    yield from _insights(repo, project)
    yield from _configured(repo)


def _insights(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Application Insights of an endpoint of Azure ML is a switch of its deployment."""
    for module, one in calls(
        repo, "*deploy_configuration", "*.update", "*.create_or_update", "*OnlineDeployment"
    ):
        switch = one.keywords.get("enable_app_insights", one.keywords.get("app_insights_enabled"))
        if switch is True and module.path not in project.tests:
            yield at(module, one.line, f"{one.name}(enable_app_insights=True)")
    for _, switched in used(repo, "monitoring_system", by=("keys",)):
        if switched.what.lower().endswith(": true"):
            yield switched


def _configured(repo: Repo) -> Iterator[Evidence]:
    for document, entry in entries(repo, "*scrape_configs.*.static_configs.*.targets.*"):
        # Prometheus at 9090 scrapes itself in every example.
        if not re.search(r":9090$", str(entry.value)) and not _shown(document.path):
            yield at(document, entry.line, f"Prometheus scrapes {entry.value}")
    switches = ("*kind", "*prometheus.io/scrape", "*enable-prometheus-scraping", "*Type")
    for document, entry in entries(repo, *switches):
        value = str(entry.value)
        scraped = value in ("ServiceMonitor", "PodMonitor") or (
            "prometheus" in str(entry.keys[-1]) and value.lower() == "true"
        )
        if (scraped or _RESOURCES.fullmatch(value)) and not _shown(document.path):
            yield at(document, entry.line, f"{entry.keys[-1]}: {value}")
    for document, entry in entries(repo, "*scrape_configs.*.kubernetes_sd_configs.*.role"):
        if not _shown(document.path):
            yield at(document, entry.line, "Prometheus scrapes the cluster")
    yield from (at(text, line, words) for text, line, words in lines(repo, _TERRAFORM, within="*.tf"))
    for glob in ("*dockerfile*", "*.sh", "procfile", "*compose*.y*ml"):
        yield from (at(text, line, words) for text, line, words in lines(repo, _AGENTS, within=glob))
    yield from (at(document, entry.line, "mlops serve exports metrics") for document, entry in _mlops(repo))


def _mlops(repo: Repo) -> Iterator[tuple[Document, Entry]]:
    return entries(repo, "serving.engine", within="/mlops.toml")


def _shown(path: str) -> bool:
    return bool(re.search(r"(?:^|[/._-])(?:examples?|samples?)(?:[/._-]|$)", path, re.IGNORECASE))


@check(
    "M5",
    "monitoring",
    "Are predictions kept with their inputs?",
    looks_for="A service that writes its answers to a table, a topic, a log or a collector.",
    why="Quality in production is known only if predictions can be joined with what came true.",
    false_answers="A log that a gateway or a mesh keeps is not seen.",
    fix="Write each prediction with its inputs, the model's version and an id.",
    effort="hours",
    priority="medium",
    tools=("kafka", "postgresql", "sagemaker data capture", "azureml"),
    brings="`mlops serve` keeps a log of predictions.",
)
def prediction_log(repo: Repo, project: Project) -> Finding:
    return judged(
        repo,
        project,
        _kept(repo, project),
        "Predictions are stored with their inputs.",
        "The service does not store its predictions.",
    )


def _kept(repo: Repo, project: Project) -> Iterator[Evidence]:
    within = reached(repo, project.serving) - project.tests
    yield from (at(module, one.line, one.name) for module, one in calls(repo, *_KEEPS, within=within))
    for path in sorted(within & set(repo.modules)):
        for line, text in repo.modules[path].strings:
            if _INSERTS.search(text):
                yield at(path, line, text)
    for module, one in calls(repo, "*DataCaptureConfig", "*DataCollector"):
        if one.keywords.get("enable_capture", True) is not False and module.path not in project.tests:
            yield at(module, one.line, one.name)
    switches = ("*data_collector.collections.*.enabled", "*EnableCapture", "*enable_capture")
    for document, entry in entries(repo, *switches):
        if str(entry.value).lower() == "true":
            yield at(document, entry.line, f"{entry.keys[-1]}: true")
    yield from (at(document, entry.line, "mlops serve keeps a log") for document, entry in _mlops(repo))


@check(
    "M6",
    "monitoring",
    "Does the service tell whether it is healthy?",
    looks_for="A route such as /health or /ping, a probe of Kubernetes, a health check of a container.",
    why="What starts and replaces services must know which of them can answer.",
    false_answers="A route with another name is not seen.",
    fix="Add a route that answers once the model is loaded, and a probe that asks it.",
    effort="minutes",
    priority="medium",
    tools=("fastapi", "kubernetes", "docker"),
    brings="`mlops serve` answers /health.",
)
def health(repo: Repo, project: Project) -> Finding:
    return judged(
        repo, project, _healthy(repo), "The service has a health check.", "The service has no health check."
    )


def _healthy(repo: Repo) -> Iterator[Evidence]:
    for path in sorted(web(repo) & set(repo.modules)):
        for line, text in repo.modules[path].strings:
            if text.startswith("/") and _HEALTH.fullmatch(text):
                yield at(path, line, text)
    probes = ("*livenessProbe.*", "*readinessProbe.*", "*healthcheck.test", "*healthcheck.test.*")
    for document, entry in entries(repo, *probes):
        yield at(document, entry.line, ".".join(map(str, entry.keys[-2:])))
    checks = lines(repo, r"^\s*HEALTHCHECK\s+[^N]", within="*dockerfile*")
    yield from (at(text, line, words) for text, line, words in checks)
    yield from (at(document, entry.line, "mlops serve answers /health") for document, entry in _mlops(repo))
