"""One audit: a check that fails or shows nothing cannot tell, and does not hide the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime_lib.audit.records import Check, Evidence, Finding
from runtime_lib.audit.run import judge
from tests.support.audited import PROJECT, REPO, checks, finding


def asked(ask, strict=False):
    records = checks()
    records["A1"] = Check(**{**vars(records["A1"]), "ask": ask})
    found = judge(REPO, PROJECT, records, strict=strict).findings
    assert {one.verdict for id, one in found.items() if id != "A1"} == {"n/a"}
    return found["A1"]


def broken(repo, project):
    return repo.files["no such file"]


def elsewhere(repo, project):
    return Finding("fail", "found", (Evidence("../secret.txt", 1, "x"),))


def bare(repo, project):
    return finding("A1", "pass", evidence=())


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (broken, "KeyError: 'no such file'"),
        (elsewhere, "which is no file of the repository"),
        (bare, "A1 is pass without evidence"),
    ],
)
def test_a_check_that_is_wrong_cannot_tell(ask, said):
    found = asked(ask)
    assert found.verdict == "unknown"
    assert found.message.startswith("the check failed: ")
    assert said in found.message
    with pytest.raises((KeyError, ValueError)):
        asked(ask, strict=True)


def test_a_check_that_is_right_is_believed():
    assert asked(lambda repo, project: finding("A1", "pass"), strict=True).verdict == "pass"


def test_one_is_counted_as_one():
    said = Finding(
        "fail", "Outputs are stored in 1 notebooks of 11 modules.", looked_at=("1 CI configurations",)
    )
    found = judge(REPO, PROJECT, checks(A1={"ask": lambda repo, project: said})).findings["A1"]
    assert found.message == "Outputs are stored in 1 notebook of 11 modules."
    assert found.looked_at == ("1 CI configuration",)


def test_an_empty_folder_is_told():
    assert judge(replace(REPO, files={}), PROJECT, {}).notes == (
        "The folder has no files: there is nothing to judge.",
    )
    assert judge(REPO, PROJECT, {}).notes == ()
