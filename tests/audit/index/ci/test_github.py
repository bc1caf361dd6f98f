"""Workflows of GitHub Actions."""

from __future__ import annotations

import pytest

from tests.audit.index.ci.conftest import run

WORKFLOW = ".github/workflows/a.yml"


def jobs(ci, text: str, **files: str):
    return ci({WORKFLOW: text, **files})[0].jobs


def kinds(ci, on: str, condition: str = "") -> list[str]:
    """Triggers of a job with this `if`."""
    when = f"    if: {condition}\n" if condition else ""
    (job,) = jobs(ci, f"on: {on}\njobs:\n  a:\n    runs-on: x\n{when}    steps: [run: pytest]\n")
    assert job.disabled is (not job.triggers)
    return [one.kind for one in job.triggers]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("push", ["push"]),
        ("[push, pull_request]", ["push", "pull_request"]),
        ("{push: {tags: ['v*']}}", ["tag"]),
        ("{push: {branches: [main], tags: ['v*']}}", ["push", "tag"]),
        ("{pull_request: null, workflow_dispatch: null}", ["pull_request", "manual"]),
        ("{schedule: [{cron: '0 0 * * *'}]}", ["schedule"]),
        ("{release: {types: [published]}}", ["release"]),
        ("{workflow_run: {workflows: [x]}}", ["event"]),
        ("{workflow_call: null}", ["called"]),
        ("{pull_request: {types: [labeled]}}", ["event"]),
        ("pull_request_target", ["pull_request"]),
    ],
)
def test_what_starts_a_workflow(ci, on, expected):
    assert kinds(ci, on) == expected


def test_a_schedule_of_nothing_is_none(ci):
    assert (
        jobs(ci, "on:\n  schedule:\n  push:\njobs:\n  a:\n    runs-on: x\n    steps: [run: a]\n")[0]
        .triggers[0]
        .kind
        == "push"
    )


EVENTS = "[push, pull_request, workflow_dispatch]"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("false", []),
        ("${{ false }}", []),
        ("github.event_name == 'push'", ["push"]),
        ("${{ github.event_name != 'pull_request' }}", ["push", "manual"]),
        ("github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/main'", ["manual"]),
        ("startsWith(github.ref, 'refs/tags/')", ["push", "manual"]),
        ("github.repository == 'a/b'", ["push", "pull_request", "manual"]),
        ("github.event.inputs.train == 'true'", ["manual"]),
        ("inputs.train", ["manual"]),
        ('"!github.event.pull_request.draft"', ["push", "pull_request", "manual"]),
        ("contains(github.event.head_commit.message, '[train]')", ["push", "pull_request", "manual"]),
        ("(github.event_name == 'push' || inputs.x) && always()", ["push", "manual"]),
    ],
)
def test_conditions_keep_triggers_as_far_as_they_are_plain(ci, condition, expected):
    assert kinds(ci, EVENTS, condition) == expected


def test_a_step_with_a_condition_is_reached_by_its_trigger_alone(ci):
    text = """
        on:
          push:
          schedule:
            - cron: "0 3 * * 1"
        jobs:
          a:
            runs-on: x
            steps:
              - run: pytest
              - if: github.event_name == 'push'
                run: python train.py
        """
    first, second = jobs(ci, text)
    assert ([one.kind for one in first.triggers], run_of(first)) == (["push"], ["pytest", "python train.py"])
    assert ([one.kind for one in second.triggers], run_of(second)) == (["schedule"], ["pytest"])


def run_of(job) -> list[str]:
    return [one.text for one in job.commands]


def test_a_job_that_needs_one_that_is_not_run_is_not_run(ci):
    text = """
        on: [push, pull_request]
        jobs:
          b: {runs-on: x, needs: a, steps: [run: b]}
          a: {runs-on: x, if: github.event_name == 'push', steps: [run: a]}
          c: {runs-on: x, needs: [a], if: always(), steps: [run: c]}
        """
    found = {job.name: [one.kind for one in job.triggers] for job in jobs(ci, text)}
    assert found == {"a": ["push"], "b": ["push"], "c": ["push", "pull_request"]}


