"""Versioning: of code, data, models and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runtime_lib.audit.configs import parameter_files, read_by_training
from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.parts import examples, tests
from runtime_lib.audit.queries import at, calls, files, imports
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.switches import argument, is_on
from runtime_lib.audit.tools import used

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_BRINGS = "Projects of this template (`copier copy`) have DVC, a registry and parameters in files"
_DATA = re.compile(
    r"\.(?:csv|tsv|parquet|feather|arrow|npy|npz|h5|hdf5|pkl|pickle|joblib|jsonl|ndjson|tfrecords?|zip|gz|tgz|tar|bz2|xz|7z"
    r"|zst|db|sqlite3?|wav|mp3|flac|nc|tiff?|dcm|nii|mat|rds|rdata|xlsx?|avro|orc|las|laz|lmdb|bin|data|xml|txt|json)$",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:png|jpe?g|gif|bmp|webp)$", re.IGNORECASE)
_DATA_FOLDER = re.compile(r"(?i)(?:^|/)(?:data|datas?ets?|images|raw|train|samples|corpus)/")
_MOST_PATTERNS = 200


def _no_ml(repo: Repo) -> Finding:
    return Finding("n/a", "nothing here trains a model", looked_at=(f"{len(repo.modules)} modules",))


def _own(repo: Repo, project: Project) -> frozenset[str]:
    """Code of the project itself, without tests, and of a library without its examples."""
    own = frozenset(one.path for one in repo.code()) - tests(repo)
    return own - examples(repo) if project.kind == "library" else own


@check(
    "V1",
    "versioning",
    "Is the code in git?",
    looks_for="A repository of git in the folder.",
    why="Without history nobody knows which code gave which model, and nothing can be taken back.",
    fix="`git init`, a `.gitignore`, and a first commit.",
    effort="minutes",
    priority="critical",
    false_answers="An export of a repository has no `.git`, although its code is versioned elsewhere.",
    tools=("git",),
    pillar=True,
)
def _git(repo: Repo, project: Project) -> Finding:
    if not repo.git:
        return Finding("fail", "no repository of git", looked_at=(".git in the folder",))
    best = (".gitignore", "README.md", "pyproject.toml", "requirements.txt")
    path = next((one for one in best if one in repo.files), next(iter(repo.files), None))
    if path is None:
        return Finding("fail", "a repository of git without a file", looked_at=("files that git tracks",))
    commit = f" at {repo.commit[:10]}" if repo.commit else ""
    return Finding("pass", f"git tracks {len(repo.files):,} files{commit}", (at(path, 1, "tracked"),))


@check(
    "V2",
    "versioning",
    "Are the data versioned by a tool?",
    looks_for="Data that DVC or Git LFS tracks, lakeFS, Delta with a pinned version, a cloud's registry of "
    "datasets; a CSV in git, an import alone and words in a README are none.",
    why="A model can only be made again, or judged, with the data it was made of.",
    fix="`dvc add data/…` and a remote; the pointer goes into git.",
    effort="hours",
    priority="high",
    false_answers="Data of which a warehouse keeps the versions are not seen.",
    tools=("dvc", "git-lfs", "lakefs", "delta"),
    brings=_BRINGS,
    pillar=True,
)
def _data(repo: Repo, project: Project) -> Finding:
    for name, find in (("dvc", _dvc), ("git-lfs", _lfs), ("lakefs", _lakefs), ("delta", _delta)):
        if found := find(repo, project):
            return Finding("pass", f"{name} versions the data", tuple(found[:5]), value=name)
    if found_by := _registered(repo, project):
        name, evidence = found_by[0]
        return Finding("pass", f"{name} versions the data", (evidence,), value=name)
    looked = (
        "*.dvc, dvc.lock",
        ".gitattributes",
        f"{len(repo.modules) + len(repo.notebooks)} modules and notebooks",
    )
    if not project.ml:
        return Finding("n/a", "nothing here trains a model", looked_at=looked, value=False)
    return Finding("fail", "no tool versions the data", looked_at=looked, value=False)


def _dvc(repo: Repo, project: Project) -> list[Evidence]:
    """Pointers to data, or outputs and inputs of stages with their hashes."""
    found = []
    for path, document in repo.documents.items():
        name = path.rpartition("/")[2]
        if path.endswith(".dvc") and name != ".dvc":
            found += [
                at(path, one.line, f"{one.keys[-1]}: {one.value}")
                for one in document.entries[:40]
                if one.keys[-1:] in (("path",), ("md5",), ("etag",))
            ][:1]
        elif name == "dvc.lock":
            found += [
                at(path, one.line, "hashes of data") for one in document.entries if one.keys[-1:] == ("md5",)
            ][:1]
    if found or any(
        path.rpartition("/")[2] == ".dvcignore" or path.endswith(".dvc/config") for path in repo.files
    ):
        found += (
            [at(document, one.line, f"an output: {one.value}") for document, one in _outputs(repo)][:2]
            if not found
            else []
        )
    return found


def _outputs(repo: Repo) -> Iterator[tuple]:  # type: ignore[type-arg]
    """Outputs of stages that DVC keeps, in a repository that DVC was set up in."""
    for path, document in repo.documents.items():
        if path.rpartition("/")[2] == "dvc.yaml":
            for entry in document.entries:
                if len(entry.keys) >= 4 and entry.keys[0] == "stages" and entry.keys[2] == "outs":
                    yield document, entry


def _lfs(repo: Repo, project: Project) -> list[Evidence]:
    """Patterns of `.gitattributes` that match tracked data."""
    missing = {one.path for one in repo.left_out if "working tree" in one.why}
    found = []
    for path, text in repo.texts.items():
        if path.rpartition("/")[2] != ".gitattributes":
            continue
        folder = path.rpartition("/")[0]
        for number, line in list(enumerate(text.lines, 1))[:_MOST_PATTERNS]:
            words = line.split()
            if len(words) > 1 and "filter=lfs" in words and not line.lstrip().startswith("#"):
                hit = next(
                    (
                        one
                        for one in (*repo.files, *missing)
                        if _is_data(one) and _fits(one, words[0], folder)
                    ),
                    None,
                )
                if hit:
                    found.append(at(path, number, f"{words[0]}: {hit}"))
    return found


def _is_data(path: str) -> bool:
    return bool(_DATA.search(path) or (_PICTURE.search(path) and _DATA_FOLDER.search(path)))


def _fits(path: str, pattern: str, folder: str) -> bool:
    if folder and not path.startswith(f"{folder}/"):
        return False
    path = path[len(folder) + 1 :] if folder else path
    pattern = pattern.strip('"').replace("/**", "/*").replace("**/", "*")
    if "/" not in pattern.strip("/"):
        return fnmatchcase(path.rpartition("/")[2], pattern.strip("/"))
    return fnmatchcase(path, pattern.lstrip("/"))


def _lakefs(repo: Repo, project: Project) -> list[Evidence]:
    own = _own(repo, project)
    found = [
        one for _, one in imports(repo, "lakefs", "lakefs_client", "lakefs_spec", "lakefs_sdk", within=own)
    ]
    for module in repo.code():
        if module.path in own:
            found += [at(module, line, text) for line, text in module.strings if text.startswith("lakefs://")]
    return found


def _delta(repo: Repo, project: Project) -> list[Evidence]:
    """Tables of Delta that are read in one version."""
    found = []
    for module, call in calls(
        repo, "*.option", "*.options", "deltalake.DeltaTable", "*.load_as_version", within=_own(repo, project)
    ):
        words = {one for one in call.args if isinstance(one, str)} | set(call.keywords)
        if words & {"versionAsOf", "timestampAsOf"} or ("DeltaTable" in call.name and "version" in words):
            found.append(at(module, call.line, f"{call.name}(…)"))
    return found


def _registered(repo: Repo, project: Project) -> list[tuple[str, Evidence]]:
    own = _own(repo, project)
    found = used(repo, "data_versioning", by=("calls",), within=own)
    for module, call in calls(repo, "wandb.Artifact", "wandb.sdk.*.Artifact", within=own):
        kind = call.keywords.get("type", call.args[1] if len(call.args) > 1 else "")
        if isinstance(kind, str) and "data" in kind.lower():
            found.append(("wandb", at(module, call.line, f"Artifact(type={kind!r})")))
    for path in files(repo, "*.y*ml"):
        document = repo.documents.get(path)
        for entry in document.entries if document else ():
            # An asset with its version, as an input of a job.
            if (
                isinstance(entry.value, str)
                and re.match(r"azureml:[\w-]+:\d+$", entry.value)
                and "inputs" in entry.keys
            ):
                found.append(("azureml", at(path, entry.line, entry.value)))
    return found


@check(
    "V3",
    "versioning",
    "Are models registered, version by version?",
    looks_for="Calls that register a version: `mlflow.register_model`, `registered_model_name=…`, "
    "`Model.register`, `link_model`, `push_to_hub`; logging a model, or a folder called registry, is none.",
    why="Whoever deploys or rolls back has to know which model is which, and where it came from.",
    fix="Register the model at the end of training: `log_model(…, registered_model_name=…)`.",
    effort="minutes",
    priority="high",
    false_answers="A registry of the company's own is not known.",
    tools=("mlflow", "sagemaker", "azureml", "vertex", "wandb", "huggingface"),
    brings=_BRINGS,
    pillar=True,
)
def _registry(repo: Repo, project: Project) -> Finding:
    own = _own(repo, project)
    found = _named_models(repo, own)
    found += _on(repo, own)
    found += used(repo, "registry", by=("commands",))
    if found:
        name = found[0][0]
        shown = tuple(one for tool, one in found if tool == name)
        return Finding("pass", f"models are registered in {name}", shown[:5], value=name)
    looked = (f"{len(own)} modules and notebooks", "commands of CI")
    if not project.ml:
        return Finding("n/a", "nothing here trains a model", looked_at=looked, value=False)
    return Finding("fail", "no code registers models", looked_at=looked, value=False)


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
        return Finding("pass", f"training reads {found[0].path}", found, value=True)
    if not project.ml:
        return _no_ml(repo)
    documents = parameter_files(repo)
    looked = (f"{len(documents)} files with values that look like parameters",)
    return Finding("fail", "training reads no tracked file of parameters", looked_at=looked, value=False)
