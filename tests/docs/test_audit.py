"""The page on the audit: its table is the records', its rules are the code's, its snippets can be used."""

from __future__ import annotations

import re
import shlex
import tomllib

import yaml

from runtime_lib.audit.accepted import FILE, read_accepted
from runtime_lib.audit.plugins import GROUP, load_checks
from runtime_lib.audit.records import CHECKS
from runtime_lib.audit.report.markdown import MARK
from runtime_lib.audit.report.render import FORMS
from runtime_lib.audit.score import LEVELS, RULES
from tests.support.audit_page import PAGE, with_table
from tests.support.audited import PROJECT, REPO

TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_the_table_is_made_from_the_records():
    assert with_table(TEXT, load_checks()[0]) == TEXT, "python -m tests.support.audit_page writes it"


def test_the_count_of_checks_is_right():
    assert re.findall(r"The (\d+) checks", TEXT) == [str(len(load_checks()[0]))]


def test_the_levels_are_those_of_the_rule():
    rows = re.findall(r"^\| (\d) \| ([\w/ ]+) \| (.*)\|$", TEXT, flags=re.MULTILINE)
    assert [name for _, name, _ in rows] == list(LEVELS)
    for (_, _, takes), groups in zip(rows, RULES, strict=True):
        assert re.findall(r"[A-Z]\d", takes) == [id for group in groups for id in group]


def test_every_form_is_listed():
    assert re.findall(r"^\| `(\w+)` \|", TEXT.split("## Forms")[1], flags=re.MULTILINE) == [
        "terminal",
        *FORMS,
    ]
    assert f"`{MARK}`" in TEXT


def test_the_snippets_are_pipelines_and_call_what_there_is():
    from typer.main import get_command

    from runtime_lib.cli.app import app

    known = {name for each in get_command(app).commands["audit"].params for name in each.opts}
    names = []
    for block in blocks("yaml"):
        assert yaml.safe_load(block)
        names.append(re.match(r"# (\S+)\n", block)[1])
        lines = re.findall(r"\bmlops audit (.*)$", block, flags=re.MULTILINE)
        assert lines
        for line in lines:
            assert {word for word in shlex.split(line) if word.startswith("--")} <= known
    assert names == [".github/workflows/mlops-audit.yml", ".gitlab-ci.yml", "azure-pipelines.yml"]


def test_the_accepted_gap_is_read(tmp_path):
    accepted, _ = blocks("toml")
    (tmp_path / FILE).write_text(accepted)
    assert list(read_accepted(tmp_path, load_checks()[0]).reasons) == ["M4"]


def test_the_plugin_is_one():
    _, entry = blocks("toml")
    assert list(tomllib.loads(entry)["project"]["entry-points"]) == [GROUP]
    before = dict(CHECKS)
    try:
        exec(compile("\n".join(blocks("python")), "acme_audit.py", "exec"), {"__name__": "acme_audit"})
        found = CHECKS["ACME1"].ask(REPO, PROJECT)
    finally:
        CHECKS.clear()
        CHECKS.update(before)
    assert (found.verdict, found.looked_at) == ("fail", ("3 files",))
