"""The pages say what is there: links lead somewhere, named files exist, commands take the options shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
# Folders at the top of this repository: a path below one of them names a file that must exist. All
# others (`data/raw`, `src/<package>/`) are of a generated project.
OURS = ("runtime_lib", "template", "tests", "docs", ".ci")
# Of those, what a generated project has too; the pages speak of both.
ALSO_THEIRS = {
    "tests/",
    "docs/runbook.md",
    "docs/_build/",
    *(f"tests/{name}.py" for name in ("conftest", "test_data", "test_flow", "test_model", "test_unit")),
}

on_each_page = pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(REPOSITORY)) for p in PAGES])


def prose(page: Path) -> str:
    """The page without its fenced blocks, where brackets and slashes mean other things."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(
        r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return [text for language, text in found if language in languages]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@on_each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(place), f"{target}: no such heading"


@on_each_page
def test_named_files_exist(page):
    for name in re.findall(r"`([\w./-]*/[\w./-]*)`", prose(page)):
        if name.split("/")[0] in OURS and name not in ALSO_THEIRS:
            assert (REPOSITORY / name).exists(), f"`{name}` is not there"


@on_each_page
def test_commands_take_the_options_shown(page):
    commands = _commands()
    for line in _lines(page):
        for words in _mlops(line):
            if not words or words[0].startswith("-"):
                assert set(words) <= {"--help", "--version"}, line
                continue
            assert words[0] in commands, f"there is no `mlops {words[0]}`: {line}"
            given = {word.split("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)}
            assert given <= commands[words[0]], f"`mlops {words[0]}` takes no {given - commands[words[0]]}"


def test_the_table_of_the_command_line_is_complete():
    table = dict(
        re.findall(r"^\| `mlops (\w+)[^`]*` \|.*?\| (.*) \|$", _page("docs/cli.md"), flags=re.MULTILINE)
    )
    shown = {name: set(re.findall(r"`(--[a-z-]+)", options)) for name, options in table.items()}
    # `--promote`, `--lock` and `--tests` are the defaults, `-o` and `-d` are
    # short forms: the table leaves them out.
    left_out = {"--help", "--promote", "--lock", "--tests", "-o", "-d"}
    ours = {name: options - left_out for name, options in _commands().items()}
    assert shown == ours


def test_the_front_page_has_the_two_commands_and_ci_runs_the_tests():
    found = [line for block in blocks(REPOSITORY / "README.md", "bash") for line in block.splitlines()]
    install = 'python3 -m pip install "nox[uv]" && nox -s'
    assert [line for line in found if line.startswith("python3")] == [f"{install} demo", f"{install} tests"]
    assert f"\n{install} tests\n" in _page(".ci/run")


def test_nox_sessions_that_are_named_exist():
    sessions = set(re.findall(r"^@nox\.session\ndef (\w+)\(", _page("noxfile.py"), flags=re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"nox -s (\w+)", page.read_text(encoding="utf-8")):
            assert name in sessions, f"{page.name}: no session '{name}'"


def test_the_tables_of_the_flow_are_those_of_the_template(render):
    project = render(tier="standard")
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|", _page("docs/flow.md"), flags=re.MULTILINE)
    assert [name for name, _, _ in rows] == list(stages)
    for name, _, written in rows:
        for out in _outs(stages[name]):
            assert f"`{out}" in written, f"{name} writes {out}, the page says {written}"


def test_the_picture_is_plain_and_names_every_stage(render):
    picture = _page("docs/flow.svg")
    assert "<script" not in picture
    assert "prefers-color-scheme: dark" in picture
    assert not re.search(r"(?:href|src)=", picture), "the picture loads nothing"
    stages = yaml.safe_load((render() / "dvc.yaml").read_text())["stages"]
    assert re.findall(r'class="stage".*?class="name"[^>]*>(\w+)<', picture) == list(stages)


def test_every_decision_is_listed():
    folder = REPOSITORY / "docs" / "decisions"
    listed = re.findall(
        r"^\| \d+ \| \[.*\]\((.*)\) \|$", _page("docs/decisions/README.md"), flags=re.MULTILINE
    )
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
    for name in listed:
        text = (folder / name).read_text(encoding="utf-8")
        parts = re.findall(r"^\*\*(\w+)\.\*\*", text, flags=re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequence"], name


def test_the_changelog_begins_with_this_version_or_the_next():
    headings = re.findall(r"^## (.+)$", _page("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings.count("Unreleased") <= 1
    released = headings[1:] if headings[0] == "Unreleased" else headings
    assert released[0] == _page("runtime_lib/VERSION").strip()
    assert released == sorted(released, key=lambda version: [*map(int, version.split("."))], reverse=True)


def _page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def _lines(page: Path) -> Iterator[str]:
    """Each command line of the shell blocks, a continued one as one, and each `mlops …` in the prose."""
    for block in blocks(page, "bash", "console", "sh", ""):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]*\bmlops [a-z-][^`\n]*)`", prose(page))


def _mlops(line: str) -> Iterator[list[str]]:
    """The words after `mlops` of each command in a line, without comment."""
    for command in re.split(r"&&|;|\|", line.split("  #")[0]):
        if found := re.search(r"(?:^|\s)mlops\s+([a-z-].*)$", command.strip()):
            yield shlex.split(found[1], comments=True)


def _commands() -> dict[str, set[str]]:
    """Each command's options, those of its own commands included, as the command line itself knows them."""
    from typer.main import get_command

    from runtime_lib.cli.app import app

    group: Any = get_command(app)
    return {name: {"--help", *_options(command)} for name, command in group.commands.items()}


def _options(command: Any) -> Iterator[str]:
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner)
    for parameter in (parameter for parameter in command.params if not getattr(parameter, "hidden", False)):
        yield from (name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))


def _outs(stage: dict[str, Any]) -> Iterator[str]:
    for entry in (*stage.get("outs", []), *stage.get("metrics", [])):
        yield next(iter(entry)) if isinstance(entry, dict) else entry
