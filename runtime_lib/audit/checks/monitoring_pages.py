"""M7 and M8: somebody can look, somebody knows what to do."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_lib.audit.checks.monitoring import judged
from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, entries, files, lines
from runtime_lib.audit.records import Finding, check

__all__: list[str] = []


@check(
    "M7",
    "monitoring",
    "Is there a dashboard of the service or the model?",
    looks_for="Panels of Grafana, dashboards of a cloud as code, a workspace of evidently.",
    why="Who is called at night looks there first.",
    false_answers="A dashboard that was made by hand is not seen.",
    fix="Export the dashboard as JSON, and commit it.",
    effort="hours",
    priority="low",
    tools=("grafana", "cloudwatch", "evidently"),
    brings="`mlops metrics` writes a dashboard for Grafana.",
)
def dashboard(repo: Repo, project: Project) -> Finding:
    return judged(
        repo, project, _boards(repo), "There is a dashboard.", "There is no dashboard in the repository."
    )


def _boards(repo: Repo) -> Iterator[Evidence]:
    for document in repo.documents.values():
        data = document.data.get("dashboard", document.data) if isinstance(document.data, dict) else None
        if isinstance(data, dict) and isinstance(data.get("panels"), list) and data["panels"]:
            yield at(
                document,
                next((one.line for one in document.entries if "panels" in one.keys), 1),
                f"{len(data['panels'])} panels",
            )
    for document, entry in entries(repo, "*Type"):
        if entry.value == "AWS::CloudWatch::Dashboard":
            yield at(document, entry.line, str(entry.value))
    pattern = (
        r'^\s*resource\s+"(?:aws_cloudwatch_dashboard|google_monitoring_dashboard|grafana_dashboard'
        r'|azurerm_portal_dashboard)"'
    )
    yield from (at(text, line, words) for text, line, words in lines(repo, pattern, within="*.tf"))
    yield from (at(module, one.line, one.name) for module, one in calls(repo, "evidently.ui*.Workspace*"))


@check(
    "M8",
    "monitoring",
    "Is it written what to do when it fails?",
    looks_for="A runbook or playbook, or a page with such a heading; links to one in alerts.",
    why="At night nobody remembers how to go back to the model before.",
    false_answers="A runbook in a wiki is not seen.",
    fix="Write a page: how to see what is wrong, how to go back, whom to call.",
    effort="hours",
    priority="low",
    tools=("markdown",),
    brings="The template's standard tier comes with docs/runbook.md.",
)
def runbook(repo: Repo, project: Project) -> Finding:
    return judged(repo, project, _runbooks(repo), "There is a runbook.", "There is no runbook.")


def _runbooks(repo: Repo) -> Iterator[Evidence]:
    for path in files(repo, "*runbook*", "*playbook*.md", "*oncall*.md", "*on-call*.md", "*incident*.md"):
        if path.endswith((".md", ".rst", ".txt", ".adoc")):
            yield at(path, 1, path)
    heading = (
        r"(?i)^#+\s.*\b(?:runbooks?|playbooks?|on-?call|incident response|incidents|rollback|rolling back)\b"
    )
    yield from (at(text, line, words) for text, line, words in lines(repo, heading, within="*.md"))
    for document, entry in entries(repo, "*runbook_url", "*runbook"):
        if entry.value:
            yield at(document, entry.line, str(entry.value))
