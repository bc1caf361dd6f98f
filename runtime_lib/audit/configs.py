"""Whether parameters of training stand in tracked files that what trains reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Document, Evidence, Repo
from runtime_lib.audit.parts import fits
from runtime_lib.audit.queries import at, calls, imports
from runtime_lib.audit.trackers import scope

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["parameter_files", "read_by_training"]

_PARAMETER = re.compile(
    r"(?i)(?:.*_)?(?:lr|learning_?rate|epochs?|batch_?size|n_estimators|max_depth|depth|num_leaves|seed|random_?state"
    r"|test_?size|val(?:idation)?_?size|split|dropout|optimi[sz]er|weight_decay|hidden\w*|num_layers|n_layers|alpha"
    r"|l1_ratio|l2|gamma|momentum|max_steps|steps|n_splits|folds|patience|features?|target|label|threshold|window"
    r"|horizon|iterations|max_iter|num_rounds?|num_boost_round|n_neighbors|kernel|penalty|solver|criterion|model"
    r"|model_?(?:name|type)|architecture|backbone|loss|metric|image_size|max_len\w*|embedding_\w+|c|trees|min_samples_\w+"
    r"|objective|subsample|eta|_target_|num_train_epochs|max_features|ngram_range|scheduler|warmup\w*)"
)
_NO_PARAMETERS = re.compile(
    r"(?i)(?:^|/)(?:\.github|\.gitlab|\.circleci|\.azure\w*|\.vscode|\.devcontainer|charts?|helm|k8s|kubernetes|deploy\w*"
    r"|terraform|docs?|tests?|node_modules|grafana|prometheus|monitoring)/|(?:^|/)(?:pyproject\.toml|package\.json"
    r"|setup\.cfg|tox\.ini|pytest\.ini|mkdocs\.ya?ml|(?:docker-)?compose[\w.-]*\.ya?ml|dvc\.lock|environment[\w.-]*\.ya?ml"
    r"|\.pre-commit-config\.ya?ml|\.gitlab-ci\.ya?ml|azure-pipelines\.ya?ml|tsconfig\.json|mlproject|mlmodel|pixi\.toml"
    r"|pipfile|cookiecutter\.json|copier\.ya?ml|dvc\.ya?ml|\.flake8|\.coveragerc|mypy\.ini)$|\.dvc$"
)
_READERS = (
    "strictyaml.*",
    "yaml.safe_load*", "yaml.load*", "yaml.full_load*", "ruamel.yaml*.load", "*OmegaConf.load",
    "json.load", "json.loads", "tomllib.load*", "toml.load*", "tomli.load*", "tomlkit.*",
    "*ConfigParser().read*", "dynaconf.Dynaconf", "gin.parse_config*", "*.merge_from_file",
    "*.fromfile", "*.parse_json_file", "*.parse_yaml_file", "*.parse_file", "dvc.api.params_show",
    "jsonargparse.*", "*LightningCLI", "anyconfig.load", "*.from_yaml", "*.load_yaml", "*.read_yaml",
    "*.load_config", "*.read_config", "*.get_config", "configargparse.*", "pyhocon.*", "hjson.load*",
    "*.parse_yaml*", "*.YAML().load", "*.from_json_file", "json5.load*", "munch.*",
    "*.add_config_arguments", "*.parse_args_and_config", "*.load_params", "*.read_params", "box.*",
    "confuse.*",
)  # fmt: skip
_HYDRA = ("hydra.main", "hydra.compose", "hydra.initialize*", "hydra.*.main", "hydra.experimental.*")
# Programs that train by a file alone.
_TOOLS = re.compile(
    r"\b(?:spacy (?:train|ray)|rasa train|llamafactory-cli train|axolotl|tune run|mim train|ludwig train"
    r"|nequip-train|allennlp train|onmt_train|fairseq-hydra-train|yolo .*cfg=|litgpt)\b"
)
_WORD = re.compile(r"[\w./{}*-]+\.(?:ya?ml|json|toml|ini|cfg|gin|conf)\b")
_FOLDER = re.compile(
    r"(?i)(?:^|/)(?:conf|confs|config|configs|configuration|params|parameters|hparams|experiments?|options|cfg|cfgs|recipes|settings)(?:/|$)"
)


def parameter_files(repo: Repo) -> dict[str, Document]:
    """Tracked documents with values that have names of parameters."""
    return {
        path: one for path, one in repo.documents.items() if not _NO_PARAMETERS.search(path) and _line(one)
    }


def read_by_training(repo: Repo, project: Project) -> tuple[Evidence, ...]:
    """The parameter files that something in the reach of training reads, and where; () if there are none."""
    where = scope(repo, project) or frozenset(module.path for module, _ in fits(repo))
    documents = parameter_files(repo) if where else {}
    if not documents:
        return ()
    for find in (_hydra, _kedro, _snakemake, _named_in_code, _in_folder, _named_in_commands):
        if found := find(repo, where - project.tests, documents):
            return found
    return ()


def _line(document: Document) -> int:
    """Where the first parameter stands; 0 without one."""
    for entry in document.entries:
        if entry.value is not None and any(_is_parameter(key) for key in entry.keys[-2:]):
            return entry.line
    return 0


@lru_cache(maxsize=10_000)
def _is_parameter(key: str | int) -> bool:
    return isinstance(key, str) and bool(_PARAMETER.fullmatch(key))


def _shown(document: Document) -> Evidence:
    line = _line(document)
    entry = next(one for one in document.entries if one.line == line)
    return at(document, line, f"{'.'.join(map(str, entry.keys))}: {entry.value}")


def _hydra(repo: Repo, where: frozenset[str], documents: dict[str, Document]) -> tuple[Evidence, ...]:
    for module, call in calls(repo, *_HYDRA, within=where):
        name = str(call.keywords.get("config_name") or "config").removesuffix(".yaml")
        # A path from the module, or a package: "pkg://project.configs".
        place = str(call.keywords.get("config_path") or next(iter(call.args), None) or "")
        folder = re.split(r"[/.]", place.removeprefix("pkg://").rstrip("/"))[-1]
        for path, document in documents.items():
            is_main = path.rpartition("/")[2].removesuffix(".yaml") == name
            if is_main or (folder and f"/{folder}/" in f"/{path}"):
                return _shown(document), at(module, call.line, f"{call.name}(…)")
    return ()


def _kedro(repo: Repo, where: frozenset[str], documents: dict[str, Document]) -> tuple[Evidence, ...]:
    user = next(iter(imports(repo, "kedro")), None)
    if user:
        for path, document in documents.items():
            if re.search(r"(?:^|/)conf/\w+/(?:.*/)?parameters[\w./-]*\.ya?ml$", path):
                return _shown(document), user[1]
    return ()


def _snakemake(repo: Repo, where: frozenset[str], documents: dict[str, Document]) -> tuple[Evidence, ...]:
    for path, text in repo.texts.items():
        if not path.lower().endswith(("snakefile", ".smk", ".nf")):
            continue
        for number, line in enumerate(text.lines, 1):
            found = re.match(r"\s*configfile:\s*[\"'](.+?)[\"']", line)
            document = _matching(found[1], documents) if found else None
            if document:
                return _shown(document), at(path, number, line)
    return ()


def _named_in_code(repo: Repo, where: frozenset[str], documents: dict[str, Document]) -> tuple[Evidence, ...]:
    """A file's name in the code, beside a call that reads, or as an argument `config`."""
    reads = {module.path: call for module, call in calls(repo, *_READERS, within=where)}
    for module in repo.code():
        if module.path not in where:
            continue
        for call in module.calls:
            for key, value in call.keywords.items():
                if (
                    isinstance(value, str)
                    and re.search(r"(?i)conf|cfg|param", key)
                    and (one := _matching(value, documents))
                ):
                    return _shown(one), at(module, call.line, f"{call.name}(… {key}={value!r})")
        if reads:
            for line, text in module.strings:
                if (one := _matching(text, documents)) is not None:
                    return _shown(one), at(module, line, text)
    return ()


