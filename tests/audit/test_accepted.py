"""Accepted gaps: each needs a reason, which is shown; they change what is asked for, not what is found."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from runtime_lib.audit.accepted import read_accepted
from runtime_lib.audit.report.document import document
from runtime_lib.errors import SettingsError
from tests.support.audited import audited, checks


def read(tree, text, **more):
    return read_accepted(tree({".mlops-audit.toml": text}, commit=False), checks(), **more)


def test_a_reason_is_read(tree):
    assert read(tree, '[accept]\nM4 = "the platform\'s"\nR2 = """two\nlines"""').reasons == {
        "M4": "the platform's",
        "R2": "two lines",
    }
    assert read_accepted(tree({}, commit=False), checks()).reasons == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[accept]\nM4 = ""', "'M4' needs a reason"),
        ('[accept]\nM4 = "  "', "'M4' needs a reason"),
        ("[accept]\nM4 = true", "'M4' needs a reason"),
        ('[accept]\nM44 = "x"', "there is no check 'M44'; nearest: M4"),
        ('[acept]\nM4 = "x"', "'acept' is unknown"),
        ('accept = ["M4"]', "`accept` is a table"),
        ("[accept", "is no TOML"),
        ("a = " + "[" * 5_000, "is no TOML"),
    ],
)
def test_what_is_refused(tree, text, said):
    with pytest.raises(SettingsError, match=said):
        read(tree, text)


def test_an_unknown_check_is_noted_where_a_plugin_did_not_load(tree):
    found = read(tree, '[accept]\nACME1 = "x"', forgive=True)
    assert found.reasons == {}
    assert found.notes == (".mlops-audit.toml: there is no check 'ACME1'",)


def test_a_link_is_not_followed(tree, tmp_path):
    (tmp_path / "outside.toml").write_text("[accept]\nM4 = ''")
    root = tree({".mlops-audit.toml": PurePosixPath("../outside.toml")}, commit=False)
    assert read_accepted(root, checks()).reasons == {}


def test_an_accepted_gap_changes_what_is_asked_for_not_what_is_found():
    verdicts = {"M4": "fail", "M1": "pass"}
    before, after = (document(audited(verdicts, accepted=given)) for given in ({}, {"M4": "elsewhere"}))
    for key in ("facts", "score", "level", "principles"):
        assert before[key] == after[key]
    assert [step["id"] for step in before["recommendations"]] == ["M4"]
    assert after["recommendations"] == []
    assert after["accepted"] == [{"id": "M4", "reason": "elsewhere"}]


def test_a_gap_that_is_closed_is_no_longer_told_as_accepted():
    assert document(audited({"M4": "pass"}, accepted={"M4": "elsewhere"}))["accepted"] == []
