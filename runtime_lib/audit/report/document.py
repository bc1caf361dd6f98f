"""The report as one document of plain values, format 1. JSON is this, and every other form is made from it.

Format 2 would be for a change that breaks a reader: a key that goes or changes its meaning. New keys may come
in format 1; `docs/audit.schema.json` describes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.audit import score
from runtime_lib.audit.baseline import Difference, compare
from runtime_lib.audit.recommend import GAPS, Recommendation, priority_of, roadmap
from runtime_lib.audit.records import Evidence, Finding
from runtime_lib.secrets import without_secrets

if TYPE_CHECKING:
    from runtime_lib.audit.run import Audit

__all__ = ["FORMAT", "document"]

FORMAT = 1
_MOST_EVIDENCE = 50
_MOST_LEFT_OUT = 200
_ANCHORS = (
    "readme.md",
    "readme.rst",
    "readme.txt",
    "readme",
    "pyproject.toml",
    "setup.py",
    "requirements.txt",
)


def document(audit: Audit, baseline: Path | None = None) -> dict[str, Any]:
    """Make the document of an audit.

    Args:
        baseline: a file with an earlier document; gaps that it has are not recommended again.

    Raises:
        DataError: the baseline cannot be read.
    """
    checks = [_check(audit, id) for id in audit.checks]
    difference = compare(checks, baseline) if baseline else None
    steps = [step for step in audit.recommendations if not difference or step.check in difference.new]
    low, high, of = score.total(audit.marks)
    result = {
        "format": FORMAT,
        "repository": {
            "name": audit.repo.name,
            "commit": audit.repo.commit,
            "files": len(audit.repo.files),
            "anchor": _anchor(audit.repo.files),
        },
        "project": {
            "kind": audit.project.kind,
            "frameworks": list(audit.project.frameworks),
            "notebook_share": round(audit.project.notebook_share, 4),
            "targets": list(audit.project.targets),
            "stage": audit.project.stage,
        },
        "facts": {
            name: {
                "value": answer.value,
                "reason": answer.reason,
                "evidence": [asdict(one) for one in answer.evidence[:_MOST_EVIDENCE]],
            }
            for name, answer in audit.facts.items()
        },
        "checks": checks,
        "principles": [_principle(mark) for mark in audit.marks],
        "score": [low, high],
        "score_of": of,
        "weakest": score.weakest(audit.marks),
        "level": audit.level.value,
        "level_why": audit.level.why,
        "next_level": _next(audit.level),
        "recommendations": [_step(step) for step in steps],
        "roadmap": roadmap(steps),
        "accepted": [{"id": id, "reason": reason} for id, reason in _accepted(audit).items()],
        "baseline": _difference(difference),
        "left_out": [asdict(one) for one in audit.repo.left_out[:_MOST_LEFT_OUT]],
        "notes": [*audit.notes, *_cut(len(audit.repo.left_out))],
    }
    cleaned = _clean(result)
    assert isinstance(cleaned, dict)
    return cleaned


def _anchor(files: Iterable[str]) -> str:
    """The file that stands for the whole, "" if there is none."""
    by_name = {path.lower(): path for path in files if "/" not in path}
    known = next((by_name[name] for name in _ANCHORS if name in by_name), None)
    return known or min(files, key=lambda path: (path.count("/"), path), default="")


def _check(audit: Audit, id: str) -> dict[str, Any]:
    check, finding = audit.checks[id], audit.findings[id]
    return {
        "id": id,
        "principle": check.principle,
        "verdict": finding.verdict,
        "confidence": finding.confidence,
        "message": finding.message,
        "evidence": [asdict(one) for one in finding.evidence[:_MOST_EVIDENCE]],
        "looked_at": list(finding.looked_at),
        "priority": _priority(audit, id, finding),
        "fix": check.fix,
        "tools": list(check.tools),
    }


def _priority(audit: Audit, id: str, finding: Finding) -> str:
    """As it is recommended; of what is not recommended, as its check has it."""
    step = next((step for step in audit.recommendations if step.check == id), None)
    return step.priority if step else priority_of(audit.checks[id], finding, audit.project.serves)


def _principle(mark: score.Mark) -> dict[str, Any]:
    return {
        "principle": mark.principle,
        "mark": None if mark.low is None else [mark.low, mark.high],
        "symbol": mark.symbol,
        "pillars": [{"id": id, "verdict": verdict} for id, verdict in mark.pillars],
    }


def _next(level: score.Level) -> dict[str, Any] | None:
    if level.value is None or not level.lacks:
        return None
    lacks = [{"checks": list(lack.checks), "unknown": lack.unknown} for lack in level.lacks]
    return {"level": level.value + 1, "name": score.LEVELS[level.value + 1], "lacks": lacks}


def _step(step: Recommendation) -> dict[str, Any]:
    return {
        "id": step.check,
        "principle": step.principle,
        "gap": step.gap,
        "priority": step.priority,
        "recommendation": step.recommendation,
        "implementation": list(step.implementation),
        "tools": list(step.tools),
        "effort": step.effort,
        "when": step.when,
        "after": step.after,
    }


def _accepted(audit: Audit) -> dict[str, str]:
    """Of the accepted gaps those that there are: one that is closed is no longer told."""
    return {id: why for id, why in audit.accepted.items() if audit.findings[id].verdict in GAPS}


def _difference(difference: Difference | None) -> dict[str, list[str]] | None:
    return None if difference is None else {key: list(ids) for key, ids in asdict(difference).items()}


def _cut(count: int) -> tuple[str, ...]:
    more = count - _MOST_LEFT_OUT
    return (f"{more:,} more files were left out",) if more > 0 else ()


def _clean(value: Any) -> Any:
    """Plain values; text without passwords, and without what would steer a terminal or cannot be encoded."""
    if isinstance(value, Mapping):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, Evidence):
        return _clean(asdict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    text = without_secrets(str(value)).replace("\n", " ")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
