"""GitLab CI."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

from tests.audit.index.ci.conftest import run

PATH = ".gitlab-ci.yml"


def kinds(ci, rules: str) -> list[str]:
    found = ci({PATH: f"a:\n  script: [pytest]\n{rules}"})[0].jobs
    return [one.kind for job in found for one in job.triggers]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("", ["push", "tag"]),
        ("  when: manual\n", ["manual"]),
        ("  only: [merge_requests]\n", ["pull_request"]),
        ("  only: [schedules]\n", ["schedule"]),
        ("  only: [tags]\n", ["tag"]),
        ("  only: [main]\n", ["push"]),
        ("  except: [tags]\n", ["push"]),
        ("  rules: [{if: '$CI_PIPELINE_SOURCE == \"schedule\"'}]\n", ["schedule"]),
        ("  rules: [{if: $CI_COMMIT_TAG}]\n", ["tag"]),
        ("  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n", ["pull_request"]),
        ("  rules:\n    - if: $CI_COMMIT_BRANCH == 'main'\n      when: manual\n", ["manual"]),
        ("  rules:\n    - if: $CI_PIPELINE_SOURCE == 'schedule'\n      when: never\n    - when: on_success\n", ["push", "tag"]),
        ("  rules: [{when: never}]\n", []),
    ],
)  # fmt: skip
def test_rules_and_only_say_when(ci, rules, expected):
    assert kinds(ci, rules) == expected


def test_includes_extends_and_references_are_followed(ci):
    files = {
        PATH: """
            include:
              - local: /ci/base.yml
            stages: [test]
            default:
              before_script: [pip install .]
            unit:
              extends: .base
              variables: {WHAT: tests}
            other:
              script:
                - !reference [.base, script]
                - ls
              before_script: []
            """,
        "ci/base.yml": """
            .base:
              stage: test
              script:
                - |
                  make check
            """,
        "Makefile": "check:\n\tpytest\n",
    }
    (pipeline,) = ci(files)
    assert {job.name: [one.text for one in job.commands] for job in pipeline.jobs} == {
        "unit": ["pip install .", "pytest"],
        "other": ["pytest", "ls"],
    }
    assert pipeline.jobs[0].commands[1].path == "Makefile"


def test_hidden_jobs_are_none_and_remote_includes_are_not_known(ci):
    text = """
        include:
          - project: org/templates
            file: /python.yml
          - template: Security/SAST.gitlab-ci.yml
        .hidden:
          script: [pytest]
        lint:
          script: [ruff check]
          allow_failure: true
        """
    (pipeline,) = ci({PATH: text})
    assert run((pipeline,)) == ["ruff check"]
    assert pipeline.jobs[0].commands[0].may_fail
    assert [what for job in pipeline.jobs for what, _ in job.unknown] == ["remote include org/templates"]
