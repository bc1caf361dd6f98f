"""A1 and A2: whether a machine can read the steps from data to a trained model, and run them."""

from __future__ import annotations

from runtime_lib.audit.index.model import Repo
from runtime_lib.audit.parts import examples
from runtime_lib.audit.pipelines import Definition, definitions
from runtime_lib.audit.project import Project
from runtime_lib.audit.records import Finding, check

__all__ = ["pipelines"]

LEAST = 2  # steps of a pipeline


def pipelines(repo: Repo, project: Project) -> list[Definition]:
    """Definitions that are this repository's own work: what a library shows in its examples is not."""
    aside = examples(repo) if project.kind == "library" else frozenset()
    return [one for one in definitions(repo) if one.evidence.path not in aside]


def _looked(repo: Repo) -> tuple[str, ...]:
    modules = f"{len(repo.modules):,} modules and {len(repo.notebooks):,} notebooks"
    return modules, f"{len(repo.documents):,} configuration files"


def _none(repo: Repo, project: Project, why: str) -> Finding:
    if not project.ml and not project.training:
        return Finding("n/a", "Nothing here trains.", looked_at=_looked(repo), value=False)
    return Finding("fail", why, looked_at=_looked(repo), value=False)


@check(
    "A1",
    "automation",
    "Are the steps from data to a trained model defined so that a machine can run them?",
    pillar=True,
    looks_for="Two steps or more, one of which trains, in a definition of a tool: dvc.yaml, Kedro, Metaflow, "
    "Prefect, ZenML, Airflow, Kubeflow, Dagster, SageMaker, Azure ML, Databricks, Step Functions, Snakemake, "
    "Argo, targets of make and others. Orchestration that trains nothing is none.",
    why="Steps that stand in a README or in somebody's head are run in another order next time.",
    false_answers="Steps that only a shell script lists are not counted.",
    fix="Write the commands that you run by hand as stages of one file.",
    effort="hours",
    priority="high",
    tools=("dvc", "make", "kedro", "metaflow", "airflow"),
    brings="`copier copy` of this template writes the steps into dvc.yaml; `mlops run` runs them.",
)
def defined(repo: Repo, project: Project) -> Finding:
    found = pipelines(repo, project)
    whole = [one for one in found if one.steps >= LEAST and one.training]
    if whole:
        names = list(dict.fromkeys(one.tool for one in whole))
        shown = tuple(dict.fromkeys(one.evidence for one in whole))[:5]
        return Finding("pass", f"Steps are defined with {', '.join(names)}.", shown, value=_value(names))
    if found:
        why = "A pipeline is defined, but no step of it trains."
        if any(one.training for one in found):
            why = "The pipeline has only one step."
        return Finding("partial", why, tuple(one.evidence for one in found[:5]), value=False)
    return _none(repo, project, "The steps from data to model are not defined as a pipeline.")


def _value(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


@check(
    "A2",
    "automation",
    "Does the pipeline train the model?",
    looks_for="A step of the pipeline that leads to training, by its code, its command or its name.",
    why="A pipeline that stops before training leaves the hardest part to hand work.",
    fix="Make training a step of the pipeline.",
    effort="hours",
    priority="medium",
    tools=("dvc", "make"),
    brings="`copier copy` of this template: the step `train` of dvc.yaml.",
)
def training(repo: Repo, project: Project) -> Finding:
    found = pipelines(repo, project)
    shown = [one for each in found if each.steps >= LEAST for one in each.training]
    if shown:
        return Finding("pass", "A step of the pipeline trains.", tuple(dict.fromkeys(shown))[:5])
    if found:
        return Finding("fail", "No step of the pipeline trains.", tuple(one.evidence for one in found[:3]))
    return _none(repo, project, "There is no pipeline.")
