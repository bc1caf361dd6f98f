"""Versioning: of code, data, models and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime_lib.audit.configs import parameter_files, read_by_training
from runtime_lib.audit.datasets import own_code, versioned_by
from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.queries import at, calls, lines
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.switches import argument, is_on
from runtime_lib.audit.tools import used

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_BRINGS = "Projects of this template (`copier copy`) have DVC, a registry and parameters in files"


def _no_ml(repo: Repo) -> Finding:
    return Finding("n/a", "Nothing here trains a model.", looked_at=(f"{len(repo.modules)} modules",))


@check(
    "V1",
    "versioning",
    "Is the code in git?",
    looks_for="A repository of git in the folder.",
    why="Without history nobody knows which code gave which model, and nothing can be taken back.",
    fix="Run `git init`, write a `.gitignore`, and make a first commit.",
    effort="minutes",
    priority="critical",
    false_answers="An export of a repository has no `.git`, although its code is versioned elsewhere.",
    tools=("git",),
    pillar=True,
)
def _git(repo: Repo, project: Project) -> Finding:
    if not repo.git:
        return Finding("fail", "The folder is not a git repository.", looked_at=(".git in the folder",))
    best = (".gitignore", "README.md", "pyproject.toml", "requirements.txt")
    path = next((one for one in best if one in repo.files), next(iter(repo.files), None))
    if path is None:
        return Finding("fail", "The git repository tracks no file.", looked_at=("files that git tracks",))
    commit = f" at {repo.commit[:10]}" if repo.commit else ""
    return Finding("pass", f"Git tracks {len(repo.files):,} files{commit}.", (at(path, 1, "tracked"),))


@check(
    "V2",
    "versioning",
    "Are the data versioned by a tool?",
    looks_for="Data that DVC or Git LFS tracks, lakeFS, Delta with a pinned version, a cloud's registry of "
    "datasets; a CSV in git, an import alone and words in a README are none.",
    why="A model can only be made again, or judged, with the data it was made of.",
    fix="Keep the data in a versioned store; with DVC, `dvc add data/…` and a remote, and pointers in git.",
    effort="hours",
    priority="high",
    false_answers="Data of which a warehouse keeps the versions are not seen.",
    tools=("dvc", "git-lfs", "lakefs", "delta"),
    brings=_BRINGS,
    pillar=True,
)
def _data(repo: Repo, project: Project) -> Finding:
    name, shown = versioned_by(repo, project)
    if name:
        return Finding("pass", f"The data are versioned with {name}.", shown, value=name)
    looked = (
        "*.dvc, dvc.lock",
        ".gitattributes",
        f"{len(repo.modules) + len(repo.notebooks)} modules and notebooks",
    )
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=looked, value=False)
    return Finding("fail", "No tool versions the data.", looked_at=looked, value=False)


@check(
    "V3",
    "versioning",
    "Are models registered, version by version?",
    looks_for="Calls that register a version: `mlflow.register_model`, `registered_model_name=…`, "
    "`Model.register`, `link_model`, `push_to_hub`; logging a model, or a folder called registry, is none.",
    why="Whoever deploys or rolls back has to know which model is which, and where it came from.",
    fix="Register the model at the end of training; with MLflow, `log_model(…, registered_model_name=…)`.",
    effort="minutes",
    priority="high",
    false_answers="A registry of the company's own is not known.",
    tools=("mlflow", "sagemaker", "azureml", "vertex", "wandb", "huggingface"),
    brings=_BRINGS,
    pillar=True,
)
def _registry(repo: Repo, project: Project) -> Finding:
    own = own_code(repo, project)
    found = _named_models(repo, own)
    found += _on(repo, own)
    found += used(repo, "registry", by=("commands",))
    found += _in_terraform(repo)
    if found:
        name = found[0][0]
        shown = tuple(one for tool, one in found if tool == name)
        return Finding("pass", f"Models are registered in {name}.", shown[:5], value=name)
    looked = (f"{len(own)} modules and notebooks", "commands of CI")
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=looked, value=False)
    return Finding("fail", "No code registers a model.", looked_at=looked, value=False)


def _named_models(repo: Repo, own: frozenset[str]) -> list[tuple[str, Evidence]]:
    """`log_model` with a name to register under, in code or a catalogue of Kedro."""
    found = []
    for module, call in calls(repo, "*.log_model", "mlflow.*autolog", "mlflow.*save_model", "*", within=own):
        if "registered_model_name" not in call.keywords or is_on(repo, module, call) is False:
            continue
        values = argument(repo, module, call, "registered_model_name")
        if not values or any(values):
            found.append(("mlflow", at(module, call.line, f"{call.name}(registered_model_name=…)")))
    for path, document in repo.documents.items():
        for entry in document.entries:
            if entry.keys[-1:] == ("registered_model_name",) and entry.value and "catalog" in path:
                found.append(("mlflow", at(path, entry.line, f"registered_model_name: {entry.value}")))
    return found


def _in_terraform(repo: Repo) -> list[tuple[str, Evidence]]:
    """A step of SageMaker's pipelines that registers, in what Terraform makes of it."""
    steps = lines(repo, r"\bType\"?\s*[=:]\s*\"RegisterModel\"", within="*.tf")
    return [("sagemaker", at(text.path, line, what.strip())) for text, line, what in steps]


def _on(repo: Repo, own: frozenset[str]) -> list[tuple[str, Evidence]]:
    """Calls that register and that no switch turns off."""
    modules = {one.path: one for one in repo.code()}
    found = []
    for name, one in used(repo, "registry", by=("calls",), within=own):
        module = modules[one.path]
        if one.what.startswith("super()."):  # a class that is made to be pushed, not a push
            continue
        here = [
            call for call in module.calls if call.line == one.line and one.what.startswith(call.name[:100])
        ]
        if not here or any(is_on(repo, module, call) is not False for call in here):
            found.append((name, one))
    for module, call in calls(repo, "*TrainingArguments", "*Trainer", within=own):
        if any(value is True for value in argument(repo, module, call, "push_to_hub")):
            found.append(("huggingface", at(module, call.line, "push_to_hub=True")))
    return found


@check(
    "V4",
    "versioning",
    "Do parameters of training stand in tracked files that the code reads?",
    looks_for="YAML, TOML, JSON or INI with values such as a learning rate, read in the reach of training; "
    "constants and options of a command line are none.",
    why="What changes between experiments should show in a diff, and not need a change of code.",
    fix="Move parameters into `params.yaml` and read it where training begins.",
    effort="hours",
    priority="medium",
    false_answers="A file whose name is put together in code is not found.",
    tools=("hydra", "dvc", "omegaconf", "yaml"),
    brings=_BRINGS,
    pillar=True,
)
def _config(repo: Repo, project: Project) -> Finding:
    found = read_by_training(repo, project)
    if found:
        return Finding("pass", f"Training reads its parameters from {found[0].path}.", found, value=True)
    if not project.ml:
        return _no_ml(repo)
    documents = parameter_files(repo)
    looked = (f"{len(documents)} files with values that look like parameters",)
    return Finding("fail", "Training reads no tracked file of parameters.", looked_at=looked, value=False)
