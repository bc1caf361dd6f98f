"""Testing: does a test run the code, alone and together, and can it fail?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.integration import integration
from runtime_lib.audit.parts import tests
from runtime_lib.audit.queries import at, commands, entries, files, lines
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.testcases import cases

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

# Tests in other languages are judged by their names and folders.
_OTHERS: tuple[str, ...] = (
    "*tests/testthat/test*.r",
    "*_test.go",
    "*src/test/java/*Test.java",
    "*src/test/scala/*.scala",
)
_OTHERS += ("*_test.cc", "*_test.cpp", "*test/runtests.jl")
_CLAIMS = re.compile(r"expect_|assert|@test|EXPECT|t\.(?:Error|Fatal)")
_TESTS = re.compile(r"\b(?:pytest|py\.test|unittest|nose2?tests?|nosetests|nox|tox|testthat|ctest|go test)\b")


def _looked(repo: Repo) -> tuple[str, ...]:
    return (f"{len(tests(repo)):,} test modules", f"{len(cases(repo)):,} test functions")


def _shown(found: list[Evidence]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(found))[:5]


@check(
    "Q1",
    "testing",
    "Does a test run the repository's own code and assert on it?",
    looks_for="Collected test functions that call own code, also by helpers and fixtures, and assert; "
    "testthat. Not `1 + 1`, an import alone, nor a script test.py that only predicts.",
    why="What is not tested is found out by its users.",
    fix="Test one function that prepares data: a small table in, the expected one out.",
    effort="hours",
    priority="high",
    false_answers="Code that tests load by its name at run time is not seen.",
    tools=("pytest", "unittest"),
    brings="A generated project comes with tests of its data and features.",
    pillar=True,
)
def _unit_tests(repo: Repo, project: Project) -> Finding:
    found = [one.evidence for one in cases(repo) if one.is_real]
    if found:
        return Finding(
            "pass",
            f"The repository's own code is run by {len(found):,} test functions.",
            _shown(found),
            value=True,
        )
    if others := _other_languages(repo):
        return Finding(
            "pass", "There are tests in another language.", _shown(others), confidence="medium", value=True
        )
    if bad := [path for path in sorted(tests(repo)) if repo.modules[path].problem]:
        reason = f"{len(bad)} test modules cannot be read ({repo.modules[bad[0]].problem})"
        return Finding("unknown", reason, (at(bad[0], 1, "a test module"),), _looked(repo))
    message = "No test function runs the repository's own code and asserts on it."
    return Finding("fail", message, looked_at=_looked(repo), value=False)


def _other_languages(repo: Repo) -> list[Evidence]:
    found = []
    for path in files(repo, *_OTHERS):
        text = repo.texts.get(path)
        if text is None or any(
            re.search(r"expect_|assert|@test|EXPECT|t\.(?:Error|Fatal)", one) for one in text.lines
        ):
            found.append(at(path, 1, "tests"))
    return found


@check(
    "Q2",
    "testing",
    "Does a test run several parts together?",
    looks_for="A service by a test client, a command line by CliRunner or a process, a pipeline or training "
    "from end to end, tests that are marked as integration and run own code.",
    why="Parts that pass alone fail at their seams: formats, paths, order of columns.",
    fix="Run training on a hundred rows in a test, and ask the service for a prediction of the result.",
    effort="hours",
    priority="medium",
    false_answers="Whether a function named train is the whole of training is told by its name.",
    tools=("pytest", "fastapi TestClient", "click CliRunner"),
    brings="A generated project runs its pipeline in tests/test_flow.py.",
    pillar=True,
)
def _integration(repo: Repo, project: Project) -> Finding:
    found = integration(repo, project)
    if found:
        return Finding(
            "pass", f"A test runs several parts together: {found[0].what}.", _shown(found), value=True
        )
    return Finding("fail", "No test runs several parts together.", looked_at=_looked(repo), value=False)


@check(
    "Q7",
    "testing",
    "Is the service tested by its requests?",
    looks_for="Requests to own endpoints through a test client, or to a service that the test starts.",
    why="A model that predicts well behind a broken endpoint is of no use.",
    fix="Send one valid and one invalid request through the framework's test client.",
    effort="hours",
    priority="medium",
    tools=("fastapi TestClient", "flask test_client", "schemathesis"),
    brings="",
)
def _requests(repo: Repo, project: Project) -> Finding:
    if "api" not in project.targets:
        return Finding("n/a", "Nothing here answers requests.")
    found = [one for one in integration(repo, project) if "service" in one.what]
    if found:
        return Finding("pass", "Tests send requests to the service.", _shown(found))
    return Finding("fail", "No test sends a request to the service.", looked_at=_looked(repo))


@check(
    "Q8",
    "testing",
    "Can the tests in CI fail?",
    looks_for="Commands that run tests and whose failure stops the job: no `|| true`, `continue-on-error`.",
    why="Tests whose failure is ignored only cost time.",
    fix="Remove `|| true`; mark the tests that are known to fail as expected failures.",
    effort="minutes",
    priority="high",
    tools=("pytest",),
    brings="CI of a generated project fails with its tests.",
)
def _can_fail(repo: Repo, project: Project) -> Finding:
    run = [one for _, _, one in commands(repo, _TESTS.pattern)]
    run = [one for one in run if not re.search(r"pip\d? install|poetry add|uv add", one.text)]
    if not run:
        return Finding("n/a", "CI runs no tests.")
    free = [one for one in run if not one.may_fail]
    shown = tuple(at(one.path, one.line, one.text) for one in (free or run)[:5])
    if free:
        return Finding("pass", "A failing test fails the CI job.", shown)
    return Finding("fail", "CI ignores failing tests.", shown)


@check(
    "Q9",
    "testing",
    "Is there a floor for coverage?",
    looks_for="`fail_under`, `--cov-fail-under`, a target of Codecov that is not informational.",
    why="Without a floor, new code comes without tests.",
    fix="Set `fail_under` to today's coverage.",
    effort="minutes",
    priority="low",
    tools=("coverage", "codecov"),
    brings="",
)
def _coverage(repo: Repo, project: Project) -> Finding:
    if not cases(repo):
        return Finding("n/a", "There are no tests.")
    found = list(_floors(repo))
    if found:
        return Finding("pass", "Coverage must not fall below a minimum.", _shown(found))
    return Finding("fail", "No minimum is set for test coverage.", looked_at=_looked(repo))


def _floors(repo: Repo) -> Iterator[Evidence]:
    for document, entry in entries(repo, "*fail_under", "*coverage.status.*target", "*addopts*"):
        last = str(entry.keys[-1])
        floor = last == "fail_under" and str(entry.value) not in ("0", "0.0", "")
        if floor or last == "target" or "--cov-fail-under" in str(entry.value):
            yield at(document, entry.line, f"{last}: {entry.value}")
    for _, _, one in commands(repo, r"--cov-fail-under|--fail-under"):
        yield at(one.path, one.line, one.text)
    for text, line, what in lines(repo, r"^\s*fail_under\s*=|--cov-fail-under", within="*.coveragerc"):
        yield at(text, line, what)
    for text, line, what in lines(repo, r"--cov-fail-under", within="*makefile"):
        yield at(text, line, what)
