"""Which tool versions the data of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Document, Entry, Evidence, Repo
from runtime_lib.audit.parts import examples, tests
from runtime_lib.audit.queries import at, calls, files, imports
from runtime_lib.audit.tools import used

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["own_code", "versioned_by"]

_DATA = re.compile(
    r"\.(?:csv|tsv|parquet|feather|arrow|npy|npz|h5|hdf5|pkl|pickle|joblib|jsonl|ndjson|tfrecords?|zip|gz|tgz|tar|bz2|xz|7z"
    r"|zst|db|sqlite3?|wav|mp3|flac|nc|tiff?|dcm|nii|mat|rds|rdata|xlsx?|avro|orc|las|laz|lmdb|bin|data|xml|txt|json)$",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:png|jpe?g|gif|bmp|webp)$", re.IGNORECASE)
_DATA_FOLDER = re.compile(r"(?i)(?:^|/)(?:data|datas?ets?|images|raw|train|samples|corpus)/")
_MOST_PATTERNS = 200


def versioned_by(repo: Repo, project: Project) -> tuple[str, tuple[Evidence, ...]]:
    """The name of the tool and what shows it; "" if there is none."""
    for name, find in (("dvc", _dvc), ("git-lfs", _lfs), ("lakefs", _lakefs), ("delta", _delta)):
        if found := find(repo, project):
            return name, tuple(found[:5])
    named = _registered(repo, project)
    return (named[0][0], (named[0][1],)) if named else ("", ())


def own_code(repo: Repo, project: Project) -> frozenset[str]:
    """Code of the project itself, without tests, and of a library without its examples."""
    own = frozenset(one.path for one in repo.code()) - tests(repo)
    return own - examples(repo) if project.kind == "library" else own


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
            [
                at(
                    document,
                    one.line,
                    f"an output: {one.value if isinstance(one.value, str) else one.keys[-2]}",
                )
                for document, one in _outputs(repo)
            ][:2]
            if not found
            else []
        )
    return found


def _outputs(repo: Repo) -> Iterator[tuple[Document, Entry]]:
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
    own = own_code(repo, project)
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
    reads = ("*.option", "*.options", "deltalake.DeltaTable", "*.load_as_version")
    for module, call in calls(repo, *reads, within=own_code(repo, project)):
        words = {one for one in call.args if isinstance(one, str)} | set(call.keywords)
        if words & {"versionAsOf", "timestampAsOf"} or ("DeltaTable" in call.name and "version" in words):
            found.append(at(module, call.line, f"{call.name}(…)"))
    return found


def _registered(repo: Repo, project: Project) -> list[tuple[str, Evidence]]:
    own = own_code(repo, project)
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
