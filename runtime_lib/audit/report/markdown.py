"""A comment for a pull request: the six principles, what is new or most urgent, the rest folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.audit.recommend import WHEN
from runtime_lib.audit.records import Check
from runtime_lib.audit.report import words

__all__ = ["MARK", "comment", "plain"]

MARK = "<!-- mlops-audit -->"
"""The first line, by which a job finds the comment that it wrote before, to replace it."""

_MOST = 5
# GitHub takes 65,536 characters.
_LONGEST = 60_000


def comment(document: Mapping[str, Any], checks: Mapping[str, Check]) -> str:
    """Write the comment."""
    lines = [MARK, *_head(document), *_principles(document), *_steps(document), *_accepted(document)]
    text = "\n".join(lines) + "\n"
    details = "\n".join(_details(document, checks)) + "\n"
    return text + details if len(text + details) <= _LONGEST else text


def plain(text: str) -> str:
    """Text from outside: without marks of Markdown or HTML, mentions of people, and references."""
    text = re.sub(r"[&<>]", lambda found: f"&#{ord(found[0])};", text)
    text = re.sub(r"([\\`*_{}\[\]|~!])", r"\\\1", text)
    return re.sub(r"([@#])(?=\w)(?<!&#)", lambda found: f"&#{ord(found[0])};", text)


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### MLOps audit: {plain(words.level(document))} · {words.score(document)}"
    yield ""
    difference = document["baseline"]
    if difference:
        new, closed = len(difference["new"]), len(difference["closed"])
        yield f"{new} new {'gap' if new == 1 else 'gaps'}, {closed} closed, {len(difference['known'])} known."
        yield ""
    if lacks := words.lacks(document):
        yield f"Level {document['next_level']['level']} lacks:"
        yield ""
        yield from (f"- {plain(lack)}" for lack in lacks)
        yield ""


def _principles(document: Mapping[str, Any]) -> Iterator[str]:
    yield "| principle | | mark | pillars |"
    yield "|---|---|---|---|"
    for one in document["principles"]:
        pillars = " ".join(f"{each['id']} {words.SYMBOLS[each['verdict']]}" for each in one["pillars"])
        weak = " (weakest)" if one["principle"] == document["weakest"] else ""
        name = words.principle(one["principle"])
        yield f"| {name}{weak} | {one['symbol']} | {words.mark(one)} | {pillars} |"
    yield ""


def _steps(document: Mapping[str, Any]) -> Iterator[str]:
    steps = document["recommendations"]
    if not steps:
        yield "Nothing to recommend."
        return
    yield "**First**"
    yield ""
    for step in steps[:_MOST]:
        gap, fix = plain(words.sentence(step["gap"])), plain(step["recommendation"])
        yield f"- {step['id']}, {step['priority']}: {gap} {fix}"
    yield ""


def _accepted(document: Mapping[str, Any]) -> Iterator[str]:
    if document["accepted"]:
        yield "**Accepted**"
        yield ""
        yield from (f"- {one['id']}: {plain(one['reason'])}" for one in document["accepted"])
        yield ""


def _details(document: Mapping[str, Any], checks: Mapping[str, Check]) -> Iterator[str]:
    yield "<details><summary>Every check that applies</summary>"
    yield ""
    yield "| check | | found | shown by |"
    yield "|---|---|---|---|"
    for principle in document["principles"]:
        for one in words.shown(document, principle["principle"]):
            if one["verdict"] == "n/a":
                continue
            asked = plain(checks[one["id"]].question) if one["id"] in checks else ""
            found, shown = plain(one["message"]), plain(words.told(one))
            yield f"| {one['id']} {asked} | {words.SYMBOLS[one['verdict']]} | {found} | {shown} |"
    yield ""
    for when in WHEN:
        if ids := document["roadmap"][when]:
            yield f"{words.WHEN[when]}: {', '.join(ids)}."
            yield ""
    yield "</details>"