def _in_folder(repo: Repo, where: frozenset[str], documents: dict[str, Document]) -> tuple[Evidence, ...]:
    """What reads takes a path from its arguments, and a folder of configurations has parameters."""
    reads = next(iter(calls(repo, *_READERS, within=where)), None)
    if reads is None:
        return ()
    asks = any(
        isinstance(flag, str)
        and re.fullmatch(
            r"(?i)-{0,2}(?:\w+[-_])?(?:config|cfg|conf|params|opt|hparams|yaml)(?:[-_]\w+)?|-c", flag
        )
        for _, call in calls(
            repo, "*.add_argument", "click.option", "click.argument", "typer.*", within=where
        )
        for flag in call.args
    )
    folders = (
        one
        for path, one in documents.items()
        if _FOLDER.search(path.rpartition("/")[0]) and one.kind != "json"
    )
    document = next(folders, None)
    if document is None or not asks:
        return ()
    return _shown(document), at(reads[0], reads[1].line, f"{reads[1].name}(…)")


def _named_in_commands(
    repo: Repo, where: frozenset[str], documents: dict[str, Document]
) -> tuple[Evidence, ...]:
    """A command of the repository hands the file to what trains."""
    names = {path.rpartition("/")[2] for path in where}
    reads = any(True for _ in calls(repo, *_READERS, within=where))
    for path, line, text in _commands(repo):
        by_code = reads and ("train" in text or any(name in text for name in names))
        if not by_code and not _TOOLS.search(text):
            continue
        for word in _WORD.findall(text):
            if (document := _matching(word, documents)) is not None:
                return _shown(document), at(path, line, text)
    return ()


def _commands(repo: Repo) -> Iterator[tuple[str, int, str]]:
    for path, text in repo.texts.items():
        yield from (
            (path, number, line)
            for number, line in enumerate(text.lines, 1)
            if "train" in line or "python" in line
        )
    for path, document in repo.documents.items():
        for entry in document.entries:
            if isinstance(entry.value, str) and ("python" in entry.value or "train" in entry.value):
                yield path, entry.line, entry.value


def _matching(word: str, documents: dict[str, Document]) -> Document | None:
    """The document that a word names: by its end, with as many folders as are written."""
    word = word.strip().replace("\\", "/").removeprefix("./")
    while word.startswith("../"):
        word = word[3:]
    if len(word) > 200 or not _WORD.search(word):
        return None
    word = word.rpartition("}/")[2] or word
    if word in documents:
        return documents[word]
    ends = f"/{word.lstrip('/')}"
    near = (path for path in documents if f"/{path}".endswith(ends))
    found = min(near, key=len, default=None)
    if found is None and "/" in word:
        # An absolute path in an image, "/app/config/train.yaml".
        tail = "/" + "/".join(word.split("/")[-2:])
        found = next((path for path in documents if f"/{path}".endswith(tail)), None)
    return documents[found] if found else None
