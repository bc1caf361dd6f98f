"""Plug-ins: an installed package adds its checks, and a broken one is named and stops nothing."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from runtime_lib.audit import plugins
from runtime_lib.audit.records import CHECKS
from runtime_lib.audit.run import judge
from tests.support.audited import PROJECT, REPO

GOOD = """
    from runtime_lib.audit.records import Finding, check

    @check({id!r}, {principle!r}, "Is there a CODEOWNERS file?", looks_for="The file.", why="Reviews.",
           fix="Write it.", effort="minutes", priority="low")
    def owners(repo, project):
        return Finding("fail", "no CODEOWNERS", looked_at=(f"{{len(repo.files)}} files",))
"""


def module(id="ACME1", principle="automation"):
    return dedent(GOOD).format(id=id, principle=principle)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with an entry point, as a wheel leaves it: a module and its metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "CHECKS", CHECKS)
    before = dict(CHECKS)

    def installed(name, source, attribute=""):
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        target = f"{name}:{attribute}" if attribute else name
        (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {target}\n")

    yield installed
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]
    CHECKS.clear()
    CHECKS.update(before)


def test_a_plugin_adds_its_checks_behind_ours(install):
    ours, _ = plugins.load_checks()
    install("acme_rules", module())
    checks, notes = plugins.load_checks()
    assert notes == ()
    assert list(checks) == [*ours, "ACME1"]
    found = judge(REPO, PROJECT, {"ACME1": checks["ACME1"]}, strict=True)
    assert [step.check for step in found.recommendations] == ["ACME1"]


def test_a_plugin_may_be_a_function(install):
    body = "\n".join(f"    {line}" for line in module().splitlines())
    install("acme_function", f"def enter():\n{body}\n", "enter")
    assert "ACME1" in plugins.load_checks()[0]


def test_it_is_there_each_time(install):
    install("acme_again", module())
    assert "ACME1" in plugins.load_checks()[0]
    assert "ACME1" in plugins.load_checks()[0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
        (module() + "\n1 / 0", "ZeroDivisionError"),
        (module(principle="beauty"), "ACME1 has the principle 'beauty'"),
        (module(id="OTHER1"), "the id OTHER1 is taken"),
    ],
)
def test_a_broken_plugin_is_named_and_adds_nothing(install, source, said):
    install("acme_first", module(id="OTHER1"))
    before, _ = plugins.load_checks()
    install("acme_second", source)
    checks, [note] = plugins.load_checks()
    assert note.startswith("The plug-in acme_second (acme_second) adds no checks: ")
    assert said in note
    assert checks == before
