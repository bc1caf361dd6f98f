"""Marks, score and level, by the published rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime_lib.audit.score import total, weakest
from tests.support.audited import PROJECT, audited


def marks(**verdicts):
    return {mark.principle: mark for mark in audited(verdicts).marks}


@pytest.mark.parametrize(
    ("first", "second", "third", "mark"),
    [
        ("pass", "pass", "pass", (1, 1)),
        ("pass", "pass", "fail", (0.5, 0.5)),
        ("pass", "fail", "fail", (0, 0)),
        ("pass", "partial", "fail", (0.5, 0.5)),
        ("pass", "pass", "partial", (0.5, 0.5)),
        ("partial", "fail", "fail", (0, 0)),
        ("pass", "pass", "unknown", (0.5, 1)),
        ("pass", "unknown", "fail", (0, 0.5)),
        ("unknown", "unknown", "unknown", (0, 1)),
        ("pass", "n/a", "n/a", (1, 1)),
        ("n/a", "n/a", "n/a", (None, None)),
    ],
)
def test_a_principle_is_marked_by_its_pillars(first, second, third, mark):
    found = marks(A1=first, A3=second, A6=third, A2="fail")["automation"]
    assert (found.low, found.high) == mark


def test_a_check_that_is_no_pillar_changes_no_mark():
    assert marks(A1="pass", A3="pass", A6="pass", A9="fail")["automation"].low == 1


def test_the_score_is_a_range_over_what_applies():
    found = audited({"A1": "pass", "V1": "pass", "V2": "fail", "T1": "unknown"}).marks
    assert total(found) == (1.5, 2.5, 3)
    assert [mark.symbol for mark in found] == ["✓", "⚠", "?", "-", "-", "-"]


def test_the_weakest_principle_is_named():
    assert weakest(audited({"A1": "pass", "T1": "fail", "R1": "partial"}).marks) == "tracking"
    # Both are marked 0; of testing a quarter is there.
    fails = {"M1": "fail", "Q1": "pass", "Q2": "fail", "Q3": "fail", "Q4": "fail"}
    assert weakest(audited(fails).marks) == "monitoring"
    assert weakest(audited(every="pass").marks) is None


@pytest.mark.parametrize(
    ("passes", "level", "lacks"),
    [
        ("", 0, "A1 A2"),
        ("A1", 0, "A2"),
        ("A1 A2", 1, "A3 A4|A5 A6"),
        ("A3 A4 A6 A7", 0, "A1 A2"),
        ("A1 A2 A3 A5", 1, "A6"),
        ("A1 A2 A3 A5 A6", 2, "A7"),
        ("A1 A2 A3 A4 A6 A7", 3, ""),
    ],
)
def test_the_level_is_cumulative(passes, level, lacks):
    found = audited(dict.fromkeys(passes.split(), "pass"), every="fail").level
    assert found.value == level
    assert " ".join("|".join(lack.checks) for lack in found.lacks) == lacks


def test_what_cannot_be_told_is_not_reached_and_says_so():
    found = audited({"A1": "pass", "A2": "pass", "A3": "pass", "A4": "unknown", "A6": "fail"}).level
    assert found.value == 1
    assert [(lack.checks, lack.unknown) for lack in found.lacks] == [(("A4", "A5"), True), (("A6",), False)]


@pytest.mark.parametrize("changes", [{"ml": False}, {"kind": "library"}, {"kind": "docs"}])
def test_the_scale_does_not_apply_to_what_nobody_operates(changes):
    found = audited(every="pass", project=replace(PROJECT, **changes))
    assert found.level.value is None
    assert found.facts["level"].value is None
