"""What a command starts in this repository, and whether that trains a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from runtime_lib.audit.calling import Node, leads_to
from runtime_lib.audit.index.ci.shell import words as split
from runtime_lib.audit.index.model import Module, Repo, Text
from runtime_lib.audit.kinds import kind
from runtime_lib.audit.parts import examples, fits, tests, web
from runtime_lib.audit.queries import calls, once

__all__ = [
    "function_trains",
    "image_steps",
    "started_by",
    "starts_training",
    "trains",
]


# Calls that start training somewhere else, or by a framework's own command line.
_SUBMITS = (
    "*LightningCLI", "*.create_training_job", "*.start_pipeline_execution", "*.create_run_from_pipeline_func",
    "*.create_run_from_pipeline_package", "kfp*Client().run_pipeline", "*.create_hyper_parameter_tuning_job",
    "azureml*Experiment().submit", "*PublishedPipeline*.submit", "*.jobs.create_or_update", "*.jobs.run_now",
    "mlflow.projects.run", "mlflow.run", "*PipelineJob().submit", "*PipelineJob().run",
    "sagemaker*Pipeline().start", "*get_pipeline().start", "spacy.cli.train*", "*.AutoMLRun",
    "*.run_training",
)  # fmt: skip
# Trainers of language models that code hands over as a command.
_TRAINERS = re.compile(
    r"-m (?:axolotl\.cli\.train|llamafactory\.train)\b|^(?:axolotl|llamafactory-cli) train\b"
)
_LONGEST = 5000  # of a command, as far as it is looked at
# Commands that train by themselves, whatever the repository has.
_TRAIN = re.compile(
    r"^(rasa train|(python\S* -m )?spacy (train|project run)|yolo\b.*\btrain|autotrain\b"
    r"|mlflow run|mlflow recipes run"
    r"|kedro run|az ml run|aws sagemaker (create-training-job|start-pipeline-execution|create-auto-ml-job)"
    r"|gcloud (beta )?ai (custom-jobs|hp-tuning-jobs) create|gcloud ai-platform jobs submit training"
    r"|(vh|valohai) (exec\w*|pipeline) run|guild run|ludwig (train|experiment)|fastchat-train|axolotl train"
    r"|llamafactory-cli train|nnUNetv2_train|ploomber build)\b"
)
# Commands that start a pipeline of which the name has to say that it trains.
_START = re.compile(
    r"^(az ml (job|pipeline) |anyscale jobs? submit"
    r"|databricks (jobs run-now|runs submit|jobs submit|bundle run)"
    r"|dbx (launch|execute)"
    r"|kfp run|argo (submit|cron)|airflow (dags )?(trigger|test|backfill|trigger_dag)|zenml pipeline"
    r"|aws stepfunctions start-execution|sky (launch|exec)|polyaxon run|prefect deployment run"
    r"|pyflyte run|curl\b|gh workflow run|snakemake\b|nextflow run|dagster job|luigi\b|sbatch\b"
    r"|kubectl create job)"
)
_SAYS_TRAIN = re.compile(r"train|\bfit\b|learn", re.IGNORECASE)
_RUNNERS = re.compile(
    r"^(python[\d.]*|ipython\d?|torchrun|accelerate|deepspeed|spark-submit|horovodrun|mpirun|mpiexec"
    r"|papermill|jupyter|runipy|ray|modal|srun|pypy\d?|py|flow|streaming|time|coverage|Rscript|julia|sbatch)$"
)
# Modules that run another script.
_LAUNCHERS = re.compile(
    r"torch\.distributed|accelerate|deepspeed|coverage|horovod|papermill|jupyter|ipykernel"
)
_OTHERWISE = re.compile(
    r"^(-h|--help|--version|evaluate|eval|predict|serve|test|infer\w*|preprocess|deploy|lint)$"
)
# Metaflow's words to deliver a flow or to look at it.
_DESCRIBES = re.compile(r"\.py\b.* ((step-functions|argo-workflows|airflow) (create|terminate)|show|check)\b")
_BUILDS = re.compile(r"(docker|podman) (buildx )?build\b")
# Scripts that fit something to try, measure or show it.
_ASIDE = re.compile(r"(^|/)(check|bench|test|demo|example|profile|lint|smoke|validate)\w*\.(py|ipynb)$")
_R_TRAINS = re.compile(r"\b(train|fit|xgb\.train|randomForest|ranger|lm|glm|tune_grid|lgb\.train|gbm)\s*\(")


def trains(repo: Repo, command: str) -> str:
    """What in a command trains, as a sentence's end; "" if nothing does."""
    command = command[:_LONGEST]
    if _TRAIN.match(command):
        return "trains by itself"
    if re.match(r"(dvc (repro|exp|experiments)|mlops run)\b", command):
        return "runs the stages of dvc.yaml, which train" if _stages_train(repo) else ""
    if _START.match(command):
        named = _SAYS_TRAIN.search(command) or any(_file_trains(repo, word) for word in split(command))
        return "starts a pipeline that trains" if named else ""
    if _DESCRIBES.search(command):
        return ""
    if (text := _script(repo, command)) is not None:
        return next((one for line in text.lines if (one := trains(repo, _plain(line)))), "")
    if _BUILDS.match(command):
        return next((one for line in image_steps(repo, command) if (one := trains(repo, line))), "")
    words = split(command)
    if any(_OTHERWISE.match(word) for word in words[1:]) and not _SAYS_TRAIN.search(" ".join(words[2:])):
        return ""
    for path, function in started_by(repo, words):
        if path.endswith((".R", ".r")):
            lines = repo.texts[path].lines
            if any(_R_TRAINS.search(line) and not line.lstrip().startswith("#") for line in lines):
                return f"{path} trains"
        elif starts_training(repo, path) if not function else function_trains(repo, path, function):
            return f"{path} trains"
    return ""


