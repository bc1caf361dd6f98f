"""Azure Pipelines."""

from __future__ import annotations

import pytest

from tests.audit.index.ci.conftest import run

STEPS = "steps:\n  - script: pytest\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("pool: x\n", ["push", "pull_request"]),
        ("trigger: [main]\npr: none\n", ["push"]),
        ("trigger: none\n", ["manual"]),
        ("trigger: none\npr:\n  branches: {include: [main]}\n", ["pull_request"]),
        ("trigger: none\npr: none\nschedules:\n  - cron: '0 0 * * *'\n", ["schedule", "manual"]),
        ("trigger: {tags: {include: ['v*']}}\npr: none\n", ["tag"]),
    ],
)
def test_what_starts_a_pipeline(ci, head, expected):
    (pipeline,) = ci({".pipelines/ci.yml": head + STEPS})
    assert pipeline.active
    assert [one.kind for one in pipeline.triggers] == expected


def test_templates_tasks_and_deployments_are_read(ci):
    files = {
        "azure-pipelines.yml": """
            trigger: [main]
            stages:
              - stage: test
                jobs:
                  - job: unit
                    steps:
                      - template: .pipelines/steps.yml
                        parameters: {target: unit}
                      - task: PythonScript@0
                        inputs: {scriptPath: train.py}
                      - ${{ if eq(parameters.x, 'y') }}:
                          - bash: echo inserted
              - stage: deploy
                condition: and(succeeded(), eq(variables['Build.Reason'], 'Manual'))
                jobs:
                  - deployment: web
                    strategy:
                      runOnce:
                        deploy:
                          steps:
                            - task: AzureCLI@2
                              inputs: {inlineScript: az ml online-endpoint create}
            """,
        ".pipelines/steps.yml": """
            parameters:
              - name: target
                default: all
            steps:
              - script: make ${{ parameters.target }}
                displayName: tests
              - template: other.yml@shared
            """,
        "Makefile": "unit:\n\tpytest\n",
    }
    (pipeline,) = ci(files)
    first, second = pipeline.jobs
    assert [one.text for one in first.commands] == ["pytest", "python train.py", "echo inserted"]
    assert [what for what, _ in first.unknown] == ["template other.yml@shared"]
    assert [one.text for one in second.commands] == []
    assert [one.kind for one in first.triggers] == ["push", "pull_request"]


def test_pipelines_of_azure_ml_are_no_ci(ci):
    text = """
        $schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
        type: pipeline
        jobs:
          train: {type: command, command: python train.py}
        """
    assert ci({"pipeline.yml": text}) == ()


def test_conda_files_and_playbooks_are_no_ci(ci):
    assert (
        ci({"environment.yml": "name: x\ndependencies: [pip]\n", "conf.yaml": "steps:\n  - name: a\n"}) == ()
    )
    assert run(ci({"x.yaml": "steps:\n  - script: a\n"})) == []
