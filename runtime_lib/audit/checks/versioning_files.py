"""Versioning: where data go, what bloats git, and what ties a model to its commit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Evidence, Notebook, Repo
from runtime_lib.audit.queries import at, calls
from runtime_lib.audit.records import CHECKS, Finding, check
from runtime_lib.audit.trackers import scope, uses

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_MODELS = re.compile(
    r"(?i)\.(?:pkl|pickle|joblib|h5|hdf5|keras|pt|pth|ckpt|onnx|pb|tflite|safetensors|bin|model|mlmodel|pmml|gguf|caffemodel|sav|dill|cbm)$"
)
_BASES = re.compile(r"(?i)\.(?:db|sqlite3?|duckdb|mdb|rdb)$")
_DATA = re.compile(
    r"(?i)\.(?:csv|tsv|parquet|feather|arrow|npy|npz|jsonl|tfrecords?|zip|gz|tgz|tar|bz2|xz|7z|wav|mp3|mat|rds|rdata|xlsx?|avro|nc|tiff?|dcm)$"
)
_LARGE_DATA, _LARGE_MODEL = 1_000_000, 100_000
_COMMITS = (
    "*.head.object.hexsha", "*.head.commit.hexsha", "*.repo.head.*", "git.Repo*", "*.get_git_revision_hash",
    "*.get_git_commit", "*.get_commit_hash", "pygit2.*",
)  # fmt: skip
# These note the commit of a script by themselves.
_AUTOMATIC = {
    "mlflow",
    "wandb",
    "comet",
    "clearml",
    "neptune",
    "dvclive",
    "aim",
    "sacred",
    "azureml",
    "polyaxon",
}


@check(
    "V5",
    "versioning",
    "Do the versioned data have a place that others can reach?",
    looks_for="A remote in `.dvc/config`; the host of git for Git LFS; the service of other tools.",
    why="Pointers without a remote are worth nothing on any other machine.",
    fix="Give the data a remote that others can reach: `dvc remote add -d storage s3://…` and `dvc push`.",
    effort="hours",
    priority="high",
    tools=("dvc",),
    brings="`copier copy` of this template asks for the remote and sets it.",
)
def _remote(repo: Repo, project: Project) -> Finding:
    data = CHECKS["V2"].ask(repo, project)
    if data.verdict != "pass":
        return Finding("n/a", "No tool versions the data.", looked_at=data.looked_at)
    if data.value != "dvc":
        return Finding("pass", f"The data are kept where {data.value} is hosted.", data.evidence[:1])
    for path, document in repo.documents.items():
        for entry in document.entries if path.endswith(".dvc/config") else ():
            if entry.keys[-1] == "url":
                url = str(entry.value)
                if "://" in url or url.startswith(("azure:", "gs:")):
                    return Finding(
                        "pass", "DVC has a remote that others can reach.", (at(path, entry.line, url),)
                    )
                return Finding(
                    "partial", "The DVC remote is a folder on one machine.", (at(path, entry.line, url),)
                )
    return Finding("fail", "DVC has no remote.", looked_at=(".dvc/config",))


@check(
    "V7",
    "versioning",
    "Is git free of data, models and databases?",
    looks_for="Tracked data above 1 MB, models above 100 KB, any database; pointers of Git LFS are none.",
    why="Each version stays in every clone for good, and nobody sees which model belongs to which data.",
    fix="`git rm --cached` the file and give it to DVC or Git LFS.",
    effort="hours",
    priority="medium",
    false_answers="Small data of tests below these sizes do not count; larger ones do.",
    tools=("dvc", "git-lfs"),
    brings="`copier copy` of this template keeps data and models with DVC.",
)
def _no_data(repo: Repo, project: Project) -> Finding:
    if not repo.git or not repo.files:
        return Finding(
            "n/a", "The folder is not a git repository.", looked_at=(f"{len(repo.files):,} files",)
        )
    found = sorted(((size, path) for path, size in repo.files.items() if _is_kept(path, size)), reverse=True)
    if found:
        size = sum(size for size, _ in found)
        evidence = tuple(at(path, 1, f"{size / 1e6:.1f} MB") for size, path in found[:5])
        return Finding(
            "fail", f"Git holds {len(found)} files of data or models, {size / 1e6:.1f} MB.", evidence
        )
    path = ".gitignore" if ".gitignore" in repo.files else next(iter(repo.files))
    return Finding(
        "pass",
        f"There are no large data, models or databases among {len(repo.files):,} files.",
        (at(path, 1, "first of the files looked at"),),
    )


def _is_kept(path: str, size: int) -> bool:
    if _BASES.search(path):
        return size > 1000
    return (bool(_MODELS.search(path)) and size > _LARGE_MODEL) or (
        bool(_DATA.search(path)) and size > _LARGE_DATA
    )


@check(
    "V8",
    "versioning",
    "Are notebooks tracked without their outputs?",
    looks_for="Code cells without outputs, or a filter or hook that strips them (`nbstripout`).",
    why="Outputs make a diff unreadable, and may show data that nobody should have.",
    fix="Add `nbstripout` to `pre-commit`, then commit all notebooks once.",
    effort="minutes",
    priority="low",
    false_answers="Where outputs are meant to be read, as in a course, the check does not apply.",
    tools=("nbstripout", "jupytext"),
)
def _stripped(repo: Repo, project: Project) -> Finding:
    books = [book for book in repo.notebooks.values() if book.cells]
    if not books or project.kind in ("course", "docs"):
        why = "Outputs are meant to be read here." if books else "There are no notebooks."
        return Finding("n/a", why, looked_at=(f"{len(repo.notebooks)} notebooks",))
    full = [book for book in books if any(cell.has_output for cell in book.cells)]
    strips = _strips(repo)
    if not full:
        evidence = strips or tuple(at(book.path, book.cells[0].line, "no outputs") for book in books[:5])
        return Finding("pass", f"No outputs are stored in {len(books)} notebooks.", evidence)
    shown = tuple(_output(book) for book in full[:5])
    if strips or len(full) <= len(books) / 2:
        return Finding(
            "partial", f"Outputs are stored in {len(full)} of {len(books)} notebooks.", (*strips[:1], *shown)
        )
    return Finding("fail", f"Outputs are stored in {len(full)} of {len(books)} notebooks.", shown)


def _output(book: Notebook) -> Evidence:
    line = next(cell.line for cell in book.cells if cell.has_output)
    return at(book.path, line, "a cell with an output")


def _strips(repo: Repo) -> tuple[Evidence, ...]:
    found = []
    for path, document in repo.documents.items():
        if path.endswith(".pre-commit-config.yaml"):
            found += [
                at(path, one.line, str(one.value))
                for one in document.entries
                if re.search(r"nbstripout|nb-clean|clear-output", str(one.value))
            ]
    for path, text in repo.texts.items():
        if path.rpartition("/")[2] == ".gitattributes":
            found += [
                at(path, number, line)
                for number, line in enumerate(text.lines, 1)
                if "filter=nbstripout" in line
            ]
    return tuple(found)


@check(
    "V9",
    "versioning",
    "Does a model know the commit and the data that it was made of?",
    looks_for="A tracker that notes the commit, code that asks git for it, `dvc.lock` beside the model.",
    why="Months later that is the only way from a prediction back to its cause.",
    fix="Log the commit and the version of the data with the model, as tags of its run.",
    effort="hours",
    priority="medium",
    false_answers="MLflow and others note the commit only of a script that runs in a repository.",
    tools=("mlflow", "dvc", "wandb"),
    brings="`mlops run` notes commit and versions of the data with each model.",
)
def _origin(repo: Repo, project: Project) -> Finding:
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=(f"{len(repo.modules)} modules",))
    commit = _commit(repo, project)
    data = CHECKS["V2"].ask(repo, project)
    if commit and data.verdict == "pass":
        return Finding(
            "pass",
            f"A model's commit is recorded, and its data are versioned with {data.value}.",
            (*commit[:3], *data.evidence[:2]),
        )
    if commit:
        return Finding("partial", "A model's commit is recorded; the version of its data is not.", commit[:3])
    if data.verdict == "pass":
        return Finding(
            "partial", "The data are versioned, but a model's commit is not recorded.", data.evidence[:3]
        )
    return Finding(
        "fail",
        "Neither the commit nor the data of a model are recorded.",
        looked_at=(f"{len(scope(repo, project))} modules of training",),
    )


def _commit(repo: Repo, project: Project) -> tuple[Evidence, ...]:
    where = scope(repo, project)
    found = [
        at(module, call.line, f"{call.name}(…)") for module, call in calls(repo, *_COMMITS, within=where)
    ]
    for module in repo.code():
        if module.path in where:
            found += [
                at(module, line, text)
                for line, text in module.strings
                if re.search(r"rev-parse|git describe|^(?:GITHUB_SHA|CI_COMMIT_SHA|GIT_COMMIT)$", text)
            ]
    found += [one.evidence for one in uses(repo, project) if one.on and one.tool in _AUTOMATIC]
    return tuple(found)
