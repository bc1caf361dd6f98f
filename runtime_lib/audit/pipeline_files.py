"""Pipelines that are written in YAML, JSON or in a language of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from runtime_lib.audit.index.ci.make import read_makefile
from runtime_lib.audit.index.ci.sources import Sources, listed, table
from runtime_lib.audit.index.model import Document, Evidence, Repo, Text
from runtime_lib.audit.queries import at
from runtime_lib.audit.running import trains

__all__ = ["written"]

Says = Callable[[str], bool]
# Tool, number of steps, where it stands, where it trains.
Found = tuple[str, int, Evidence, tuple[Evidence, ...]]
_ASIDE = re.compile(r"(^|/)(tests?|testdata|fixtures)/")
_RULE = re.compile(r"^\s*(?:rule|checkpoint)\s+(\w+)\s*:")
_PROCESS = re.compile(r"^\s*process\s+(\w+)\s*\{")


def written(repo: Repo, says: Says) -> Iterator[Found]:
    """Pipelines of all files; `says`: whether the name of a step says that it trains."""
    for path, document in repo.documents.items():
        if not _ASIDE.search(path) and document.kind in ("yaml", "json"):
            for read in (_dvc, _mlproject, _recipe, _azureml, _databricks, _states, _others):
                yield from read(repo, document, says)
    for path, text in repo.texts.items():
        if _ASIDE.search(path):
            continue
        name = path.rpartition("/")[2].lower()
        if name == "snakefile" or path.endswith(".smk"):
            yield from _rules(repo, text, says, "snakemake", _RULE)
        elif name == "_targets.r":
            yield from _targets(text)
        elif path.endswith(".nf"):
            yield from _rules(repo, text, says, "nextflow", _PROCESS)
        elif name in ("makefile", "gnumakefile"):
            yield from _make(repo, text)
    yield from _argo(repo, says)


def _steps(
    repo: Repo, document: Document, tool: str, steps: dict[str, tuple[Any, int]], says: Says
) -> Iterator[Found]:
    """A pipeline of steps by name, each with what it runs, as text or nested, and its line."""
    if not steps:
        return
    named = [name for name in steps if says(name)]
    # One command line may run all steps, each by its name: then the names tell more than the code.
    chosen = named or [
        name for name, (what, _) in steps.items() if any(_trains(repo, one) for one in _texts(what, 0))
    ]
    training = [at(document, steps[name][1], f"step {name}") for name in chosen]
    first = min(line for _, line in steps.values())
    yield tool, len(steps), at(document, first, f"{len(steps)} steps"), tuple(training)


def _trains(repo: Repo, text: str) -> bool:
    return trains(repo, text) != "" or _names_training(text)


def _names_training(text: str) -> bool:
    return bool(
        re.search(r"(^|[\W_])(re)?train(ing)?(_\w+)?(\.(py|ipynb|R|sh|sql)\b|$)|createTrainingJob", text)
    )


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth < 8:
        for one in value.values():
            yield from _texts(one, depth + 1)
    elif isinstance(value, list) and depth < 8:
        plain = [one for one in value if isinstance(one, str)]
        if plain:
            yield " ".join(plain)
        for one in value:
            if not isinstance(one, str):
                yield from _texts(one, depth + 1)


def _dvc(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    if document.path.rpartition("/")[2] not in ("dvc.yaml", "dvc.yml"):
        return
    steps = {}
    for name, one in table(table(document.data).get("stages")).items():
        inner = table(one).get("do", one)
        if command := table(inner).get("cmd"):
            steps[str(name)] = (command, document.line_of("stages", name))
    yield from _steps(repo, document, "dvc", steps, says)


def _mlproject(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    if document.path.rpartition("/")[2] != "MLproject":
        return
    points = table(table(document.data).get("entry_points"))
    steps = {
        str(name): (table(one).get("command"), document.line_of("entry_points", name))
        for name, one in points.items()
    }
    yield from _steps(repo, document, "mlflow", steps, says)


def _recipe(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    """Recipes of MLflow have their steps by their kind: ingest, split, transform, train, evaluate."""
    kind = table(document.data).get("recipe", table(document.data).get("template"))
    if re.match(r"(regression|classification)/v\d", str(kind)) and "steps" in table(document.data):
        shown = at(document, 1, f"recipe {kind}")
        yield "mlflow", 5, shown, (shown,)


def _azureml(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    data = table(document.data)
    named = "pipelineJob" in str(data.get("$schema", "")) or data.get("type") == "pipeline"
    described = data.get("jobs")
    if named and isinstance(described, dict):
        steps = {str(name): (one, document.line_of("jobs", name)) for name, one in described.items()}
        yield from _steps(repo, document, "azureml", steps, says)
    elif "component" in str(data.get("$schema", "")).lower() and data.get("type") == "pipeline":
        steps = {str(name): (one, 1) for name, one in table(data.get("jobs")).items()}
        yield from _steps(repo, document, "azureml", steps, says)


def _databricks(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    """Jobs of a bundle, also under its targets, and of dbx."""
    data = table(document.data)
    many: list[tuple[tuple[str, ...], Any]] = [(("resources",), data.get("resources"))]
    for name, one in table(data.get("targets")).items():
        many.append((("targets", str(name), "resources"), table(one).get("resources")))
    for keys, resources in many:
        for name, job in table(table(resources).get("jobs")).items():
            tasks = [table(one) for one in listed(table(job).get("tasks"))]
            steps = {}
            for number, one in enumerate(tasks):
                line = document.line_of(*keys, "jobs", name, "tasks", number)
                steps[str(one.get("task_key", number))] = (one, line)
            yield from _steps(repo, document, "databricks", steps, says)
    for place, flow in ((place, table(one)) for place, one in table(data.get("environments")).items()):
        for job in listed(flow.get("workflows", flow.get("jobs"))):
            tasks = [table(one) for one in listed(table(job).get("tasks"))]
            line = document.line_of("environments", place)
            steps = {str(one.get("task_key", number)): (one, line) for number, one in enumerate(tasks)}
            yield from _steps(repo, document, "databricks", steps, says)


def _states(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    """State machines of Step Functions: as files, and in templates of CloudFormation and Serverless."""
    for keys, machine in _machines(document.data, (), 0):
        states = table(machine.get("States"))
        steps = {str(name): (one, document.line_of(*keys, "States", name)) for name, one in states.items()}
        yield from _steps(repo, document, "stepfunctions", steps, says)


def _machines(
    value: Any, keys: tuple[Any, ...], depth: int
) -> Iterator[tuple[tuple[Any, ...], dict[Any, Any]]]:
    if isinstance(value, dict) and depth < 12:
        if "StartAt" in value and isinstance(value.get("States"), dict):
            yield keys, value
            return
        for key, one in value.items():
            yield from _machines(one, (*keys, key), depth + 1)
    elif isinstance(value, list) and depth < 12 and len(value) < 200:
        for number, one in enumerate(value):
            yield from _machines(one, (*keys, number), depth + 1)


def _others(repo: Repo, document: Document, says: Says) -> Iterator[Found]:
    """Ploomber, Valohai, pipelines of Kubeflow as compiled."""
    name, data = document.path.rpartition("/")[2], table(document.data)
    if re.match(r"pipeline.*\.ya?ml$", name) and isinstance(data.get("tasks"), list):
        tasks = [table(one) for one in data["tasks"] if "source" in table(one)]
        steps = {str(one.get("name", one["source"])): (one, document.line_of("tasks")) for one in tasks}
        yield from _steps(repo, document, "ploomber", steps, says)
    if name in ("valohai.yaml", "valohai.yml"):
        parts = [table(table(one).get("step")) for one in listed(document.data) if "step" in table(one)]
        steps = {str(one.get("name", number)): (one, 1) for number, one in enumerate(parts)}
        yield from _steps(repo, document, "valohai", steps, says)
    compiled = table(data.get("pipelineSpec", data))
    if "deploymentSpec" in compiled and "root" in compiled:
        root = table(table(table(compiled.get("root")).get("dag")).get("tasks"))
        steps = {str(one): (task, 1) for one, task in root.items()}
        yield from _steps(repo, document, "kubeflow", steps, says)


def _rules(repo: Repo, text: Text, says: Says, tool: str, pattern: re.Pattern[str]) -> Iterator[Found]:
    """Rules of Snakemake or processes of Nextflow."""
    names = [(found[1], line) for line, one in enumerate(text.lines, 1) if (found := pattern.match(one))]
    names = [(name, line) for name, line in names if name != "all"]
    if not names:
        return
    training = [at(text, line, f"step {name}") for name, line in names if says(name)]
    for line, one in enumerate(text.lines, 1):
        plain = re.sub(r"^\s*(?:\w+:)?\s*", "", one).strip().strip("\"',").strip()
        if not plain.startswith("#") and (trains(repo, plain) or _names_training(plain)):
            training.append(at(text, line, plain))
    yield tool, len(names), at(text, names[0][1], f"{len(names)} steps"), tuple(training)


_TARGET = re.compile(r"\btar_target\(\s*(\w+)\s*(?:,|$)")
_FITS = re.compile(r"\b(?:\w+_)?(?:fit|train)\w*\(|\b(?:lm|glm|randomForest|xgb\.train|ranger|xgboost)\(")


def _targets(text: Text) -> Iterator[Found]:
    """Targets of R's package of that name."""
    plain = [(number, line) for number, line in enumerate(text.lines, 1) if not line.lstrip().startswith("#")]
    named = [(found[1], number) for number, line in plain for found in _TARGET.finditer(line)]
    training = tuple(at(text, number, line) for number, line in plain if _FITS.search(line))
    if named:
        yield "targets", len(named), at(text, named[0][1], f"{len(named)} steps"), training


