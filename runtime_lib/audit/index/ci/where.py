"""Which files are CI configurations, of which provider, and whether the provider reads them there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime_lib.audit.index.ci import azure, circleci, clouds, codepipeline, github, gitlab, jenkins, simple
from runtime_lib.audit.index.ci.sources import Sources, table
from runtime_lib.audit.index.model import Document, Pipeline

__all__ = ["Configuration", "configurations"]

# Folders of what is an example of something, or becomes part of another repository.
_EXAMPLE = re.compile(
    r"(^|/)(examples?|samples?|docs?|documentation|templates?|cookiecutter[^/]*|boilerplates?|scaffold\w*|fixtures|testdata"
    r"|tests?|tutorials?|snippets|archived?|old|deprecated|disabled)/|\{\{|\.(example|sample|disabled|bak|tmpl|j2|jinja)(\.|$)",
    re.IGNORECASE,
)
_CLOUDBUILD = {"options", "substitutions", "availableSecrets", "logsBucket", "timeout"}
Read = Callable[..., Pipeline]


@dataclass(frozen=True)
class Configuration:
    provider: str
    path: str
    active: bool
    read: Callable[[Sources], Pipeline]


def configurations(sources: Sources) -> Iterator[Configuration]:
    """All of them; files that others only include are read with those."""
    parts = _parts(sources)
    for path, document in sources.documents.items():
        if path not in parts and document.kind in ("yaml", "json", "toml"):
            yield from _of_document(document)
    for path, text in sources.texts.items():
        if jenkins.is_jenkinsfile(text):
            active = not _EXAMPLE.search(path)

            def read(all_of_it: Sources, text: Any = text, active: bool = active) -> Pipeline:
                return jenkins.read(all_of_it, text, active=active)

            yield Configuration("jenkins", path, active, read)


def _parts(sources: Sources) -> set[str]:
    """Templates of Azure and includes of GitLab: no pipelines of their own."""
    found: set[str] = set()
    for path, document in sources.documents.items():
        if document.kind != "yaml" or not isinstance(document.data, dict | list):
            continue
        if path.rpartition("/")[2] == ".gitlab-ci.yml":
            found |= gitlab.included(sources, document) - {path}
        elif any(key in table(document.data) for key in ("stages", "jobs", "steps", "extends")):
            found |= azure.templates(sources, document) - {path}
    return found


def _of_document(document: Document) -> Iterator[Configuration]:
    found = _by_path(document) or _by_schema(document)
    if found is None:
        return
    provider, read, placed = found
    active = placed and not _EXAMPLE.search(document.path)

    def bound(sources: Sources) -> Pipeline:
        return read(sources, document, active=active)

    yield Configuration(provider, document.path, active, bound)


# Where a provider reads its configuration.
_PATHS: tuple[tuple[str, str, Read], ...] = (
    ("github", r"\.(github|gitea|forgejo)/workflows/[^/]+\.ya?ml", github.read),
    ("gitlab", r"\.gitlab-ci\.ya?ml", gitlab.read),
    ("circleci", r"\.circleci/\w*config\w*\.ya?ml", circleci.read),
    ("travis", r"\.travis\.ya?ml", simple.travis),
    ("bitbucket", r"bitbucket-pipelines\.ya?ml", simple.bitbucket),
    ("buildkite", r"\.buildkite/.*\.ya?ml", simple.buildkite),
    ("drone", r"\.drone\.ya?ml", simple.drone),
    (
        "woodpecker",
        r"\.woodpecker\.ya?ml|\.woodpecker/.*\.ya?ml",
        partial(simple.drone, provider="woodpecker"),
    ),
    ("appveyor", r"\.?appveyor\.ya?ml", simple.appveyor),
    ("cirrus", r"\.cirrus\.ya?ml", simple.cirrus),
    ("taskcluster", r"\.taskcluster\.ya?ml", clouds.taskcluster),
)


def _by_path(document: Document) -> tuple[str, Read, bool] | None:
    """At the root, or as the same path in a folder, where no provider looks."""
    for provider, pattern, read in _PATHS:
        if re.fullmatch(pattern, document.path):
            return provider, read, True
        if re.fullmatch(rf".+/(?:{pattern})", document.path):
            return provider, read, False
    return None


def _by_schema(document: Document) -> tuple[str, Read, bool] | None:
    data = document.data
    kinds = {str(one["kind"]): str(one["apiVersion"]) for one, _ in clouds.kubernetes_documents(document)}
    if any(version.startswith("tekton.dev") for version in kinds.values()):
        return "tekton", clouds.tekton, document.path.startswith(".tekton/")
    if any(version.startswith("argoproj.io") and "Workflow" in kind for kind, version in kinds.items()):
        return "argo", clouds.argo, True
    if not isinstance(data, dict) or kinds:
        return None
    if github.is_workflow(data):
        return "github", github.read, False
    if circleci.is_circleci(data):
        return "circleci", circleci.read, False
    phases = [table(one) for one in table(data.get("phases")).values()]
    if "version" in data and any("commands" in one for one in phases):
        return "codebuild", clouds.codebuild, True
    if codepipeline.is_codepipeline(data):
        return "codepipeline", codepipeline.read, True
    if _is_cloudbuild(data):
        return "cloudbuild", clouds.cloudbuild, True
    if azure.is_azure(data):
        return "azure", azure.read, _is_pipeline(document)
    return ("gitlab", gitlab.read, False) if gitlab.is_gitlab(data) else None


def _is_cloudbuild(data: dict[Any, Any]) -> bool:
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps or "runs" in data:
        return False
    plain = [table(one) for one in steps]
    named = all(
        isinstance(one.get("name"), str) and {"args", "entrypoint", "script"} & one.keys() for one in plain
    )
    # Images of Docker Hub have no "/": then other keys of Cloud Build must tell.
    return named and (any("/" in str(one["name"]) for one in plain) or bool(_CLOUDBUILD & data.keys()))


def _is_pipeline(document: Document) -> bool:
    """Azure's pipelines may lie anywhere; what only has steps or parameters is a template."""
    data = table(document.data)
    own = {"trigger", "pr", "schedules", "pool", "stages", "extends", "resources"} & data.keys()
    named = re.search(r"pipeline|azure|(^|[-_/.])(ci|cd)([-_/.]|$)", document.path.lower()) is not None
    return bool(own - {"stages"}) or (named and ("parameters" not in data or "stages" in own))
