"""SARIF 2.1.0, as code hosts take it.

GitHub refuses a whole file for one result without a location, shows "pass" as an alert, takes no base ids,
and at most 5,000 results and 10 tags. So only gaps are results, and an absence is anchored to the first line
of a file that is there. A fingerprint is made from check and file, not the line, which moves with every edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from runtime_lib import __version__
from runtime_lib.audit.recommend import GAPS
from runtime_lib.audit.records import Check
from runtime_lib.audit.report import words

__all__ = ["log"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MOST = 5_000
_MOST_OF_ONE = 20
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}


def log(
    document: Mapping[str, Any], checks: Mapping[str, Check], *, with_unknown: bool = False
) -> dict[str, Any]:
    """Return the log of one run.

    Args:
        with_unknown: also what cannot be told, of the kind "open".
    """
    rules = [check for check in checks.values() if check.principle != "project"]
    places = {check.id: place for place, check in enumerate(rules)}
    found = [
        result
        for one in _told(document, with_unknown)
        if one["id"] in places
        for result in _results(one, places[one["id"]], document["repository"]["anchor"])
    ]
    driver = {
        "name": "mlops audit",
        "semanticVersion": __version__,
        "rules": [_rule(check) for check in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "mlops-audit/"},
        "columnKind": "unicodeCodePoints",
        "results": found[:_MOST],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _told(document: Mapping[str, Any], with_unknown: bool) -> Iterator[Mapping[str, Any]]:
    accepted = {one["id"] for one in document["accepted"]}
    known = set(document["baseline"]["known"]) if document["baseline"] else set()
    for one in document["checks"]:
        if one["id"] in accepted | known:
            continue
        if one["verdict"] in GAPS or (with_unknown and one["verdict"] == "unknown"):
            yield one


def _results(one: Mapping[str, Any], rule: int, anchor: str) -> Iterator[dict[str, Any]]:
    """A result for each file that shows a gap; for an absence one."""
    lines: dict[str, tuple[int, str]] = {}
    for each in one["evidence"]:
        lines.setdefault(each["path"], (each["line"], each["what"]))
    if not lines and anchor:
        lines[anchor] = (1, "")
    for path, (line, what) in [*lines.items()][:_MOST_OF_ONE]:
        yield _result(one, rule, path, line, what)


def _result(one: Mapping[str, Any], rule: int, path: str, line: int, what: str) -> dict[str, Any]:
    is_open = one["verdict"] == "unknown"
    text = words.sentence(f"{one['message'].removesuffix('.')} ({what})" if what else one["message"])
    mark = sha256(f"{one['id']}\n{path}".encode()).hexdigest()[:16]
    return {
        "ruleId": one["id"],
        "ruleIndex": rule,
        "kind": "open" if is_open else "fail",
        # SARIF wants no level of what is no failure.
        "level": "none" if is_open else _LEVELS[one["priority"]],
        "message": {"text": text if is_open else f"{text} {one['fix']}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path)},
                    "region": {"startLine": max(line, 1)},
                }
            }
        ],
        # The first is the only one that GitHub looks at.
        "partialFingerprints": {"primaryLocationLineHash": f"{mark}:1", "mlopsAudit/v1": mark},
    }


def _rule(check: Check) -> dict[str, Any]:
    parts = [check.looks_for, f"Why: {check.why}", f"Step: {check.fix}"]
    parts += [f"Tools: {', '.join(check.tools)}."] if check.tools else []
    parts += [f"Where it may be wrong: {check.false_answers}"] if check.false_answers else []
    return {
        "id": check.id,
        "name": _name(check.question),
        "shortDescription": {"text": check.question},
        "fullDescription": {"text": check.why},
        "help": {"text": "\n".join(parts), "markdown": "\n\n".join(parts)},
        "defaultConfiguration": {"level": _LEVELS[check.priority]},
        "properties": {"tags": _tags(check), "precision": "high"},
    }


def _tags(check: Check) -> Sequence[str]:
    return ["mlops", check.principle, *(["security"] if check.id == "V6" else [])]


def _name(question: str) -> str:
    """A question as an identifier: "Does CI run tests?" is "DoesCIRunTests"."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in question).split()
    return "".join(word[0].upper() + word[1:] for word in words)[:255] or "Check"
