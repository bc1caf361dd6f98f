"""Run the deep form of the tests that a change can reach: `nox -s deep -- --changed 6`, minutes.

A test file is reached when it imports, itself or by way of others, a module that changed since the last
release, or is changed itself. Those that fit the minutes run, the cheapest first; the others are named.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.support.durations import load
from tests.support.releases import RELEASES, REPOSITORY, git

# No import leads from a test to what it renders: a change of these reaches the tests of these folders.
TEMPLATE = ("template/", "copier.yml")
RENDERED = ("tests/template/", "tests/upgrade/", "tests/doctor/")
# About what all moments, releases and answers take, measured by the sample's time.
TIMES = 4.0
LEAST = 5.0
# Series of trainings, simulations and kills: what they take deep is of another order than their sample.
SERIES = {
    "tests/serving/releases/test_ab.py": 30.0,
    "tests/serving/releases/test_bandit.py": 100.0,
    "tests/serving/releases/test_journal.py": 10.0,
    "tests/serving/releases/test_judge.py": 30.0,
    "tests/serving/releases/test_steps.py": 30.0,
    "tests/monitoring/test_join.py": 30.0,
    "tests/serving/log/test_compaction.py": 30.0,
    "tests/serving/log/test_compaction_damage.py": 20.0,
    "tests/serving/log/test_compaction_kill.py": 20.0,
    "tests/serving/test_connections.py": 20.0,
    "tests/serving/test_log_damage.py": 100.0,
    "tests/serving/test_protocols_fuzz.py": 20.0,
    "tests/registry/test_seeds.py": 30.0,
    "tests/template/test_kinds.py": 30.0,
    "tests/docs/test_tasks.py": 30.0,
    "tests/docs/test_trainers.py": 30.0,
}


def main(minutes: float, options: list[str]) -> int:
    """Run the deep tests that the change reaches, within `minutes`; return pytest's exit code."""
    taken, left = within(minutes * 60, sorted(reached(changed())))
    for file in left:
        print(f"left out, over the {minutes:g} minutes: {file} (`nox -s deep -- {file}`)")
    if not taken:
        print("The change reaches no test that has a deep form.")
        return 0
    print(f"deep: {' '.join(taken)}", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *options, *taken], cwd=REPOSITORY).returncode


def changed() -> set[str]:
    """Files that differ from the last release before HEAD: at a release, all that it brings."""
    head = git(REPOSITORY, "rev-parse", "HEAD") if RELEASES else ""
    past = [commit for _, commit in RELEASES if commit != head]
    if not past:
        return set()
    there = git(REPOSITORY, "diff", "--name-only", past[-1]).splitlines()
    new = git(REPOSITORY, "ls-files", "--others", "--exclude-standard").splitlines()
    return {*there, *new}


def reached(files: Iterable[str]) -> set[str]:
    """The test files with a deep form that a change of `files` reaches."""
    files = set(files)
    found = set()
    for test in filter(has_deep_form, sorted((REPOSITORY / "tests").rglob("test_*.py"))):
        name = test.relative_to(REPOSITORY).as_posix()
        rendered = name.startswith(RENDERED) and any(file.startswith(TEMPLATE) for file in files)
        sources = {path.relative_to(REPOSITORY).as_posix() for path in imported(test)}
        if rendered or sources & files:
            found.add(name)
    return found


def within(seconds: float, files: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split `files` into those that fit, the cheapest first, and the others."""
    recorded = load()
    cost = {file: max(recorded.get(file, LEAST), LEAST) * SERIES.get(file, TIMES) for file in files}
    taken, left = [], []
    for file in sorted(cost, key=lambda each: (cost[each], each)):
        (taken if cost[file] <= seconds else left).append(file)
        seconds -= cost[file] if file in taken else 0
    return taken, left


def has_deep_form(test: Path) -> bool:
    """Whether the file asks how deep to go, or how many releases to take."""
    words = {"DEEP", "examples", "SAMPLE", "pairs"}
    return any(
        isinstance(node, ast.ImportFrom)
        and str(node.module).startswith("tests.support.")
        and words & {alias.name for alias in node.names}
        for node in ast.walk(ast.parse(test.read_text(encoding="utf-8")))
    )


def imported(file: Path) -> set[Path]:
    """The file and all files of this repository that it imports, directly or by way of others."""
    found, left = set(), [file, *_conftests(file)]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += _imports(one)
    return found


def _conftests(file: Path) -> Iterator[Path]:
    for folder in file.parents:
        if folder == REPOSITORY:
            return
        if (folder / "conftest.py").exists():
            yield folder / "conftest.py"


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    return tuple(_read_imports(file))


def _read_imports(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("runtime_lib", "tests"):
                place = REPOSITORY.joinpath(*name.split("."))
                yield from (
                    path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    given, rest = parser.parse_known_args()
    sys.exit(main(given.minutes, rest))