def test_local_actions_and_workflows_are_followed_with_their_inputs(ci):
    text = """
        on: push
        jobs:
          a:
            runs-on: x
            steps:
              - uses: ./.github/actions/test
                with: {session: unit}
          b:
            uses: ./.github/workflows/called.yml
            with: {target: train}
        """
    files = {
        ".github/actions/test/action.yml": """
            inputs:
              session: {default: all}
              quiet: {default: -q}
            runs:
              using: composite
              steps:
                - run: pytest ${{ inputs.quiet }} ${{ inputs.session }}
            """,
        ".github/workflows/called.yml": """
            on: {workflow_call: {inputs: {target: {type: string}}}}
            jobs:
              c:
                runs-on: x
                steps:
                  - run: make ${{ inputs.target }}
                  - if: inputs.target != 'train'
                    run: never
            """,
        "Makefile": "train:\n\tpython train.py\n",
    }
    first, second = jobs(ci, text, **files)
    assert run_of(first) == ["pytest -q unit"]
    assert first.commands[0].path == ".github/actions/test/action.yml"
    # What is used in another file is shown where the workflow leads to it.
    assert [line for _, line, _ in first.uses] == [7]
    assert run_of(second) == ["python train.py"]
    assert second.commands[0].by == ("uses ./.github/workflows/called.yml", "make train")


def test_what_is_remote_is_not_known(ci):
    text = """
        on: push
        jobs:
          a:
            runs-on: x
            steps:
              - uses: actions/checkout@v4
              - uses: codecov/codecov-action@v4
              - uses: somebody/test-everything@v1
              - uses: ./.github/actions/missing
          b:
            uses: org/repo/.github/workflows/ci.yml@main
        """
    first, second = jobs(ci, text)
    assert [what for what, _ in first.unknown] == [
        "action somebody/test-everything@v1",
        "action that is not here, ./.github/actions/missing",
    ]
    assert [what for what, _ in second.unknown] == ["remote workflow org/repo/.github/workflows/ci.yml@main"]
    assert first.uses[0][0] == "actions/checkout@v4"


def test_a_matrix_and_variables_are_put_in(ci):
    text = """
        on: push
        env: {TOOL: pytest}
        jobs:
          a:
            runs-on: x
            strategy:
              matrix:
                session: [lint, unit]
                include:
                  - {session: slow, flag: -x}
            steps:
              - run: run ${{ matrix.session }}
              - run: ${TOOL} tests ${{ env.TOOL }}
        """
    assert run(ci({WORKFLOW: text})) == ["run slow", "run lint", "run unit", "pytest tests pytest"]


def test_a_failure_that_is_ignored_is_marked(ci):
    text = """
        on: push
        jobs:
          a:
            runs-on: x
            steps:
              - run: a
                continue-on-error: true
              - run: b
              - run: c | tee log
              - run: d | tee log
                shell: bash
        """
    (job,) = jobs(ci, text)
    found = {one.text: one.may_fail for one in job.commands}
    assert [found[name] for name in "abcd"] == [True, False, True, False]


@pytest.mark.parametrize(
    ("path", "active"),
    [
        (".github/workflows/a.yml", True),
        ("sub/.github/workflows/a.yml", False),
        ("docs/a.yml", False),
        ("{{cookiecutter.name}}/.github/workflows/a.yml", False),
        ("workflows/a.yml", False),
    ],
)
def test_only_the_root_s_folder_is_read_by_the_provider(ci, path, active):
    (pipeline,) = ci({path: "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [run: pytest]\n"})
    assert pipeline.active is active


def test_what_is_no_workflow_does_not_raise(ci):
    for text in (
        "",
        "a",
        "[1]",
        "on: push\njobs: 3",
        "on: push\njobs:\n  a: 3\n  b: {steps: {a: 1}}\n",
        "on: 1\njobs: {a: {steps: [1, {run: 2}, {uses: 3}]}}",
    ):
        for path in (
            WORKFLOW,
            ".gitlab-ci.yml",
            "azure-pipelines.yml",
            ".circleci/config.yml",
            ".travis.yml",
            ".drone.yml",
            ".cirrus.yml",
        ):
            ci({path: text})