def _script(repo: Repo, command: str) -> Text | None:
    """The shell script that a command starts."""
    found = re.match(r"(?:(?:bash|sh|source)\s+(?:-\w+\s+)*|\./)([\w./-]+\.sh)\b", command)
    name = found[1].removeprefix("./") if found else ""
    return next((one for path, one in repo.texts.items() if name and f"/{path}".endswith(f"/{name}")), None)


def _plain(line: str) -> str:
    """A line of a script as a command; one that starts another script ends here."""
    return "" if re.match(r"\s*(#|bash\b|sh\b|\./|source\b)", line) else line.strip()


def image_steps(repo: Repo, command: str) -> Iterator[str]:
    """The commands of the Dockerfile that `docker build …` builds."""
    named = re.search(r"(?:-f|--file)[ =](\S+)", command)
    folder = command.split()[-1].strip("./")
    name = named[1].removeprefix("./") if named else f"{folder}/Dockerfile".lstrip("/")
    text = repo.texts.get(name) or (None if named else repo.texts.get("Dockerfile"))
    for line in text.lines if text is not None else ():
        if found := re.match(r"\s*RUN\s+(.*)", line):
            yield from re.split(r"\s*(?:&&|;)\s*", found[1])


def _file_trains(repo: Repo, word: str) -> bool:
    """Whether a job's or pipeline's file has a command that trains."""
    if not word.endswith((".yml", ".yaml", ".json")):
        return False
    plain = word.rpartition("=")[2].removeprefix("@").removeprefix("./")
    for path, document in repo.documents.items():
        if path == plain or path.endswith("/" + plain):
            for one in document.entries:
                written = isinstance(one.value, str) and bool(
                    {"command", "cmd", "args", "entrypoint", "run"} & set(one.keys)
                )
                if written and trains(repo, str(one.value)):
                    return True
    return False


@once
def _stages_train(repo: Repo) -> bool:
    for path, document in repo.documents.items():
        if path.rpartition("/")[2] == "dvc.yaml":
            for one in document.entries:
                if one.keys[:1] == ("stages",) and "cmd" in one.keys and isinstance(one.value, str):
                    named = _SAYS_TRAIN.search(str(one.keys[1]))
                    if named or (not one.value.startswith("dvc") and trains(repo, one.value)):
                        return True
    return False


