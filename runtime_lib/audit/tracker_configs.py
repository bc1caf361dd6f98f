"""Trackers that configurations turn on: Hydra, Lightning, Kedro, NeMo, spaCy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from runtime_lib.audit.defaults import committed
from runtime_lib.audit.index.model import Document, Evidence, Repo
from runtime_lib.audit.queries import at, calls, entries, files, once

__all__ = ["uses"]

_CLASSES = (
    (re.compile(r"wandb.*(Logger|Callback|init)|WandbLogger|WandbCallback", re.IGNORECASE), "wandb"),
    (re.compile(r"MLFlowLogger|mlflow.*(Logger|Callback|Hook)|kedro_mlflow\.", re.IGNORECASE), "mlflow"),
    (re.compile(r"NeptuneLogger"), "neptune"),
    (re.compile(r"CometLogger|CometMLLogger"), "comet"),
    (re.compile(r"AimLogger"), "aim"),
    (re.compile(r"DVCLiveLogger"), "dvclive"),
    (re.compile(r"ClearMLLogger"), "clearml"),
    (re.compile(r"TensorBoardLogger|SummaryWriter|callbacks\.TensorBoard$"), "tensorboard"),
)
_KEYS = ("*_target_", "*class_path", "*@loggers", "*class_name", "*.logger.type", "*.logger.name")
_SWITCHES = {"create_wandb_logger": "wandb", "create_tensorboard_logger": "tensorboard"}
_SWITCHES |= {"create_mlflow_logger": "mlflow", "create_clearml_logger": "clearml"}
# Configurations that show how something is done are not what runs.
_SHOWN = re.compile(r"example|sample|debug|template|(?:^|/)tests?/|(?:^|/)docs?/", re.IGNORECASE)
_DEEPEST = 3

Found = tuple[str, Evidence, bool]


def uses(repo: Repo) -> Iterator[Found]:
    """(tool, evidence, whether it is on)."""
    for document, entry in entries(repo, *_KEYS):
        for pattern, tool in _CLASSES:
            if isinstance(entry.value, str) and pattern.search(entry.value):
                on = not _SHOWN.search(document.path) and _is_chosen(repo, document.path)
                yield tool, at(document, entry.line, f"{entry.keys[-1]}: {entry.value}"), on
                break
    for document, entry in entries(repo, *(f"*{one}" for one in _SWITCHES)):
        if str(entry.keys[-1]) in _SWITCHES:
            what = at(document, entry.line, f"{entry.keys[-1]}: {entry.value}")
            yield (
                _SWITCHES[str(entry.keys[-1])],
                what,
                entry.value is True and not _SHOWN.search(document.path),
            )
    yield from _kedro(repo)
    yield from _named(repo)


def _kedro(repo: Repo) -> Iterator[Found]:
    """The plug-in's hooks register themselves, unless the settings say otherwise."""
    found = [one for one in repo.dependencies.requirements if one.name == "kedro-mlflow"]
    off = any(
        "kedro-mlflow" in str(module.constants.get("DISABLE_HOOKS_FOR_PLUGINS", ("",))[0])
        for module in repo.modules.values()
    )
    if found and any(True for _ in calls(repo, "kedro.*")):
        configured = files(repo, "*conf/*/mlflow.y*ml")
        one = found[0]
        what = at(configured[0], 1, "kedro-mlflow") if configured else at(one.path, one.line, "kedro-mlflow")
        yield "mlflow", what, not off
    for document, entry in entries(repo, "*.type", within="*catalog*.y*ml"):
        if str(entry.value).startswith(("kedro_mlflow.", "tracking.")):
            tool = "mlflow" if str(entry.value).startswith("kedro_mlflow") else "kedro"
            yield tool, at(document, entry.line, f"type: {entry.value}"), True


def _named(repo: Repo) -> Iterator[Found]:
    """Frameworks that are told a tracker in a file of theirs, without code."""
    if not repo.dependencies.names & {"axolotl", "llamafactory", "transformers", "trl", "nemo-toolkit"}:
        return
    for document, entry in entries(repo, "*report_to", "*report_to.*"):
        if entry.value in ("wandb", "mlflow", "tensorboard") and document.kind in ("yaml", "json", "toml"):
            on = not _SHOWN.search(document.path)
            yield str(entry.value), at(document, entry.line, f"report_to: {entry.value}"), on


def _is_chosen(repo: Repo, path: str, depth: int = 0) -> bool:
    """Whether an option of a group of Hydra's is taken by a configuration or a command.

    A file in a folder of its own below one with `defaults` is an option; anything else holds by itself.
    """
    place = PurePosixPath(path)
    above = [one for one in place.parent.parents if str(one) in _roots(repo)]
    if not above or depth > _DEEPEST:
        return not above
    # The outermost: a group may have options with defaults of their own.
    name = place.parent.relative_to(above[-1]).as_posix()
    if place.stem in map(str, committed(repo, name.rpartition("/")[2])):
        return True
    return any(
        by != path and not _SHOWN.search(by) and _is_chosen(repo, by, depth + 1)
        for by in _choosers(repo).get((name, place.stem), ())
    )


@once
def _roots(repo: Repo) -> frozenset[str]:
    """Folders with a configuration that has `defaults`."""
    return frozenset(str(PurePosixPath(one.path).parent) for one in repo.documents.values() if _defaults(one))


def _defaults(document: Document) -> list[tuple[tuple[str | int, ...], str]]:
    return [
        (entry.keys, str(entry.value))
        for entry in document.entries
        if len(entry.keys) > 1 and entry.keys[0] == "defaults" and isinstance(entry.keys[1], int)
    ]


@once
def _choosers(repo: Repo) -> dict[tuple[str, str], list[str]]:
    """(group, option) → the configurations whose `defaults` take it."""
    found: dict[tuple[str, str], list[str]] = {}
    for document in repo.documents.values():
        for keys, value in _defaults(document):
            if len(keys) == 2:
                group, _, option = value.rpartition("/")
                group = group or PurePosixPath(document.path).parent.name
            else:
                group = str(keys[2]).removeprefix("override ").strip().lstrip("/").partition("@")[0]
                option = value
            found.setdefault((group, option.removesuffix(".yaml")), []).append(document.path)
    return found
