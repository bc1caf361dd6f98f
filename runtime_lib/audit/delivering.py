"""Whether a job of CI delivers something: a package, an image, a model, a service, a pipeline."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from runtime_lib.audit.calling import Node, leads_to
from runtime_lib.audit.index.ci.known import role_of
from runtime_lib.audit.index.ci.shell import words as split
from runtime_lib.audit.index.model import Command, Evidence, Job, Pipeline, Repo
from runtime_lib.audit.queries import at, calls, once
from runtime_lib.audit.running import started_by
from runtime_lib.audit.tools import named

__all__ = ["delivered", "delivers"]

_LONGEST = 5000  # of a command, as far as it is looked at
# Not delivered: pages, a trial run.
_DOCS = re.compile(r"gh-pages|mkdocs|github\.io|docs?[-_/]|\bsite/|readthedocs|coverage|--dry-run|--check\b")
# A cluster that the job makes for its own tests.
_LOCAL = re.compile(r"\b(kind|minikube|k3d|k3s|microk8s|localstack)\b")
_REMOTE = re.compile(r"docker|systemctl|supervisorctl|git pull|compose|pm2|kubectl|deploy|restart|\./\S+\.sh")
_ACTIONS = {"publish": "a package", "image-push": "an image", "deploy": "a service", "register": "a model"}
_ACTIONS |= {"infrastructure": "infrastructure"}
# Tasks of Azure, orbs, pipes and plug-ins, by name.
_TASKS = re.compile(
    r"^(HelmDeploy|Kubernetes(Manifest)?|AzureWebApp\w*|AzureFunctionApp\w*|AzureRm\w*Deployment"
    r"|AzureResource\w*Deployment|AzureContainerApps|UniversalPackages|ServiceFabricDeploy"
    r"|aml-\w*-?deploy\S*|AzureML\w*Deploy\w*|\S*mlmodeldeploy\S*)@",
    re.IGNORECASE,
)
_PLUGINS = re.compile(
    r"^(plugins|woodpeckerci|appleboy|thegeeklab)/"
    r"(docker|ecr|gcr|gar|acr|pypi|heroku|kaniko|plugin-docker|helm|drone-(docker|ssh|scp)|plugin-kaniko)"
    r"|atlassian/\S*(deploy|push-image|ecr-push)"
    r"|^(aws-ecr|gcp-gcr|gcp-artifact-registry|azure-acr|docker|aws-ecs|heroku|kubernetes|aws-eks|helm"
    r"|gcp-cloud-run|aws-sam-serverless|serverless-framework|aws-elastic-beanstalk)"
    r"/\S*(push|deploy|publish|update|release|install|upgrade)"
)
_DEPLOYS = re.compile(
    r"/\S*(deploy(?!ment)|publish-to|pypi-(publish|upload)|docker-(push|publish)|push-to-(hub|ecr|hf))"
)
_NOT_DEPLOYS = re.compile(
    r"pages|docs?\b|site|report|result|preview|comment|status|coverage|test-", re.IGNORECASE
)
_DEPLOYMENT = re.compile(
    r"(^|[/_-])(deploy[^/]*|(publish|release|register|upload|push)(_?(model|package|image|pipeline)\w*)?)\.py$"
)
# Packages that reach a cloud, a store or another machine.
_CLIENTS = frozenset(
    (
        "azure", "azureml", "boto3", "bentoml", "docker", "fabric", "google", "huggingface_hub", "kfp",
        "kubernetes", "mlflow", "modal", "paramiko", "prefect", "requests", "sagemaker", "subprocess",
        "vertexai", "wandb",
    )
)  # fmt: skip
_TRAVIS = re.compile(r"^deploy/(?!pages|script|bintray)(\w+)")
# Calls that deliver, in what a job runs.
_CALLS = (
    "*.register_model", "*.create_model_version", "*.transition_model_version_stage",
    "*.set_registered_model_alias", "azureml*Model.register", "azureml*Model.deploy",
    "azureml*Webservice*deploy*", "*.create_model_package", "*.create_endpoint", "*.update_endpoint",
    "*.create_endpoint_config", "*.begin_create_or_update", "sagemaker*.deploy", "*.push_to_hub",
    "huggingface_hub*.upload_folder", "huggingface_hub*.upload_file", "*Model.upload", "*.deploy_model",
    "*Endpoint().deploy", "sagemaker*Pipeline().upsert", "*get_pipeline().upsert", "*.upload_pipeline",
    "*.upload_pipeline_version", "*Pipeline().publish", "*.create_recurring_run", "*.update_service",
    "*.update_function_code", "bentoml*.push", "*.create_stack", "*.update_stack", "wandb*.link_artifact",
    "wandb*.link_model", "*.create_deployment",
)  # fmt: skip


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    table = tomllib.loads(Path(__file__).with_name("delivering.toml").read_text(encoding="utf-8"))
    return tuple((what, re.compile(rf"^(?:{'|'.join(parts)})")) for what, parts in table.items())


def delivered(repo: Repo, pipeline: Pipeline, job: Job) -> Iterator[tuple[str, Evidence]]:
    """What a job delivers, as words, and where it says so."""
    local = any(_LOCAL.search(one.text) for one in job.commands) or any(
        _LOCAL.search(name) for name, _, _ in job.uses
    )
    for command in job.commands:
        what = "a service" if _starts_service(job, command) else delivers(repo, command)
        if what and not (local and what in ("a service", "infrastructure")):
            yield what, at(command.path, command.line, command.text)
    for name, line, inputs in job.uses:
        what = _used(name, inputs)
        if what and not (local and what in ("a service", "infrastructure")):
            yield what, at(pipeline, line, name)


def _starts_service(job: Job, command: Command) -> bool:
    """Containers that a job called Deploy starts, on the machine that it runs on."""
    said = " ".join((job.name, *command.by))
    started = re.match(
        r"(docker-compose|docker compose)( \S+)* up\b|docker run( \S+)* (-d|--detach)\b", command.text
    )
    return bool(started) and bool(re.search(r"deploy|release|\bcd\b|prod", said, re.IGNORECASE))


def delivers(repo: Repo, command: Command) -> str:
    """What a command delivers; "" if nothing."""
    text = " ".join(command.text[:_LONGEST].split())
    if text.startswith(("echo ", "printf ", "#")):
        return ""
    if text.startswith("ssh ") and ("<<" in text or _REMOTE.search(text)):
        return "a service"
    for what, pattern in _patterns():
        if pattern.match(text) and not _DOCS.search(text):
            return what
    started = list(started_by(repo, split(text)))
    found = any(one in _delivering(repo) or _is_deployment(repo, one[0]) for one in started)
    return "a model or pipeline" if found else ""


def _is_deployment(repo: Repo, path: str) -> bool:
    """A script that is called after delivery and talks to something outside."""
    named = _DEPLOYMENT.search(path)
    return bool(named) and path in repo.modules and bool(repo.modules[path].packages & _CLIENTS)


@once
def _delivering(repo: Repo) -> frozenset[Node]:
    patterns = (*_CALLS, *(part for tool in named("registry") for part in tool.calls))
    found = frozenset((module.path, call.function) for module, call in calls(repo, *patterns))
    return leads_to(repo, found)


def _used(name: str, inputs: Mapping[str, str]) -> str:
    low = {key.lower(): value.strip() for key, value in inputs.items()}
    role = role_of(name)
    if role in _ACTIONS:
        return _ACTIONS[role]
    if role == "image":
        pushes = low.get("push", "false") != "false" or "push=true" in low.get("outputs", "")
        return "an image" if pushes or "type=registry" in low.get("outputs", "") else ""
    if role == "release" and low.get("files", low.get("artifacts", low.get("assets", ""))):
        return "a release"
    if role == "ssh" and _REMOTE.search(low.get("script", low.get("command", ""))):
        return "a service"
    if re.match(r"^Docker(Compose)?@", name) and re.search(
        r"push", f"{low.get('command')} {low.get('action')}", re.I
    ):
        return "an image"
    if re.match(r"^Docker@", name) and "command" not in low:  # its default builds and pushes
        return "an image"
    if name.lower().startswith("terraform") and low.get("command") == "apply":
        return "infrastructure"
    if _TASKS.match(name):
        return "a service"
    if _PLUGINS.search(name) and low.get("dry_run") != "true":
        return "an image or service"
    if _TRAVIS.match(name):
        return "a package or service"
    # An action of somebody's, called after what it does.
    named = not role and "/" in name and "@" in name and not name.startswith(".")
    return "a service" if named and _DEPLOYS.search(name) and not _NOT_DEPLOYS.search(name) else ""
