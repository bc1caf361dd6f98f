"""AWS CodePipeline in a template of CloudFormation: its actions as the commands that do the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.ci.simple import pipeline
from runtime_lib.audit.index.ci.sources import Place, Sources, listed, table
from runtime_lib.audit.index.ci.steps import Step, jobs
from runtime_lib.audit.index.model import Document, Job, Pipeline, Trigger

__all__ = ["is_codepipeline", "read"]

# Provider of an action → the command; builds run a buildspec, which is read where it stands.
_ACTIONS = {
    "CloudFormation": "aws cloudformation deploy",
    "CodeDeploy": "aws deploy create-deployment",
    "CodeDeployToECS": "aws deploy create-deployment",
    "ECS": "aws ecs update-service",
    "ElasticBeanstalk": "eb deploy",
    "StepFunctions": "aws stepfunctions start-execution",
}


def is_codepipeline(data: Any) -> bool:
    return any(True for _ in _pipelines(data))


def _pipelines(data: Any) -> Iterator[tuple[str, dict[Any, Any]]]:
    for name, one in table(table(data).get("Resources")).items():
        if table(one).get("Type") == "AWS::CodePipeline::Pipeline":
            yield str(name), table(table(one).get("Properties"))


def read(sources: Sources, document: Document, *, active: bool) -> Pipeline:
    """A job for each stage; a change of the source starts it."""
    lines = sources.lines(document)
    found: list[Job] = []
    push = Trigger("push", document.path, 1, "as CodePipeline watches its source")
    for name, properties in _pipelines(document.data):
        for number, stage in enumerate(listed(properties.get("Stages"))):
            keys = ("Resources", name, "Properties", "Stages", number)
            steps = []
            for at, action in enumerate(listed(table(stage).get("Actions"))):
                one = table(action)
                command = _ACTIONS.get(str(table(one.get("ActionTypeId")).get("Provider", "")))
                if command:
                    line = lines.of(*keys, "Actions", at)
                    said = f"{table(stage).get('Name', '')}-{one.get('Name', '')}"
                    steps.append(Step(f"{command} --name {said}", Place(document.path, line)))
            if steps:
                title = str(table(stage).get("Name", "stage"))
                found += jobs(sources, title, lines.of(*keys), steps, [push], lambda *_: True)
    return pipeline("codepipeline", document, found, active)
