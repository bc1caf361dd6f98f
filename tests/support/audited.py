"""Audits of made-up findings: a few checks with their records, a repository and a project in words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, Draft202012Validator

from runtime_lib.audit.accepted import Accepted
from runtime_lib.audit.index.model import LeftOut, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.records import Check, Evidence, Finding, Verdict
from runtime_lib.audit.run import Audit, judge
from tests.support.releases import REPOSITORY

__all__ = [
    "HTML",
    "NASTY",
    "PILLARS",
    "PROJECT",
    "REPO",
    "audited",
    "checks",
    "finding",
    "report_errors",
    "sarif_errors",
]

_PRINCIPLES = {
    "P": "project",
    "A": "automation",
    "V": "versioning",
    "T": "tracking",
    "Q": "testing",
    "M": "monitoring",
    "R": "reproducibility",
}
_COUNTS = {"P": 4, "A": 9, "V": 9, "T": 7, "Q": 9, "M": 8, "R": 9}
PILLARS = {
    *("A1", "A3", "A6", "V1", "V2", "V3", "V4", "T1", "T2"),
    *("Q1", "Q2", "Q3", "Q4", "M1", "M2", "M3", "M4", "R1", "R2", "R5"),
}
_CRITICAL, _HIGH = {"V6", "A8", "R2", "M1", "Q3"}, {"A1", "A3", "A4", "Q1", "T1"}
# What would break a page, a comment or a terminal that trusts it.
HTML = '<script>alert(1)</script> & "x" | `y` *z* [l](http://e) @team #1'
NASTY = f"{HTML} \x1b[31m\udc80"

REPO = Repo(
    "flights", {"README.md": 120, "src/train.py": 900, "a b/ü.py": 10}, git=True, commit="0123456789ab"
)
PROJECT = Project(frameworks=("sklearn",), targets=("api",), ml=True, serves=True, notebook_share=0.125)


def checks(**changes: Mapping[str, Any]) -> dict[str, Check]:
    """All 55 records; `changes`: of fields, by id."""
    ids = [f"{letter}{number}" for letter, count in _COUNTS.items() for number in range(1, count + 1)]
    return {id: Check(**{**_record(id), **changes.get(id, {})}) for id in ids}


def _record(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "principle": _PRINCIPLES[id[0]],
        "pillar": id in PILLARS,
        "question": f"Is there what {id} asks for?",
        "looks_for": f"What {id} looks for.",
        "why": f"Why {id} matters.",
        "false_answers": "",
        "fix": f"Do the step of {id}.",
        "effort": {"1": "hours", "2": "minutes"}.get(id[1], "days"),
        "priority": "critical" if id in _CRITICAL else "high" if id in _HIGH else "medium",
        "tools": ("MLflow", "GitHub Actions"),
        "brings": "",
        "ask": lambda repo, project: Finding("n/a", "not asked"),
    }


def finding(id: str, verdict: Verdict, **more: Any) -> Finding:
    """A finding, with the evidence that its verdict needs unless `more` has another."""
    if verdict in ("pass", "partial"):
        more.setdefault("evidence", (Evidence("src/train.py", 12, f"shows {id}"),))
    elif verdict == "fail":
        more.setdefault("looked_at", ("3 modules",))
    return Finding(verdict, more.pop("message", f"{id} is {verdict}"), **more)


def audited(
    verdicts: Mapping[str, Verdict | Finding] | None = None,
    *,
    every: Verdict = "n/a",
    records: Mapping[str, Check] | None = None,
    repo: Repo = REPO,
    project: Project = PROJECT,
    accepted: Mapping[str, str] | None = None,
    left_out: tuple[LeftOut, ...] = (),
) -> Audit:
    """Judge findings: those given, by id, and `every` for all others. Files that they show are there."""
    found = dict(records or checks())
    files = dict(repo.files)
    for id, record in found.items():
        given = (verdicts or {}).get(id, every)
        made = given if isinstance(given, Finding) else finding(id, given)
        files |= {one.path: 1 for one in made.evidence}
        found[id] = Check(**{**vars(record), "ask": lambda repo, project, made=made: made})
    repo = Repo(**{**vars(repo), "files": files, "left_out": left_out})
    return judge(repo, project, found, accepted=Accepted(accepted or {}), strict=True)


def report_errors(document: Mapping[str, Any]) -> list[str]:
    """What the published schema says against a report."""
    schema = json.loads((REPOSITORY / "docs" / "audit.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return [
        f"{each.json_path}: {each.message}" for each in Draft202012Validator(schema).iter_errors(document)
    ]


def sarif_errors(log: Mapping[str, Any]) -> list[str]:
    """What the schema of SARIF 2.1.0 with errata 01, as OASIS publishes it, says against a log."""
    raw = gzip.decompress((Path(__file__).parents[1] / "audit" / "sarif-2.1.0.json.gz").read_bytes())
    return [f"{each.json_path}: {each.message}" for each in Draft4Validator(json.loads(raw)).iter_errors(log)]
