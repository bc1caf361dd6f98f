"""JSON, SARIF, page, comment and badge: their shapes, and that nothing in them is trusted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import pytest
from rich.console import Console

from runtime_lib.audit.index.model import LeftOut
from runtime_lib.audit.records import Evidence
from runtime_lib.audit.report.document import document
from runtime_lib.audit.report.render import FORMS, render
from runtime_lib.audit.report.terminal import show
from tests.support.audited import (
    HTML,
    NASTY,
    PILLARS,
    REPO,
    audited,
    checks,
    finding,
    report_errors,
    sarif_errors,
)

MIXED = {
    "P1": "pass",
    "A1": finding("A1", "pass", value="dvc"),
    "A2": "pass",
    "A3": finding("A3", "pass", value="github"),
    "A4": "unknown",
    "A6": "fail",
    "V6": finding(
        "V6", "fail", evidence=(Evidence("a b/ü.py", 3, "a key"), Evidence("src/train.py", 9, "two"))
    ),
    "T1": "partial",
    "M4": "fail",
}


def told(found, form, **options):
    return render(form, document(found), found.checks, **options)


def results(found, **options):
    [run] = json.loads(told(found, "sarif", **options))["runs"]
    return run["results"]


def nasty():
    bad = finding("A1", "fail", message=NASTY, evidence=(Evidence(NASTY, 1, NASTY),), looked_at=(NASTY,))
    records = checks(A1={"fix": HTML, "tools": (HTML,), "question": HTML, "why": HTML})
    return audited(
        {"A1": bad, "M4": "fail"},
        records=records,
        repo=replace(REPO, name=NASTY),
        accepted={"M4": NASTY},
        left_out=(LeftOut(NASTY, NASTY),),
    )


@pytest.mark.parametrize(
    "found",
    [
        audited(
            MIXED, accepted={"M4": "they are the platform team's"}, left_out=(LeftOut("x.bin", "binary"),)
        ),
        audited(every="fail"),
        audited(every="pass"),
        audited(every="unknown"),
        audited(every="n/a"),
        audited(repo=replace(REPO, files={}, commit="")),
        nasty(),
    ],
    ids=["mixed", "fail", "pass", "unknown", "n/a", "empty", "nasty"],
)
def test_every_form_of_every_report_is_valid(found):
    assert report_errors(json.loads(told(found, "json"))) == []
    for with_unknown in (False, True):
        assert sarif_errors(json.loads(told(found, "sarif", with_unknown=with_unknown))) == []
    for form in FORMS:
        assert told(found, form).encode("utf-8").endswith(b"\n")
    ElementTree.fromstring(told(found, "badge"))


def test_a_report_that_breaks_the_schema_is_noticed():
    found = document(audited(MIXED))
    for key, value in (("level", 4), ("score", [1]), ("facts", {}), ("format", 2)):
        assert report_errors({**found, key: value}), key
    assert report_errors({key: value for key, value in found.items() if key != "roadmap"})
    log = json.loads(told(audited(MIXED), "sarif"))
    assert sarif_errors({**log, "version": "2.0"})


def test_json_has_what_was_found():
    found = json.loads(told(audited(MIXED), "json"))
    assert found["facts"]["pipeline_tool"] == {
        "value": "dvc",
        "reason": "A1 is pass",
        "evidence": [{"path": "src/train.py", "line": 12, "what": "shows A1"}],
    }
    [check] = [one for one in found["checks"] if one["id"] == "A6"]
    assert check == {
        "id": "A6",
        "principle": "automation",
        "verdict": "fail",
        "confidence": "high",
        "message": "A6 is fail",
        "evidence": [],
        "looked_at": ["3 modules"],
        "priority": "high",
        "fix": "Do the step of A6.",
        "tools": ["MLflow", "GitHub Actions"],
    }
    assert found["level"] == 1
    assert found["next_level"] == {
        "level": 2,
        "name": "CI/CD",
        "lacks": [
            {"checks": ["A4", "A5"], "unknown": True},
            {"checks": ["A6"], "unknown": False},
        ],
    }
    assert found["repository"]["anchor"] == "README.md"


def test_sarif_has_a_result_for_each_file_that_shows_a_gap_and_only_for_gaps():
    found = results(audited(MIXED))
    places = [(one["ruleId"], one["locations"][0]["physicalLocation"]) for one in found]
    assert [(id, place["artifactLocation"]["uri"], place["region"]["startLine"]) for id, place in places] == [
        ("A6", "README.md", 1),  # an absence
        ("V6", "a%20b/%C3%BC.py", 3),
        ("V6", "src/train.py", 9),
        ("T1", "src/train.py", 12),
        ("M4", "README.md", 1),
    ]
    assert {one["kind"] for one in found} == {"fail"}
    assert [one["level"] for one in found] == ["error", "error", "error", "warning", "warning"]


def test_sarif_has_what_cannot_be_told_on_request():
    [one] = [one for one in results(audited(MIXED), with_unknown=True) if one["kind"] == "open"]
    assert (one["ruleId"], one["level"]) == ("A4", "none")


def test_sarif_marks_a_result_by_check_and_file_not_by_line():
    def prints(line, path="src/train.py"):
        shown = finding("V6", "fail", evidence=(Evidence(path, line, "a key"),))
        return [one["partialFingerprints"] for one in results(audited({"V6": shown}))]

    assert prints(3) == prints(900)
    assert prints(3) != prints(3, "src/other.py")
    everything = results(audited(every="fail"))
    assert len({one["partialFingerprints"]["mlopsAudit/v1"] for one in everything}) == len(everything)


def test_sarif_keeps_the_limits_of_code_hosts():
    many = tuple(Evidence(f"data/{number}.csv", 1, "data") for number in range(200))
    log = json.loads(told(audited({"V7": finding("V7", "fail", evidence=many)}), "sarif"))
    [run] = log["runs"]
    assert len(run["results"]) == 20
    assert "originalUriBaseIds" not in run
    rules = run["tool"]["driver"]["rules"]
    assert len(rules) == len([id for id in checks() if id[0] != "P"])
    assert all(len(rule["properties"]["tags"]) <= 10 for rule in rules)
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])


def test_sarif_of_an_empty_folder_has_no_result_rather_than_one_without_a_place():
    assert results(audited(every="fail", repo=replace(REPO, files={}))) == []


def test_sarif_leaves_accepted_gaps_out():
    found = results(audited(MIXED, accepted={"V6": "test keys", "M4": "elsewhere"}))
    assert {one["ruleId"] for one in found} == {"A6", "T1"}


class Page(HTMLParser):
    """What of a page would run, load or be seen."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.text, self.open = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.loads += [
            name
            for name, value in attributes
            if name == "src" or name.startswith("on") or (name == "href" and not value.startswith("#"))
        ]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def test_the_page_runs_and_loads_nothing_and_closes_what_it_opens():
    for found in (audited(MIXED), audited(every="fail"), nasty()):
        page = Page(told(found, "html"))
        assert not page.tags & {"script", "link", "img", "iframe", "object"}
        assert page.loads == []
        assert page.open == []


