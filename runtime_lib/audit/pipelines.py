"""Definitions of pipelines: the steps from data to a model, that a machine can read."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from runtime_lib.audit.calling import named_functions
from runtime_lib.audit.index.model import Call, Evidence, Module, Repo
from runtime_lib.audit.parts import tests
from runtime_lib.audit.pipeline_files import written
from runtime_lib.audit.queries import at, calls, once, reached
from runtime_lib.audit.running import function_trains, trains

__all__ = ["Definition", "commands_of", "definitions", "says_train"]

# What a step is called that trains: "train", "train_model", "retrain"; not "load_train_data".
_NAME = re.compile(
    r"^(re)?train(ing|er)?$|[-_ ](re)?train(ing|er)?$|^(Re)?[Tt]rain[A-Z]"
    r"|^(re)?train(ing)?[-_ ](?!test|val|da|set|df|ds|split|size|path|start|end|year|month|row|ratio"
    r"|frac|[xy]\b|label|image|feature|load|batch|step|epoch|file|table|url|uri|bucket|column|config|param|metric"
    r"|score|loss|acc)"
    r"|(model|classifier|regressor|pipeline)[-_ ]?(re)?train|^fit([-_ ]model\w*)?$|[-_ ]fit$"
    r"|Train(Model|ing|er|Step|Op|Job)|^tune|hyper_?param"
)
# Steps that do nothing.
_EMPTY = re.compile(r"(Empty|Dummy)Operator$")
# Keywords that hold a command or the name of what is run.
_COMMANDS: tuple[str, ...] = (
    "bash_command", "command", "commands", "cmds", "arguments", "args", "application", "script", "code",
    "source_directory", "script_name", "entry_point", "python_file", "notebook_path",
    "notebook_task", "py_file",
)  # fmt: skip
_NAMES = ("task_id", "name", "display_name", "step_name", "node_name", "job_name")


@dataclass(frozen=True)
class Definition:
    """`steps`: how many; `training`: where it trains; none: it does not."""

    tool: str
    steps: int
    evidence: Evidence
    training: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class _Tool:
    name: str
    flows: tuple[str, ...]
    steps: tuple[str, ...]
    trains: tuple[str, ...]


def says_train(name: str) -> bool:
    """Whether a step of this name trains, as far as names go."""
    plain = name.strip()
    # "Train Model" is a title, `TrainModel` a class.
    return bool(_NAME.search(plain.lower() if " " in plain else plain))


@cache
def _tools() -> tuple[_Tool, ...]:
    table = tomllib.loads(Path(__file__).with_name("pipelines.toml").read_text(encoding="utf-8"))
    return tuple(
        _Tool(name, tuple(one["flows"]), tuple(one["steps"]), tuple(one["trains"]))
        for name, one in table.items()
    )


@once
def definitions(repo: Repo) -> tuple[Definition, ...]:
    """All of them, in Python first; tests are left out."""
    found = [one for tool in _tools() for one in _of_tool(repo, tool)]
    found += [Definition(*one) for one in written(repo, says_train)]
    return tuple(found)


def _of_tool(repo: Repo, tool: _Tool) -> Iterator[Definition]:
    aside = tests(repo)
    flows = [one for one in _marked(repo, tool.flows) if one[0].path not in aside]
    steps = [one for one in _marked(repo, tool.steps) if one[0].path not in aside]
    if tool.name == "airflow" and not any(True for _ in flows):
        return
    for path in dict.fromkeys(module.path for module, _, _ in flows):
        module, line, what = next(one for one in flows if one[0].path == path)
        scope = reached(repo, [path])
        near = [one for one in steps if one[0].path in scope]
        if tool.name == "kedro":  # nodes of one pipeline each, put together by a registry
            near = steps
        count = max(len(near), _called(repo, module, tool))
        training = tuple(_training(repo, tool, module, scope))
        yield Definition(tool.name, count, at(module, line, what), training)


def _marked(repo: Repo, patterns: tuple[str, ...]) -> list[tuple[Module, int, str]]:
    """Calls, decorators and classes that match, as module, line and what is written."""
    found = [(module, one.line, f"{one.name}(…)") for module, one in calls(repo, *patterns)]
    seen = {(module.path, line) for module, line, _ in found}
    wanted = re.compile("|".join(re.escape(one).replace(r"\*", ".*") for one in patterns))
    for module, line, name, what in _named(repo):
        if wanted.fullmatch(name) and not any((module.path, line - n) in seen for n in range(6)):
            found.append((module, line, what))
    return found


@once
def _named(repo: Repo) -> list[tuple[Module, int, str, str]]:
    """Decorators and bases of classes, with what is written."""
    found = []
    for module in repo.code():
        for function in module.functions:
            found += [
                (module, function.line, name, f"@{name} {function.name}") for name in function.decorators
            ]
        for name, (bases, line) in module.classes.items():
            found += [(module, line, base, f"class {name}({base})") for base in bases]
    return found


def _called(repo: Repo, module: Module, tool: _Tool) -> int:
    """How many functions of the repository a flow calls: steps need no mark in some tools."""
    if tool.name not in ("prefect", "flyte", "zenml"):
        return 0
    flows = {one.name for one in module.functions if any(name.endswith("flow") for name in one.decorators)}
    inside = (one for one in module.calls if one.function in flows)
    return len({target for one in inside for target in named_functions(repo, module, one)})


def _training(repo: Repo, tool: _Tool, module: Module, scope: frozenset[str]) -> Iterator[Evidence]:
    """Where the pipeline of a module trains: in its functions, its steps' names or their commands."""
    for function in module.functions:
        if function_trains(repo, module.path, function.name):
            yield at(module, function.line, f"{function.name} trains")
    if function_trains(repo, module.path, ""):
        yield at(module, 1, "it leads to training")
    for other, call in calls(repo, *tool.trains, within=scope) if tool.trains else ():
        yield at(other, call.line, f"{call.name}(…)")
    for call in module.calls:
        if call.live and not _EMPTY.search(call.name) and (what := _says(repo, module, call)):
            yield at(module, call.line, what)
    for function in module.functions:
        if function.decorators and says_train(function.name.rpartition(".")[2]):
            yield at(module, function.line, f"step {function.name}")


def _says(repo: Repo, module: Module, call: Call) -> str:
    given = [one for one in commands_of(call) if one.strip()]
    if given and all(re.match(r"echo\b|sleep\b|true$", one) for one in given):
        return ""
    for command in commands_of(call):
        if trains(repo, command) or re.search(
            r"(^|[\W_])(re)?train(ing)?(_\w+)?\.(py|ipynb|R|sh)\b", command
        ):
            return command
    for key in _NAMES:
        name = call.keywords.get(key)
        if isinstance(name, str) and says_train(name):
            return f"{key}={name}"
    handed = (function for _, function in named_functions(repo, module, call))
    return next((one for one in handed if says_train(one.rpartition(".")[2])), "")


def commands_of(call: Call) -> Iterator[str]:
    """Commands and files that a step is given."""
    for key in _COMMANDS:
        value = call.keywords.get(key)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield " ".join(one for one in value if isinstance(one, str))