def started_by(repo: Repo, words: list[str]) -> Iterator[Node]:
    """Modules, notebooks and R scripts that a command starts; with a function for an installed command."""
    if not words:
        return
    if words[0] in repo.entry_points:
        yield from _entry(repo, words)
        return
    runner = _RUNNERS.match(words[0].rpartition("/")[2])
    if not runner and not words[0].endswith((".py", ".R")):
        return
    if words[0] == "jupyter" and "--execute" not in words and "execute" not in words:
        return
    if words[:2] == ["modal", "run"]:
        module = next((one.partition("::")[0] for one in words[2:] if not one.startswith("-")), "")
        if not module.endswith(".py"):
            yield from ((path, "") for path in _modules(repo, module) if module)
            return
    for at, word in enumerate(words):
        if word == "-m" and at + 1 < len(words) and not _LAUNCHERS.match(words[at + 1]):
            yield from ((path, "") for path in _modules(repo, words[at + 1]))
            return
        if word == "-c" and at + 1 < len(words) and runner:
            named = re.findall(r"(?:from|import)\s+([\w.]+)", words[at + 1])
            yield from ((path, "") for name in named for path in _modules(repo, name))
            return
        if re.search(r"\.(py|ipynb|R|r)$", word):
            yield from ((path, "") for path in _files(repo, word))
            return


def _entry(repo: Repo, words: list[str]) -> Iterator[Node]:
    name, _, function = repo.entry_points[words[0]].partition(":")
    for path in _modules(repo, name):
        own = {one.name for one in repo.modules[path].functions}
        commands = [word.replace("-", "_") for word in words[1:] if word.replace("-", "_") in own]
        yield from ((path, one) for one in commands or [function])


def _modules(repo: Repo, name: str) -> list[str]:
    tail = name.replace(".", "/")
    ends = (f"{tail}.py", f"{tail}/__main__.py", f"{tail}/__init__.py")
    found = [path for path in repo.modules if path in ends]
    return found or [path for path in repo.modules if path.endswith(tuple(f"/{end}" for end in ends))]


def _files(repo: Repo, word: str) -> list[str]:
    """Files that a word may mean: where a command is run is not known to the inch."""
    plain = re.sub(r"^(\$\{?\w+\}?|\$\(\w+\)|\.\.?)/", "", word)
    plain = str(PurePosixPath(plain)).lstrip("/")
    while plain.startswith("../"):
        plain = plain[3:]
    everything = (repo.modules, repo.notebooks, repo.texts)
    for found in everything:
        if plain in found:
            return [plain]
    return [path for found in everything for path in found if path.endswith("/" + plain)]


def starts_training(repo: Repo, path: str) -> bool:
    """Whether running this module or notebook trains a model, or has one trained elsewhere."""
    if path in tests(repo) or path in _shown(repo) or _ASIDE.search(path):
        return False
    if (path, "") in _leading(repo):
        return True
    # Work that is handed over in ways that cannot be followed; a service is started, not trained.
    return path in {one for one, _ in _trained_at(repo)} and path not in web(repo)


def function_trains(repo: Repo, path: str, function: str) -> bool:
    """Whether this function leads to training."""
    return (path, function) in _leading(repo)


@once
def _shown(repo: Repo) -> frozenset[str]:
    """Of a library, all that is not called after training: its scripts try it out."""
    if kind(repo)[0] != "library":
        return frozenset()
    return frozenset(one.path for one in repo.code() if not _SAYS_TRAIN.search(one.path)) | examples(repo)


@once
def _trained_at(repo: Repo) -> frozenset[Node]:
    """Functions that train or start training themselves."""
    found = {(module.path, call.function) for module, call in fits(repo) if call.live}
    aside = tests(repo)
    found |= {
        (module.path, call.function) for module, call in calls(repo, *_SUBMITS) if module.path not in aside
    }
    found |= {
        (module.path, _around(module, line))
        for module in repo.code()
        if module.path not in aside
        for line, text in module.strings
        if _TRAINERS.search(text)
    }
    return frozenset(found)


def _around(module: Module, line: int) -> str:
    """The innermost function in which a line stands."""
    inside = [one for one in module.functions if one.line <= line <= one.end]
    return max(inside, key=lambda one: one.line).name if inside else ""


@once
def _leading(repo: Repo) -> frozenset[Node]:
    return leads_to(repo, _trained_at(repo))
