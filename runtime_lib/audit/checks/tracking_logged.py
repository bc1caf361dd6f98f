"""Tracking: what is recorded of a run, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import UNKNOWN, Call, Evidence, Module, Repo
from runtime_lib.audit.queries import at, calls, entries, files
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.switches import argument
from runtime_lib.audit.trackers import looked, scope, uses

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_TOOLS: tuple[str, ...] = ("mlflow", "wandb", "tensorboard")
_BRINGS = "Projects of this template (`copier copy`) have MLflow on: parameters, figures, data, commit"
_HOSTED = {"wandb", "neptune", "comet", "clearml", "azureml", "vertex", "sagemaker", "swanlab", "polyaxon"}
_PARAMETERS: tuple[str, ...] = (
    "*.log_param*",
    "*.log_hyperparams",
    "*.log_parameters",
    "*.log_params",
    "*autolog",
    "*.add_hparams",
)
_PARAMETERS += ("*.save_hyperparameters", "*.config.update", "clearml.Task.init().connect*", "*.log_input*")
_METRICS: tuple[str, ...] = (
    "*.log_metric*",
    "wandb*.log",
    "*.add_scalar*",
    "*autolog",
    "tensorflow*.summary.scalar",
    "*.report_scalar",
)
_METRICS += (
    "*.log_scalar",
    "*Logger",
    "*WandbCallback",
    "*MetricsLogger",
    "*.callbacks.TensorBoard",
    "aim.Run().track",
)
_METRICS += (
    "*TrainingArguments",
    "*.log_dict",
    "swanlab.log",
    "trackio.log",
    "neptune*.append",
    "mlflow.evaluate",
)
_ARTIFACTS: tuple[str, ...] = (
    "*.log_artifact*",
    "*.log_model",
    "wandb.save",
    "wandb.Artifact",
    "*autolog",
    "*.upload_artifact*",
)
_ARTIFACTS += (
    "clearml.OutputModel*",
    "*.log_asset*",
    "neptune*.upload*",
    "*.track_files",
    "mlflow*.save_model",
)
_DATA: tuple[str, ...] = (
    "*.log_input",
    "*.use_artifact",
    "*.log_inputs",
    "mlflow.data.*",
    "wandb*.add_reference",
    "clearml.Dataset.*",
)
_DATA += ("dvc.api.get_url", "dvc.api.get_rev", "*.track_files")
_STORES: tuple[str, ...] = (
    "mlruns/*",
    "*/mlruns/*",
    "wandb/run-*",
    "*/wandb/run-*",
    "wandb/offline-run-*",
    "*.tfevents.*",
    "*mlflow.db",
)


# The training of this library's projects records all of it.
_LIBRARY = ("runtime_lib.training.train.train",)


def _logged(repo: Repo, project: Project, patterns: tuple[str, ...]) -> list[tuple[Module, Call]]:
    """Calls in modules that use a tracker, and in those of the training beside them."""
    places = {one.evidence.path for one in uses(repo, project) if one.tool} | scope(repo, project)
    return list(calls(repo, *patterns, *_LIBRARY, within=places))


def _asked(repo: Repo, project: Project, found: list[Evidence], what: str) -> Finding:
    if not [one for one in uses(repo, project) if one.tool]:
        verdict = "fail" if project.ml else "n/a"
        return Finding(verdict, "No experiment tracker is called.", looked_at=looked(repo))  # type: ignore[arg-type]
    if found:
        return Finding("pass", f"A run's {what} are logged.", tuple(found[:5]))
    return Finding("fail", f"A run's {what} are not logged.", looked_at=looked(repo))


def _seen(found: list[tuple[Module, Call]]) -> list[Evidence]:
    return [at(module, call.line, f"{call.name}(…)") for module, call in found]


@check(
    "T3",
    "tracking",
    "Are the parameters of a run logged?",
    looks_for="`log_params`, autologging, `wandb.init(config=…)`, hyperparameters of a logger.",
    why="A metric without its parameters cannot be repeated.",
    fix="Log the whole configuration once at the start of a run.",
    effort="minutes",
    priority="medium",
    tools=_TOOLS,
    brings=_BRINGS,
)
def _parameters(repo: Repo, project: Project) -> Finding:
    found = _seen(_logged(repo, project, _PARAMETERS))
    found += [
        at(module, call.line, f"{call.name}(config=…)")
        for module, call in _logged(
            repo, project, ("wandb.init", "*WandbLogger", "trackio.init", "swanlab.init")
        )
        if "config" in call.keywords
    ]
    found += [one.evidence for one in uses(repo, project) if "report_to" in one.evidence.what and one.on]
    found += [one.evidence for one in uses(repo, project) if "kedro" in one.evidence.what and one.on]
    return _asked(repo, project, found, "parameters")


@check(
    "T4",
    "tracking",
    "Are metrics of a run logged?",
    looks_for="`log_metric`, `wandb.log`, `add_scalar`, autologging, loggers and callbacks of frameworks.",
    why="Runs are compared by their metrics; printed ones are gone.",
    fix="Log what is printed: `mlflow.log_metrics(metrics)`.",
    effort="minutes",
    priority="medium",
    tools=_TOOLS,
    brings=_BRINGS,
)
def _metrics(repo: Repo, project: Project) -> Finding:
    found = _seen(_logged(repo, project, _METRICS))
    found += [one.evidence for one in uses(repo, project) if one.on and one.evidence.path in repo.documents]
    return _asked(repo, project, found, "metrics")


@check(
    "T5",
    "tracking",
    "Are models and other results of a run kept with it?",
    looks_for="`log_model`, `log_artifact`, `wandb.save`, artifacts, autologging of a framework.",
    why="A model file on a laptop has lost its run.",
    fix="Log the model in the run that trained it.",
    effort="minutes",
    priority="low",
    tools=_TOOLS,
    brings=_BRINGS,
)
def _artifacts(repo: Repo, project: Project) -> Finding:
    found = _seen(_logged(repo, project, _ARTIFACTS))
    loggers = _logged(repo, project, ("*WandbLogger", "*MLFlowLogger", "*NeptuneLogger"))
    found += _seen([one for one in loggers if one[1].keywords.get("log_model") not in (None, False)])
    return _asked(repo, project, found, "artifacts")


@check(
    "T6",
    "tracking",
    "Are runs kept where the team finds them?",
    looks_for="A hosted tracker, a server as tracking URI; not a folder of runs in git, nor a local store.",
    why="Runs in a folder are seen by one person, and in git they grow for ever.",
    fix="Set MLFLOW_TRACKING_URI to a server, and put mlruns/ into .gitignore.",
    effort="hours",
    priority="medium",
    false_answers="A server that only the environment names is not seen.",
    tools=("mlflow", "wandb"),
    brings="In a project of this template (`copier copy`) `tracking.uri` in mlops.toml names the server",
)
def _shared(repo: Repo, project: Project) -> Finding:
    used = [one for one in uses(repo, project) if one.tool and one.on]
    if not used:
        verdict = "fail" if project.ml else "n/a"
        return Finding(verdict, "No experiment tracker is on.", looked_at=looked(repo))  # type: ignore[arg-type]
    if stored := files(repo, *_STORES):
        return Finding("fail", "Runs are stored in git.", (at(stored[0], 1, f"{len(stored)} files of runs"),))
    hosted = [one for one in used if one.tool in _HOSTED]
    if hosted:
        return Finding("pass", f"Runs go to {hosted[0].tool}, which is hosted.", (hosted[0].evidence,))
    servers, local = _servers(repo)
    if servers:
        return Finding("pass", "Runs go to a server.", tuple(servers[:3]))
    if local:
        return Finding("partial", "Runs go to a server on the same machine.", tuple(local[:3]))
    return Finding("fail", "Runs stay on the machine that trains.", (used[0].evidence,), looked(repo))


def _servers(repo: Repo) -> tuple[list[Evidence], list[Evidence]]:
    """Where a server is named, elsewhere and on the same machine."""
    far: list[Evidence] = []
    near: list[Evidence] = []
    for what, value in _addresses(repo):
        if value is not UNKNOWN and not re.match(
            r"https?://|databricks|azureml:|arn:|gs://|s3://", str(value)
        ):
            continue
        is_near = bool(re.match(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)", str(value)))
        (near if is_near else far).append(what)
    return far, near


def _addresses(repo: Repo) -> Iterator[tuple[Evidence, object]]:
    for module, call in calls(repo, "mlflow.set_tracking_uri", "*MLFlowLogger", "aim.Run"):
        given = argument(repo, module, call, "tracking_uri") or argument(repo, module, call, "uri", 0)
        name = call.names.get("0", "") + call.names.get("tracking_uri", "")
        values = given or (
            [UNKNOWN] if "environ" in name or "getenv" in name or "secret" in name.lower() else []
        )
        yield from ((at(module, call.line, f"{call.name}(…)"), value) for value in values)
    for document, entry in entries(repo, "*MLFLOW_TRACKING_URI", "*mlflow_tracking_uri"):
        value = UNKNOWN if re.search(r"\$\{|secrets\.", str(entry.value)) else entry.value
        yield at(document, entry.line, f"{entry.keys[-1]}: {entry.value}"), value
    for pipeline in repo.ci:
        for job in pipeline.jobs:
            if "MLFLOW_TRACKING_URI" in job.environment:
                yield at(pipeline, job.line, "MLFLOW_TRACKING_URI"), UNKNOWN


@check(
    "T7",
    "tracking",
    "Does a run know its code and its data?",
    looks_for="The commit, which MLflow and hosted trackers take by themselves, and a version of the data: "
    "inputs that are logged, artifacts that are used, revisions of DVC.",
    why="A model can only be rebuilt from the data and code that made it.",
    fix="Log the version of the data beside the commit: `mlflow.log_input`, or the hash in dvc.lock.",
    effort="hours",
    priority="medium",
    tools=("mlflow", "wandb", "dvc"),
    brings=_BRINGS,
)
def _versions(repo: Repo, project: Project) -> Finding:
    used = [one for one in uses(repo, project) if one.tool and one.on]
    if not used:
        verdict = "fail" if project.ml else "n/a"
        return Finding(verdict, "No experiment tracker is on.", looked_at=looked(repo))  # type: ignore[arg-type]
    data = _seen(_logged(repo, project, _DATA))
    if data:
        return Finding("pass", "Runs record which data they used.", tuple(data[:5]))
    taken = [one for one in used if one.tool in _HOSTED | {"mlflow", "dvclive", "aim", "sacred"}]
    if taken and repo.git:
        return Finding(
            "partial",
            f"Runs in {taken[0].tool} record the commit, but not the version of the data.",
            (taken[0].evidence,),
        )
    return Finding(
        "fail",
        "Runs record neither the commit nor the version of the data.",
        (used[0].evidence,),
        looked(repo),
    )
