"""A new project audits itself: nothing critical is missing, and what is missing is known."""

from __future__ import annotations

import re

import pytest

from runtime_lib.audit.recommend import GAPS
from runtime_lib.audit.run import audit
from runtime_lib.audit.score import total
from tests.support.audit_page import PAGE
from tests.support.trees import git

PROJECTS = {
    "as it comes": {},
    "gitlab": {"ci_provider": "gitlab"},
    "blank": {"start": "blank"},
    "images": {"example": "images"},
    "no Airflow": {"with_orchestration": False},
    "nothing served": {"with_serving": False, "with_monitoring": False},
    "quick": {"tier": "quick"},
}


@pytest.fixture(scope="module", params=PROJECTS)
def found(request, render):
    project = render(**PROJECTS[request.param])
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    names = audit(project, strict=True).repo.dependencies.names
    (project / "uv.lock").write_text("version = 1\n" + "".join(map(locked, sorted(names))))
    git(project, "add", "--all")
    return request.param, audit(project, strict=True)


def locked(name: str) -> str:
    """What `uv sync` would write of a package: locking for real needs an index."""
    return (
        f'\n[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ registry = "https://example.org" }}\n'
    )


def test_no_gap_is_critical(found):
    _, told = found
    assert [step for step in told.recommendations if step.priority == "critical"] == []


def test_it_is_a_project_that_trains_by_the_library(found):
    name, told = found
    assert told.project.kind == "project"
    assert "runtime-lib" in told.project.frameworks
    assert ("api" in told.project.targets) == (name != "nothing served")


def test_its_level_is_three_with_airflow_and_without_waits_for_delivery_alone(found):
    name, told = found
    lacks = [lack.checks for lack in told.level.lacks]
    assert (told.level.value, lacks) == ((1, [("A6",)]) if name == "no Airflow" else (3, []))


def explained(*tiers: str) -> set[str]:
    rows = re.findall(
        r"^\| ([A-Z]\d[A-Z\d, ]*) \| ([\w ]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {id for ids, tier in rows for id in ids.split(", ") if tier in tiers}


def test_every_gap_is_explained_in_the_docs_and_no_other(found):
    name, told = found
    gaps = {id for id, one in told.findings.items() if one.verdict in GAPS}
    also = {"quick": "quick", "no Airflow": "without Airflow", "blank": "blank start"}.get(name, "all")
    if name == "nothing served":
        assert gaps <= explained("all", also)
    else:
        assert gaps == explained("all", also)


def test_a_step_that_is_taken_raises_the_score(render):
    project = render()
    git(project, "init", "--quiet")
    scores = []
    names = audit(project, strict=True).repo.dependencies.names
    for file, text in (
        ("mlops.toml", ""),
        ("uv.lock", "version = 1\n" + "".join(map(locked, sorted(names)))),
        ("mlops.toml", '\n[monitoring.alerts.team-chat]\nkind = "slack"\n'),
    ):
        with (project / file).open("a") as opened:
            opened.write(text)
        git(project, "add", "--all")
        scores.append(total(audit(project, strict=True).marks))
    assert scores == [(5, 5, 6), (5.5, 5.5, 6), (6, 6, 6)]


def test_nothing_cannot_be_told(found):
    _, told = found
    assert [id for id, one in told.findings.items() if one.verdict == "unknown"] == []


def test_nox_audits_it_from_standard_on(render):
    assert '"mlops", "audit"' in (render() / "noxfile.py").read_text()