def test_the_page_shows_text_from_outside_as_text():
    text = "".join(Page(told(nasty(), "html")).text)
    assert text.count("<script>alert(1)</script>") >= 8
    assert "\x1b" not in text


def test_the_page_shows_every_principle_before_any_recommendation():
    text = "".join(Page(told(audited(MIXED), "html")).text)
    places = [
        text.index(name) for name in ("Automation", "Reproducibility", "What to do", "Roadmap", "Every check")
    ]
    assert places == sorted(places)
    assert "1 of 3" in text
    assert "a b/ü.py:3" in text


def test_a_comment_names_nobody_and_breaks_no_table():
    text = told(nasty(), "markdown")
    assert not re.search(r"(?<![&\w])[@#]\w", re.sub(r"^#+ ", "", text, flags=re.MULTILINE))
    assert "<script" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5, line


def test_a_comment_says_what_counts():
    text = told(audited(MIXED, accepted={"M4": "the platform team's"}), "markdown")
    assert text.startswith("<!-- mlops-audit -->\n### MLOps audit: level 1 of 3, pipeline · ")
    assert "- A4 or A5: cannot be told, A4 is unknown; A5 is n/a\n" in text
    assert "- T1, medium: T1 is partial. Do the step of T1.\n" in text
    assert "- M4: the platform team's" in text
    assert "| Automation (weakest) |" in text or "(weakest)" in text


def test_a_comment_is_as_long_as_a_forge_takes():
    long = finding("A1", "fail", message="long " * 3_000)
    text = told(audited({**dict.fromkeys(PILLARS, long)}), "markdown")
    assert len(told(audited(every="fail"), "markdown")) < 60_000
    assert "<details>" not in text


def test_the_badge_says_level_and_score():
    svg = told(audited(MIXED), "badge")
    [title] = ElementTree.fromstring(svg).findall("{http://www.w3.org/2000/svg}title")
    assert title.text.startswith("mlops audit: level 1 · ")
    assert "level" not in told(audited(every="n/a", project=replace(audited().project, ml=False)), "badge")


def test_a_password_in_an_address_is_not_told():
    shown = (Evidence("src/train.py", 4, "postgres://me:hunter22@db/x"),)
    found = audited({"V6": finding("V6", "fail", evidence=shown)})
    for form in FORMS:
        assert "hunter22" not in told(found, form)


def test_an_accepted_gap_is_marked_where_it_stands():
    found = audited(MIXED, accepted={"M4": "the platform team's"})
    screen = Console(file=StringIO(), width=200)
    show(document(found), found.checks, screen)
    lines = screen.file.getvalue().splitlines()
    assert [line.split()[1] for line in lines if "(accepted)" in line] == ["M4"]
