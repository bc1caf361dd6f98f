"""Tests that run several parts together: a service, a command line, a pipeline, training from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Call, Evidence, Module, Repo
from runtime_lib.audit.queries import at, calls, commands, once
from runtime_lib.audit.testcases import Case, cases, is_own, runs_script

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["integration"]

_SERVICE = re.compile(
    r"(?:^|\.)(?:\w*TestClient|test_client|APIClient|AppTest\.from_\w+|testing\.create_client)(?:\(\)\.\w+)?$"
    r"|^(?:django\.test\.(?:Client|RequestFactory)|testcontainers\..*|docker\..*\.run|httpx\.ASGITransport)$"
)
_ASKS = re.compile(r"^(?:requests|httpx|urllib\.request|aiohttp)\b.*\.(?:get|post|put|urlopen|request)$")
_LOCAL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])")
_COMMAND = re.compile(r"CliRunner\(\)\.invoke$|^script_runner\.|^\?\.(?:invoke|run_script)$")
_PIPELINE = re.compile(
    r"(?:KedroSession.*|SequentialRunner\(\)|ParallelRunner\(\)|LocalDagRunner\(\))\.run$|^luigi\.build$"
    r"|^papermill\.execute_notebook$|^nbclient\.|ExecutePreprocessor\(\)\.preprocess$|^testbook\.testbook$"
    r"|^dagster\.(?:materialize\w*|execute_\w+)$|\.execute_in_process$|^dvc\.(?:repo|api)\b.*\.reproduce$|\bdag\w*\.test$|DagBag\(\)\.get_dag\(\)\.test$|^metaflow\.Runner"
)
_STARTS = re.compile(
    r"(?:^|\.)(?:main|train|training|run_training|run_train|run_pipeline|run_experiment|run_\w*pipeline|cli"
    r"|train_pipeline|training_pipeline|train_and_\w+|execute_pipeline|run_workflow|start_training|run_all"
    r"|end_to_end|e2e|main_\w*train\w*|train_main)$"
)
_COMMANDS = re.compile(r"\.command$|^hydra\.main$")
_FLOWS = re.compile(
    r"^(?:prefect|zenml|metaflow|dagster|airflow|flytekit|kfp)\b.*(?:flow|pipeline|job|dag|workflow)$"
)
# Methods that a service of a framework answers by, without a client between.
_ANSWERS = re.compile(r"^bentoml\.(?:api|task)$")
_PLACE = re.compile(
    r"integration|end_?to_?end|end2end|e2e|functional_test|system_test|acceptance", re.IGNORECASE
)
_MODEL = re.compile(r"train|fit|predict|infer|evaluat", re.IGNORECASE)
_MINOR = re.compile(
    r"(?:^|/)(?:utils?|config|configs?|constants?|settings|logger|logging|helpers?|__init__|schemas?)\.py$"
)
_NOTEBOOKS = re.compile(r"--nbmake|--nbval|\btreon\b")
_PARTS = 3
_CHAIN = "several parts"


def integration(repo: Repo, project: Project) -> list[Evidence]:
    """What shows tests of several parts; `what` names the kind: "service", "command line", "pipeline" …"""
    found = _in_tests(repo)
    if project.kind == "library":
        # Tests of a library use several of its modules as they please.
        found = [one for one in found if not one.what.startswith(_CHAIN)]
    return found or [*_in_scripts(repo), *_in_ci(repo)]


def _in_scripts(repo: Repo) -> Iterator[Evidence]:
    """Scripts that ask a running service and assert on its answer, without a function."""
    for module, call in calls(repo, "requests.*", "httpx.*", "boto3.*", within=set(repo.modules)):
        local = any(
            _LOCAL.match(one) for one in (*call.args, *call.keywords.values()) if isinstance(one, str)
        )
        name = PurePosixPath(module.path).name
        if module.asserts and local and ("test" in name or _PLACE.search(module.path)):
            yield at(module, call.line, f"service: {call.name}")


@once
def _in_tests(repo: Repo) -> list[Evidence]:
    return [one for case in cases(repo) for one in _shown(repo, case)]


def _shown(repo: Repo, case: Case) -> Iterator[Evidence]:
    if not case.own and not case.calls:
        return
    for module, call in case.calls:
        kind = _kind(repo, case, module, call)
        if kind:
            yield at(case.module, case.function.line, f"{kind}: {case.function.name} calls {call.name}")
            return
    if case.own and (_PLACE.search(case.module.path) or any(map(_PLACE.search, case.function.decorators))):
        yield at(case.module, case.function.line, f"integration: {case.function.name}")
    elif case.is_real and _trains(case):
        yield at(case.module, case.function.line, f"training: {case.function.name}")
    elif case.is_real and _is_chain(case):
        yield at(case.module, case.function.line, f"{_CHAIN}: {case.function.name}")


def _kind(repo: Repo, case: Case, module: Module, call: Call) -> str:
    if _SERVICE.search(call.name) and (case.own or case.asserts):
        return "service"
    if _ASKS.search(call.name) and any(_LOCAL.match(one) for one in call.args if isinstance(one, str)):
        return "service"
    if _COMMAND.search(call.name) and (case.own or call.name.startswith("?")) and (case.own or case.asserts):
        return "command line" if case.own else ""
    if runs_script(repo, call):
        return "command line"
    if call.name.startswith("subprocess.") and _bakes(case):
        return "pipeline"
    if _PIPELINE.search(call.name):
        return "pipeline"
    paths = is_own(repo, call.name, module)
    if paths and case.asserts:
        return _started(repo, call, paths)
    return ""


def _bakes(case: Case) -> bool:
    """Whether a project is made of the template, before something is run in it."""
    return any(re.search(r"\.bake$|^copier\.|^cookiecutter\.", call.name) for _, call in case.calls)


def _started(repo: Repo, call: Call, paths: list[str]) -> str:
    """Own code that is a whole: a flow, a pipeline, the training."""
    last = call.name.rpartition(".")[2]
    for path in paths:
        for function in repo.modules[path].functions:
            if function.name.startswith(f"{last}.") and any(map(_ANSWERS.search, function.decorators)):
                return "service"
            if function.name == last and any(map(_FLOWS.search, function.decorators)):
                return "pipeline"
            if function.name == last and any(map(_COMMANDS.search, function.decorators)):
                # `train` of a command line, called as a function, is all of it.
                return "training"
    if not _STARTS.search(call.name) or "()." in call.name:
        return ""
    if last in ("main", "cli"):
        return "command line"
    return "training"


def _trains(case: Case) -> bool:
    """Whether a test trains with a trainer, and looks at what comes of it."""
    ends = {call.name.rpartition(".")[2] for _, call in case.calls if "()." in call.name}
    return "train" in ends and bool(ends & {"evaluate", "predict", "test", "save"})


def _is_chain(case: Case) -> bool:
    """Whether a test itself calls parts of several modules, one of which has to do with the model."""
    parts = {path for path in case.direct if not _MINOR.search(path)}
    names = [
        call.name for its, call in case.calls if its is case.module and call.function == case.function.name
    ]
    return len(parts) >= _PARTS and any(_MODEL.search(name.rpartition(".")[2]) for name in names)


def _in_ci(repo: Repo) -> Iterator[Evidence]:
    """A service that CI starts and asks, notebooks that it runs as tests."""
    for _, job, one in commands(repo, r"\bcurl\b|--nb\w+|\btreon\b"):
        starts = any(re.search(r"docker|uvicorn|gunicorn|flask run|serve", its.text) for its in job.commands)
        if "curl" in one.text and _LOCAL.search(_with_scheme(one.text)) and starts:
            yield at(one.path, one.line, f"service: {one.text}")
        elif _NOTEBOOKS.search(one.text):
            yield at(one.path, one.line, f"pipeline: {one.text}")


def _with_scheme(text: str) -> str:
    return re.sub(r"(?<![/\w.])(localhost|127\.0\.0\.1|0\.0\.0\.0)(?=[:/])", r"http://\1", text)
