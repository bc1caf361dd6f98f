"""CircleCI, Jenkins, Travis and the rest: each runs `pytest` on changes, and something else by hand or time."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

from tests.audit.index.ci.conftest import run

FOUND = {
    "circleci": (
        ".circleci/config.yml",
        """
        version: 2.1
        commands:
          check:
            parameters: {what: {default: tests}}
            steps:
              - run: pytest << parameters.what >>
        jobs:
          test:
            docker: [{image: x}]
            steps: [checkout, {check: {what: tests}}]
          unused:
            steps: [{run: never}]
        workflows:
          main:
            jobs: [test]
        """,
    ),
    "jenkins": (
        "Jenkinsfile",
        """
        pipeline {
          agent any // sh 'never'
          stages {
            stage('Test') { steps { sh 'pytest tests' } }
          }
        }
        """,
    ),
    "travis": (".travis.yml", "language: python\ninstall: pip install .\nscript:\n  - pytest tests\n"),
    "bitbucket": (
        "bitbucket-pipelines.yml",
        "pipelines:\n  default:\n    - parallel:\n        - step: {name: a, script: [pytest tests]}\n",
    ),
    "buildkite": (".buildkite/pipeline.yml", "steps:\n  - label: a\n    commands: [pytest tests]\n"),
    "drone": (
        ".drone.yml",
        "kind: pipeline\nsteps:\n  - name: a\n    image: x\n    commands: [pytest tests]\n",
    ),
    "woodpecker": (".woodpecker/a.yml", "steps:\n  a:\n    image: x\n    commands: [pytest tests]\n"),
    "appveyor": ("appveyor.yml", "build: off\ntest_script:\n  - cmd: pytest tests\n"),
    "cirrus": (".cirrus.yml", "a_task:\n  container: {image: x}\n  test_script: pytest tests\n"),
    "taskcluster": (
        ".taskcluster.yml",
        """
        version: 1
        tasks:
          $if: 'tasks_for in ["github-push"]'
          then:
            - payload:
                command: [/bin/bash, -lc, "cd x && pytest tests"]
        """,
    ),
    "codebuild": ("ci/buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands: [pytest tests]\n"),
    "cloudbuild": (
        "cloudbuild.yaml",
        "steps:\n  - name: gcr.io/p/docker\n    args: [build, .]\n  - name: python:3\n    entrypoint: bash\n    args: ['-c', 'pytest tests']\n",
    ),
    "tekton": (
        ".tekton/a.yaml",
        "apiVersion: tekton.dev/v1\nkind: Task\nspec:\n  steps:\n    - image: x\n      script: pytest tests\n",
    ),
}


@pytest.mark.parametrize("provider", FOUND)
def test_each_provider_s_commands_are_found(ci, provider):
    path, text = FOUND[provider]
    (pipeline,) = ci({path: text})
    assert (pipeline.provider, pipeline.active, pipeline.problem) == (provider, True, "")
    assert "pytest tests" in run((pipeline,))
    assert "never" not in run((pipeline,))
    job = next(job for job in pipeline.jobs if any(one.text == "pytest tests" for one in job.commands))
    assert "push" in [one.kind for one in job.triggers]


def test_cloud_build_with_images_of_docker_hub_alone(ci):
    text = "---\nsteps:\n  - name: python:3.9\n    entrypoint: /bin/sh\n    args: ['-c', 'pytest tests']\n"
    (pipeline,) = ci({"cloudbuild/checks.yaml": text + "options: {logging: CLOUD_LOGGING_ONLY}\n"})
    assert (pipeline.provider, pipeline.active) == ("cloudbuild", True)
    assert "pytest tests" in run((pipeline,))
    assert not ci({"other.yaml": text})


def test_actions_of_codepipeline_are_commands(ci):
    text = (
        "Resources:\n  P:\n    Type: AWS::CodePipeline::Pipeline\n    Properties:\n      Stages:\n"
        "        - Name: Ship\n          Actions:\n            - Name: Model\n"
        "              ActionTypeId: {Category: Deploy, Owner: AWS, Provider: CloudFormation}\n"
        "            - Name: Ask\n              ActionTypeId: {Category: Approval, Provider: Manual}\n"
    )
    (pipeline,) = ci({"pipeline.yml": text})
    assert (pipeline.provider, [one.name for one in pipeline.jobs]) == ("codepipeline", ["Ship"])
    assert run((pipeline,)) == ["aws cloudformation deploy --name Ship-Model"]


def test_circleci_by_time_by_tag_and_after_an_approval(ci):
    text = """
        version: 2.1
        jobs:
          a: {steps: [{run: a}]}
        workflows:
          nightly:
            triggers: [{schedule: {cron: "0 0 * * *", filters: {}}}]
            jobs: [a]
          release:
            jobs:
              - a: {filters: {branches: {ignore: /.*/}, tags: {only: /v.*/}}}
              - hold: {type: approval}
              - a: {requires: [hold]}
        """
    (pipeline,) = ci({".circleci/config.yml": text})
    assert [[one.kind for one in job.triggers] for job in pipeline.jobs] == [
        ["schedule"],
        ["tag"],
        ["manual"],
    ]


def test_jenkins_by_time_and_by_a_parameter(ci):
    text = """
        @Library('shared') _
        pipeline {
          triggers { cron('H 2 * * *') }
          stages {
            stage('train') { steps { sh '''
              set -e
              python train.py
            ''' } }
            stage('deploy') { when { expression { params.DEPLOY } } steps { sh "kubectl apply -f x" } }
          }
        }
        """
    (pipeline,) = ci({"ci/train.jenkinsfile": text})
    found = {job.name: job for job in pipeline.jobs}
    assert [one.kind for one in found["train"].triggers] == ["push", "schedule"]
    assert found["train"].commands[0].line == 8
    assert [one.kind for one in found["deploy"].triggers] == ["manual"]


def test_argo_starts_by_time_if_it_is_a_cron_that_is_not_suspended(ci):
    def kinds(kind: str, more: str = "") -> list[str]:
        text = f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nspec:\n  schedule: 0 0 * * *\n{more}  templates:\n    - container: {{image: x, command: [python, train.py]}}\n"
        return [one.kind for one in ci({"k8s/a.yaml": text})[0].jobs[0].triggers]

    assert kinds("CronWorkflow") == ["schedule"]
    assert kinds("Workflow") == ["manual"]
    assert kinds("CronWorkflow", "  suspend: true\n") == []


def test_bitbucket_s_custom_pipelines_are_started_by_hand(ci):
    (pipeline,) = ci(
        {"bitbucket-pipelines.yml": "pipelines:\n  custom:\n    x:\n      - step: {script: [pytest]}\n"}
    )
    assert [one.kind for one in pipeline.jobs[0].triggers] == ["manual"]


def test_taskcluster_runs_each_task_of_its_conditions(ci):
    text = """
        version: 1
        tasks:
          $let: {head: "${event.after}"}
          in:
            $if: 'tasks_for == "github-push" || tasks_for == "github-pull-request"'
            then:
              - payload:
                  command:
                    - "/bin/bash"
                    - "-lcx"
                    - "git clone ${repository} &&
                      cd app &&
                      python -m pytest --cov=./ tests/test_*.py &&
                      bash <(curl -s https://codecov.io/bash)"
              - $if: 'tasks_for == "github-push"'
                then:
                  payload:
                    command: [deployer, deploy-pypi]
        """
    (pipeline,) = ci({".taskcluster.yml": text})
    assert {one.kind for job in pipeline.jobs for one in job.triggers} == {"push", "pull_request"}
    found = run((pipeline,))
    assert "python -m pytest --cov=./ tests/test_*.py" in found
    assert "deployer deploy-pypi" in found
