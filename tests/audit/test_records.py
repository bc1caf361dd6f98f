"""What is written of the checks: complete, readable, and of commands that there are."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from runtime_lib.audit.facts import FACTS
from runtime_lib.audit.plugins import load_checks
from runtime_lib.audit.recommend import _AFTER
from runtime_lib.audit.records import PRINCIPLES
from runtime_lib.audit.score import RULES
from runtime_lib.cli.app import app
from tests.support.audited import PILLARS, checks

CHECKS, _ = load_checks()
on_each = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)


def test_the_ids_are_those_that_are_published():
    assert list(CHECKS) == list(checks())
    assert {id for id, check in CHECKS.items() if check.pillar} == PILLARS
    assert [CHECKS[id].principle for id in CHECKS] == [check.principle for check in checks().values()]


def test_what_refers_to_checks_refers_to_some():
    named = {id for fact in FACTS.values() for id in fact.checks}
    named |= {id for groups in RULES for group in groups for id in group}
    named |= {*_AFTER, *_AFTER.values()}
    assert named <= set(CHECKS)


@on_each
def test_a_record_is_complete(check):
    assert check.question.endswith("?")
    for text in (check.looks_for, check.why, check.fix):
        assert text.strip() == text != ""
        assert "\n" not in text
    assert check.principle in (*PRINCIPLES, "project")
    for tool in check.tools:
        assert tool == tool.strip() != ""


@on_each
def test_a_command_that_it_names_is_there(check):
    commands = set(get_command(app).commands)
    for text in (check.fix, check.brings, check.looks_for):
        assert set(re.findall(r"`(?:uv run )?mlops ([a-z-]+)", text)) <= commands, text
