"""Recommendations: a step per gap, few critical, in the tools that are there, in an order that works."""

from __future__ import annotations

from dataclasses import replace

from runtime_lib.audit.recommend import OWN, WHEN, recommend, roadmap
from runtime_lib.audit.score import Level
from tests.support.audited import PROJECT, REPO, audited, checks, finding


def steps(verdicts=None, **more):
    return {step.check: step for step in audited(verdicts, **more).recommendations}


def test_there_is_a_step_for_each_gap_and_for_nothing_else():
    found = steps({"A1": "fail", "T1": "partial", "Q1": "unknown", "R1": "pass", "P1": "fail", "M1": "n/a"})
    assert set(found) == {"A1", "T1"}
    assert found["A1"].gap == "A1 is fail"
    assert found["A1"].recommendation == "Do the step of A1."


def test_at_most_three_are_critical():
    found = steps(every="fail")
    critical = [id for id, step in found.items() if step.priority == "critical"]
    assert critical == list(found)[:3]
    assert len(audited(every="fail").findings) > 40


def test_only_what_is_served_has_blocking_gaps_but_for_secrets():
    quiet = replace(PROJECT, serves=False, targets=("none",))
    found = steps({"A8": "fail", "V6": "fail", "R2": "fail"}, project=quiet)
    assert {id: step.priority for id, step in found.items()} == {"V6": "critical", "A8": "high", "R2": "high"}
    assert {step.priority for step in steps({"A8": "fail", "R2": "fail"}).values()} == {"critical"}


def test_what_is_half_there_is_less_urgent():
    found = steps({"R1": "partial", "V5": "fail"})
    assert (found["R1"].priority, found["V5"].priority) == ("low", "medium")


def test_what_the_next_level_lacks_is_urgent():
    below = {"A1": "pass", "A2": "pass", "A3": "pass", "A4": "pass", "A6": "fail", "A9": "fail"}
    found = steps(below)
    assert (found["A6"].priority, found["A9"].priority) == ("high", "medium")


def test_no_step_comes_before_the_one_that_it_builds_on():
    found = steps(every="fail")
    order, place = list(found), {id: WHEN.index(step.when) for id, step in found.items()}
    for later, earlier in (
        ("A2", "A1"),
        ("A8", "Q3"),
        ("T2", "T1"),
        ("R3", "R2"),
        ("M4", "M1"),
        ("M3", "M5"),
    ):
        assert order.index(earlier) < order.index(later), f"{later} builds on {earlier}"
        assert place[earlier] <= place[later], f"{later} is planned before {earlier}"
    assert found["A2"].implementation[0] == "First close A1, which this builds on."
    assert (found["A2"].after, found["A1"].after, found["Q8"].after) == ("A1", None, "A4")


def test_what_others_build_on_is_as_urgent_as_they_are():
    found = steps(
        {"Q4": "fail", "Q3": "fail"}, records=checks(Q3={"priority": "low"}, Q4={"priority": "high"})
    )
    assert found["Q3"].priority == "high"


def test_a_tool_that_is_there_is_preferred():
    records = checks(A4={"tools": ("GitLab CI", "GitHub Actions")}, T1={"tools": ("MLflow", "Aim")})
    found = steps({"A4": "fail", "A3": finding("A3", "pass", value="github"), "T1": "fail"}, records=records)
    assert found["A4"].tools == ("GitHub Actions",)
    assert "Use GitHub Actions, which the repository already has." in found["A4"].implementation
    assert found["T1"].tools == ("MLflow", "Aim")
    assert "One way: MLflow." in found["T1"].implementation


def test_what_this_library_brings_is_told_and_where_to_look():
    records = checks(M3={"brings": "`mlops drift OLD NEW` compares two tables."})
    found = steps({"M3": "partial"}, records=records)["M3"]
    assert (
        found.implementation[-1]
        == "In a project of this template, `mlops drift OLD NEW` compares two tables."
    )
    assert "Look at src/train.py:12." in found.implementation


def test_a_project_of_the_template_is_not_told_to_be_made_from_it():
    records = checks(
        V5={"brings": "`copier copy` of this template asks for the remote."},
        M3={"brings": "`mlops monitor` compares served rows."},
    )
    ours = recommend(
        records,
        {"V5": finding("V5", "fail"), "M3": finding("M3", "fail")},
        Level(None, "", ()),
        serves=True,
        has={OWN},
    )
    told = {step.check: step.implementation for step in ours}
    assert not any("copier" in line for line in told["V5"])
    assert told["M3"] == ("`mlops monitor` compares served rows.",)


def test_an_accepted_gap_is_not_recommended():
    found = steps({"A1": "fail", "M4": "fail"}, accepted={"M4": "the platform team's"})
    assert set(found) == {"A1"}


def test_the_roadmap_holds_each_step_once_and_no_week_is_overfull():
    found = audited(every="fail").recommendations
    plan = roadmap(found)
    assert sorted(id for ids in plan.values() for id in ids) == sorted(step.check for step in found)
    assert len(plan["week"]) <= 5
    assert len(plan["month"]) <= 8
    assert plan["week"][0] == found[0].check


def test_small_urgent_steps_come_first():
    records = checks(
        V9={"effort": "days"}, R7={"effort": "minutes"}, R8={"effort": "minutes", "priority": "low"}
    )
    found = steps({"V9": "fail", "R7": "fail", "R8": "fail"}, records=records, repo=REPO)
    assert {id: step.when for id, step in found.items()} == {"R7": "week", "V9": "quarter", "R8": "month"}


def test_a_critical_step_waits_for_the_one_that_it_builds_on():
    records = checks(Q3={"priority": "medium", "effort": "days"}, A8={"effort": "hours"})
    found = steps({"A8": "fail", "Q3": "fail"}, records=records)
    assert [(id, step.priority, step.when) for id, step in found.items()] == [
        ("Q3", "high", "month"),
        ("A8", "critical", "month"),
    ]
