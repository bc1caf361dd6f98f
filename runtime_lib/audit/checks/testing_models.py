"""Testing: does a bad model fail something?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime_lib.audit import quality
from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.queries import at, calls
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.testcases import cases

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_FAIRNESS = (
    "fairlearn.*",
    "aif360.*",
    "aequitas.*",
    "*.SlicingSpec",
    "*slicing_function",
    "*.slicing_metrics*",
)
_SLICES = re.compile(
    r"(?:^|_)(?:slices?|sliced|fairness|subgroups?|bias_(?:test|check|metrics)|per_group)(?:_|$)", re.I
)


def _looked(repo: Repo) -> tuple[str, ...]:
    branches = sum(len(module.branches) for module in repo.code())
    return (
        f"{len(cases(repo)):,} test functions",
        f"{branches:,} comparisons in {len(repo.modules):,} modules",
    )


def _shown(found: list[Evidence]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(found))[:5]


@check(
    "Q3",
    "testing",
    "Does something fail if the trained model is bad?",
    looks_for="A test or gate that fails on a metric below a bound or on the behaviour of a trained model, "
    "and is on by default; not a metric that is printed, a bound of 0, a gate that a switch turns off.",
    why="A model that learned nothing runs as well as a good one, and nobody notices.",
    fix="After training, compare the metric on held-out data with a bound, and raise an error below it.",
    effort="hours",
    priority="high",
    false_answers="A gate in another language, or in the console of a platform, is not seen.",
    tools=("pytest", "mlflow", "deepchecks"),
    brings="`mlops promote` refuses a version that is not better than the baseline on held-out rows.",
    pillar=True,
)
def _model_tests(repo: Repo, project: Project) -> Finding:
    found = [*quality.tests(repo), *quality.gates(repo, project), *quality.tools(repo, project)]
    if project.kind != "library":
        found += quality.behaviour(repo)
    if not found:
        # A worse model that is stopped is one that fails on its quality.
        found = [*quality.relative_gates(repo, project), *quality.comparing_tools(repo, project)]
    if found:
        return Finding("pass", "A test or gate fails if the model is bad.", _shown(found), value=True)
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=_looked(repo))
    return Finding("fail", "Nothing fails if the trained model is bad.", looked_at=_looked(repo), value=False)


@check(
    "Q4",
    "testing",
    "Is a model that is worse than the one before stopped?",
    looks_for="A comparison of the new model's metric with that of the production model, champion or "
    "baseline, which decides about registration, promotion or the end of the pipeline; thresholds of change.",
    why="A bound that was set a year ago lets every slow decline through.",
    fix="Load the metric of the model in production, and register the new one only if it is not worse.",
    effort="hours",
    priority="medium",
    false_answers="The best epoch of one training is no earlier model.",
    tools=("mlflow", "tfma"),
    brings="`mlops promote` judges champion and new version on the same rows, and refuses a worse one.",
    pillar=True,
)
def _regression(repo: Repo, project: Project) -> Finding:
    found = [*quality.relative_gates(repo, project), *quality.relative_tests(repo)]
    found += quality.comparing_tools(repo, project)
    if found:
        return Finding("pass", "A model worse than the one before is stopped.", _shown(found), value=True)
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=_looked(repo))
    message = "No new model is compared with an earlier one."
    return Finding("fail", message, looked_at=_looked(repo), value=False)


@check(
    "Q6",
    "testing",
    "Is quality looked at by slices of the data?",
    looks_for="Metrics by group: fairlearn, AIF360, Aequitas, slicing of TFMA, own functions for slices.",
    why="A good mean hides groups for which the model is useless.",
    fix="Compute the metric for each value of two columns that matter, and set a bound for the worst.",
    effort="hours",
    priority="low",
    tools=("fairlearn", "tfma"),
    brings="",
)
def _slices(repo: Repo, project: Project) -> Finding:
    found = [at(module, call.line, f"{call.name}(…)") for module, call in calls(repo, *_FAIRNESS)]
    found += [
        at(module, one.line, f"def {one.name}")
        for module in repo.code()
        for one in module.functions
        if _SLICES.search(one.name.rpartition(".")[2]) and project.ml
    ]
    if found:
        return Finding("pass", "Model quality is measured by slices of the data.", _shown(found))
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=_looked(repo))
    return Finding(
        "fail", "Model quality is only measured as a whole, not by slices.", looked_at=_looked(repo)
    )