def _make(repo: Repo, text: Text) -> Iterator[Found]:
    """Targets of which one trains and needs another that runs something, as a pipeline from data has."""
    made = read_makefile(text, Sources(repo.texts))
    training = {}
    for target, recipe in made.recipes.items():
        for line, path, number in recipe:
            if path == text.path and trains(repo, line.lstrip("@-+").replace("$(PYTHON)", "python")):
                training[target] = at(text, number, line)
    for target, shown in training.items():
        below = _below(made.needs, target)
        steps = [one for one in below if any(_is_step(line) for line, _, _ in made.recipes.get(one, ()))]
        if steps:
            yield "make", len(steps) + 1, shown, (shown,)
            return


def _below(needs: dict[str, list[str]], target: str) -> set[str]:
    done: set[str] = set()
    todo = list(needs.get(target, ()))
    while todo:
        one = todo.pop()
        if one not in done:
            done.add(one)
            todo += needs.get(one, ())
    return done - {target}


def _is_step(line: str) -> bool:
    """It works on data: no installation, no cleaning, no folders."""
    return bool(
        re.search(r"python|\$\(PY|\.py\b|Rscript|wget|curl|dvc|kaggle|sql|\.sh\b", line)
    ) and not re.search(r"\b(pip|conda|venv|poetry install|uv sync|mkdir|test_environment)\b", line)


def _argo(repo: Repo, says: Says) -> Iterator[Found]:
    for pipeline in repo.ci:
        if pipeline.provider != "argo":
            continue
        document = repo.documents[pipeline.path]
        named = [one for one in document.entries if one.keys[-1:] == ("name",) and "templates" in one.keys]
        parts = [one for one in named if one.keys[-4:-3] == ("steps",) or one.keys[-3:-2] == ("tasks",)]
        own = [one for one in named if one.keys[-3:-2] == ("templates",)]
        commands = [one for job in pipeline.jobs for one in job.commands]
        training = [
            at(document, one.line, f"step {one.value}") for one in parts + own if says(str(one.value))
        ]
        training += [at(document, one.line, one.text) for one in commands if trains(repo, one.text)]
        steps = max(len(parts), len(commands))
        if steps:
            yield "argo", steps, at(document, own[0].line if own else 1, f"{steps} steps"), tuple(training)
