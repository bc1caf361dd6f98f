"""How a report says things, in every form alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtime_lib.audit.score import LEVELS

__all__ = [
    "SYMBOLS",
    "WHEN",
    "gap_count",
    "kind",
    "lacks",
    "level",
    "mark",
    "number",
    "place",
    "principle",
    "score",
    "sentence",
    "shown",
    "told",
]

SYMBOLS = {"pass": "✓", "partial": "⚠", "fail": "✗", "unknown": "?", "n/a": "-"}
WHEN = {"week": "This week", "month": "This month", "quarter": "This quarter"}
# What is told first: a gap, then what is there.
_ORDER = ("fail", "partial", "unknown", "pass", "n/a")


def sentence(text: str) -> str:
    """With a full stop, whether or not it has one."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def number(value: float) -> str:
    return f"{value:g}"


def _range(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def score(document: Mapping[str, Any]) -> str:
    """As in "3.5 to 4.5 of 6 principles"."""
    if not document["score_of"]:
        return "no principle applies"
    return f"{_range(*document['score'])} of {document['score_of']} principles"


def level(document: Mapping[str, Any]) -> str:
    """As in "level 1 of 3, pipeline"."""
    if document["level"] is None:
        return f"no level: {document['level_why']}"
    return f"level {document['level']} of {len(LEVELS) - 1}, {document['level_why']}"


def mark(one: Mapping[str, Any]) -> str:
    """A principle's mark: "0.5", "0 to 1", or "does not apply"."""
    return "does not apply" if one["mark"] is None else _range(*one["mark"])


def principle(name: str) -> str:
    return name[0].upper() + name[1:]


def kind(document: Mapping[str, Any]) -> str:
    """What was audited, as in "project with sklearn, served by api, 12 % of the code in notebooks"."""
    project = document["project"]
    words = [project["kind"]]
    if project["frameworks"]:
        words.append("with " + ", ".join(project["frameworks"][:4]))
    targets = [target for target in project["targets"] if target != "none"]
    if targets:
        words.append("for " + ", ".join(targets))
    if project["notebook_share"] >= 0.005:
        words.append(f"{project['notebook_share']:.0%} of its code in notebooks".replace("%", " %"))
    return ", ".join(words)


def lacks(document: Mapping[str, Any]) -> list[str]:
    """What the next level waits for, a line each."""
    following = document["next_level"]
    if not following:
        return []
    messages = {one["id"]: one["message"] for one in document["checks"]}
    found = []
    for lack in following["lacks"]:
        ids = " or ".join(lack["checks"])
        said = "; ".join(messages[id].removesuffix(".") for id in lack["checks"] if id in messages)
        found.append(f"{ids}: {'cannot be told, ' if lack['unknown'] else ''}{said}")
    return found


def place(evidence: Mapping[str, Any]) -> str:
    return f"{evidence['path']}:{evidence['line']}"


def shown(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The checks of a principle, gaps first."""
    found = [one for one in document["checks"] if one["principle"] == name]
    return sorted(found, key=lambda one: _ORDER.index(one["verdict"]))


def told(one: Mapping[str, Any]) -> str:
    """What shows a finding: places, or where nothing was found."""
    if one["evidence"]:
        more = len(one["evidence"]) - 3
        places = ", ".join(f"{place(each)} ({each['what']})" for each in one["evidence"][:3])
        return places + (f" and {more} more" if more > 0 else "")
    return "looked at " + ", ".join(one["looked_at"]) if one["looked_at"] else ""


def gap_count(checks: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many checks have which verdict."""
    found = dict.fromkeys(_ORDER, 0)
    for one in checks:
        found[one["verdict"]] += 1
    return found
