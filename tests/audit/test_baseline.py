"""A baseline: of the gaps only those that are new since an earlier run."""

from __future__ import annotations

import json

import pytest

from runtime_lib.audit.records import Evidence
from runtime_lib.audit.report.document import document
from runtime_lib.audit.report.render import render
from runtime_lib.errors import DataError
from tests.support.audited import audited, finding, report_errors


@pytest.fixture
def since(tmp_path):
    """The report of one audit with another as its baseline."""

    def compared(now, before):
        file = tmp_path / "before.json"
        file.write_text(render("json", document(audited(before)), {}))
        return document(audited(now), file)

    return compared


def shown(*places, verdict="fail"):
    return finding("V7", verdict, evidence=tuple(Evidence(path, line, "data") for path, line in places))


def test_only_what_is_new_is_recommended(since):
    found = since({"M4": "fail", "A6": "fail", "R1": "pass"}, {"A6": "fail", "R1": "fail"})
    assert found["baseline"] == {"new": ["M4"], "known": ["A6"], "closed": ["R1"]}
    assert [step["id"] for step in found["recommendations"]] == ["M4"]
    assert sum(map(len, found["roadmap"].values())) == 1
    assert report_errors(found) == []


@pytest.mark.parametrize(
    ("before", "now", "is_new"),
    [
        ("fail", "fail", False),
        ("partial", "partial", False),
        ("partial", "fail", True),
        ("fail", "partial", False),
        ("unknown", "fail", True),
        ("pass", "partial", True),
        (shown(("a.csv", 1)), shown(("a.csv", 90)), False),
        (shown(("a.csv", 1)), shown(("a.csv", 1), ("b.csv", 1)), True),
        (shown(("a.csv", 1), ("b.csv", 1)), shown(("a.csv", 1)), False),
        (shown(("a.csv", 1), verdict="partial"), shown(("b.csv", 1), verdict="partial"), False),
    ],
)
def test_when_a_gap_is_new(since, before, now, is_new):
    assert since({"V7": now}, {"V7": before})["baseline"]["new"] == (["V7"] if is_new else [])


def test_sarif_holds_what_is_new(since):
    found = since({"M4": "fail", "A6": "fail"}, {"A6": "fail"})
    [run] = json.loads(render("sarif", found, audited().checks))["runs"]
    assert [one["ruleId"] for one in run["results"]] == ["M4"]


def test_a_report_with_a_baseline_is_itself_one(since, tmp_path):
    file = tmp_path / "second.json"
    file.write_text(render("json", since({"M4": "fail", "A6": "fail"}, {"A6": "fail"}), {}))
    assert document(audited({"M4": "fail", "A6": "fail"}), file)["baseline"]["new"] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged|holds list"),
        ("{}", "it has no checks"),
        ('{"format": 2}', "reads 1"),
        ('{"checks": 3}', "no report"),
        ('{"checks": [{"id": "A1", "verdict": "fail"}]}', "no report"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path, content, said):
    file = tmp_path / "before.json"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        document(audited(), file)


def test_a_baseline_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match="mlops audit --json > "):
        document(audited(), tmp_path / "none.json")
