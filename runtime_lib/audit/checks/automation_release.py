"""A8 and A9: what stands between a new model and those who use it, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from runtime_lib.audit.index.model import Branch, Evidence, Module, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, commands, entries, reached
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.tools import used

__all__: list[str] = []

_GATES = (
    "sagemaker.workflow*ConditionStep", "tfx.*Evaluator", "tensorflow_model_analysis*.EvalConfig",
    "kfp.*Condition", "kfp.dsl.If", "mlflow*.validate_evaluation_results", "mlflow.models.MetricThreshold",
    "*.BranchPythonOperator", "*.ShortCircuitOperator", "runtime_lib.pipeline.airflow.pipeline_dag",
)  # fmt: skip
_METRIC = re.compile(
    r"acc(uracy)?|f1|auc|precision|recall|rmse|mse|mae|\br2\b|score|metric|loss|threshold|baseline|champion"
    r"|production|better",
    re.IGNORECASE,
)
_COMPARES = re.compile(r"[<>]")
_DEPLOYS = (
    "*.deploy", "*.create_endpoint", "*.push_to_hub", "*.transition_model_version_stage",
    "*.set_registered_model_alias",
)  # fmt: skip


@check(
    "A8",
    "automation",
    "Does a new model have to be good enough before it is registered or deployed?",
    looks_for="A comparison of a metric, on by default, that stops or branches beside registration or "
    "deployment: conditions of pipelines, evaluators, thresholds.",
    why="Without a gate a bad training run reaches users by itself.",
    false_answers="A gate in a service of a platform is not seen.",
    fix="Compare the new model with the one in use, and stop if it is worse.",
    effort="hours",
    priority="high",
    tools=("mlflow", "sagemaker conditions", "tfx evaluator"),
    brings="`mlops promote` compares a model with the one in use before it takes its place.",
)
def gated(repo: Repo, project: Project) -> Finding:
    shown = tuple(islice(dict.fromkeys(_gates(repo, project)), 5))
    looked = (f"{len(repo.modules):,} modules", f"{len(repo.ci)} CI configurations")
    if shown:
        return Finding("pass", "A new model has to pass a quality gate.", shown, value=True)
    if not project.ml:
        return Finding("n/a", "Nothing here trains or predicts.", looked_at=looked, value=False)
    return Finding(
        "fail",
        "No quality gate checks a new model before it is registered or deployed.",
        looked_at=looked,
        value=False,
    )


def _gates(repo: Repo, project: Project) -> Iterator[Evidence]:
    live = set(repo.modules) - project.tests
    yield from (at(module, one.line, f"{one.name}(…)") for module, one in calls(repo, *_GATES, within=live))
    registers = {one.path for _, one in used(repo, "registry", by=("calls",), within=live)}
    registers |= {module.path for module, _ in calls(repo, *_DEPLOYS, within=live)}
    for path in sorted(registers & set(repo.modules)):
        module = repo.modules[path]
        yield from (at(module, one.line, one.test) for one in module.branches if _is_gate(module, one))
    yield from (at(one.path, one.line, one.text) for _, _, one in commands(repo, r"\bmlops promote\b"))


def _is_gate(module: Module, branch: Branch) -> bool:
    """A comparison of metrics, which either stops or holds the registration."""
    if not (branch.live and _COMPARES.search(branch.test) and _METRIC.search(branch.test)):
        return False
    inside = [one for one in module.calls if branch.line <= one.line <= branch.end]
    wanted = re.compile(r"register|deploy|promot|transition|alias|push|create_model")
    registers = any(wanted.search(one.name) for one in inside)
    return branch.stops or branch.leaves or registers


@check(
    "A9",
    "automation",
    "Can a release be undone, or be given to a few first?",
    looks_for="Canary or blue-green deployment, shares of traffic, automatic rollback, a job or command that "
    "goes back.",
    why="The fastest repair of a bad release is the one before it.",
    false_answers="Rollback by hand in a console leaves no file.",
    fix="Keep the model before, and add the job that goes back to it.",
    effort="days",
    priority="low",
    tools=("argo rollouts", "kserve", "helm --atomic", "istio"),
    brings="`mlops rollback` gives all traffic back; `mlops deploy` releases as a canary.",
)
def undone(repo: Repo, project: Project) -> Finding:
    shown = tuple(islice(dict.fromkeys(_ways_back(repo)), 5))
    looked = (f"{len(repo.documents):,} configuration files", f"{len(repo.ci)} CI configurations")
    if shown:
        return Finding("pass", "A release can be rolled back or tried on a few first.", shown, value=True)
    if not project.serves:
        return Finding("n/a", "Nothing here answers predictions.", looked_at=looked, value=False)
    return Finding("fail", "There is no automatic way back from a release.", looked_at=looked, value=False)


_BACK = r"helm rollback|--atomic\b|rollout undo|update-traffic|--traffic\b|mlops rollback"


def _ways_back(repo: Repo) -> Iterator[Evidence]:
    yield from (at(one.path, one.line, one.text) for _, _, one in commands(repo, _BACK))
    keys = (
        "*canaryTrafficPercent",
        "*canary.steps.*",
        "*BlueGreen*",
        "*AutoRollbackConfiguration*",
        "*blueGreen.*",
    )
    for document, entry in entries(repo, *keys):
        yield at(document, entry.line, f"{entry.keys[-1]}: {entry.value}")
    for document, entry in entries(repo, "*kind"):
        if entry.value in ("Rollout", "Canary"):
            yield at(document, entry.line, f"kind: {entry.value}")
    for document, entry in entries(repo, "*.weight", "*.traffic.*", within="*.y*ml"):
        if isinstance(entry.value, int) and 0 < entry.value < 100 and {"http", "traffic"} & set(entry.keys):
            yield at(document, entry.line, f"{entry.keys[-1]}: {entry.value}")
    back = [one for one in repo.modules.values() for each in one.functions if "rollback" in each.name.lower()]
    scripts = {one.path for one in back} & reached(repo, (one.path for one in back if one.is_script))
    yield from (at(path, 1, "rollback") for path in sorted(scripts))
