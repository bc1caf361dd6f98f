"""Small repositories with what is true of each, a text file per repository, and how answers compare to it.

A file begins with what the repository is there for. After a blank line come its facts, as YAML; one that is
not named is false, none, no, or level 0, one under `undecided` is not judged. Then its files:

    --- path/of/file
    --- path/of/file | latin-1        in this encoding: latin-1, utf-16, bom (UTF-8 with a mark)
    --- path/of/link | link: target   a symbolic link
    --- path/of/book.ipynb            cells between lines `%%`; `%% markdown` begins one without code
    --- path/of/book.ipynb | raw      as it is
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

__all__ = ["FACTS", "Labelled", "Tally", "compare", "read_labelled"]

FACTS = (
    "kind",
    "data_versioning",
    "model_registry",
    "config_as_files",
    "tracker",
    "unit_tests",
    "integration_tests",
    "model_tests",
    "regression_tests",
    "data_tests",
    "ci",
    "ci_runs_tests",
    "ci_trains",
    "cd",
    "pipeline_tool",
    "automatic_retraining",
    "monitoring_system",
    "monitoring_model",
    "drift_detection",
    "alerts",
    "seeds",
    "environment",
    "dockerfile",
    "deployment_target",
    "notebook_share",
    "level",
)
# Of these there is no "absent": right or wrong.
ONE_OF = ("kind", "level", "notebook_share")
ABSENT = (None, False, "none", "no", "false", "", 0)
ENCODINGS = {"latin-1": "latin-1", "utf-16": "utf-16", "bom": "utf-8-sig"}
# Names of one thing.
SAME = {"gitlfs": "lfs", "kubeflow": "kfp", "azuredevops": "azure", "azurepipelines": "azure"}


@dataclass(frozen=True)
class Labelled:
    """A repository and its facts.

    Attributes:
        why: the trap or the tool that it is there for.
        facts: name → what is true; a list holds several right answers.
        files: as `tests.support.trees.plant` takes them.
    """

    name: str
    why: str
    facts: Mapping[str, Any]
    files: Mapping[str, bytes | PurePosixPath]
    git: bool = True


@dataclass
class Tally:
    """Answers of one fact. `wrong`: (repository, wanted, told)."""

    true: int = 0
    absent: int = 0
    false_positive: int = 0
    false_negative: int = 0
    unknown: int = 0
    wrong: list[tuple[str, Any, Any]] = field(default_factory=list)

    @property
    def precision(self) -> float:
        told = self.true + self.false_positive
        return self.true / told if told else 1.0

    @property
    def recall(self) -> float:
        there = self.true + self.false_negative
        return self.true / there if there else 1.0

    @property
    def cannot_tell(self) -> float:
        asked = self.true + self.absent + len(self.wrong)
        return self.unknown / asked if asked else 0.0

    def add(self, fact: str, name: str, wanted: Any, told: Any) -> None:
        """Count one answer; "unknown" is a miss too where there was something to find."""
        outcome = compare(fact, wanted, told)
        self.true += outcome["true"]
        self.absent += outcome["absent"]
        self.false_positive += outcome["false positive"]
        self.false_negative += outcome["false negative"]
        self.unknown += outcome["unknown"]
        if not outcome["true"] and not outcome["absent"]:
            self.wrong.append((name, wanted, told))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.true + other.true,
            self.absent + other.absent,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.unknown + other.unknown,
            self.wrong + other.wrong,
        )


def compare(fact: str, wanted: Any, told: Any) -> Counter[str]:
    """Return what an answer is: true, absent, unknown, false positive or negative; a wrong name is both."""
    if wanted == "unknown" and told == "unknown":
        return Counter({"true": 1})
    if told == "unknown":
        there = fact in ONE_OF or not _values(wanted) <= {""}
        return Counter({"unknown": 1, "false negative": int(there)})
    if fact == "notebook_share":
        near = isinstance(told, int | float) and abs(wanted - told) <= 0.02
        return Counter({"true": 1} if near else {"false positive": 1, "false negative": 1})
    if fact in ONE_OF:
        right = told in (wanted if isinstance(wanted, list) else [wanted])
        return Counter({"true": 1} if right else {"false positive": 1, "false negative": 1})
    want, have = _values(wanted), _values(told)
    if have == {""}:
        return Counter({"absent": 1} if "" in want else {"false negative": 1})
    if want == {""}:
        return Counter({"false positive": 1})
    bare = {"true"} if fact != "seeds" else set()
    if want & have or bare in (want, have):
        return Counter({"true": 1})
    return Counter({"false positive": 1, "false negative": 1})


def read_labelled(path: Path) -> Labelled:
    """Read a repository from its text file."""
    head, *parts = ("\n" + path.read_text(encoding="utf-8")).split("\n--- ")
    why, _, stated = head.strip().partition("\n\n")
    said = yaml.safe_load(stated) or {}
    files = dict(_file(*part.partition("\n")) for part in parts)
    undecided = said.pop("undecided", [])
    git = said.pop("git", "yes") != "none"
    unheard = {*said, *undecided} - set(FACTS)
    assert not unheard, f"{path.name}: no such facts: {', '.join(sorted(unheard))}"
    usual = {"notebook_share": _share(files), "level": 0}
    facts = {name: said.get(name, usual.get(name, False)) for name in FACTS if name not in undecided}
    return Labelled(path.stem, why, facts, files, git)


def _values(value: Any) -> set[str]:
    """Return values as plain names, "" for absent."""
    several = value if isinstance(value, list | tuple | set) else [value]
    return {"" if one in ABSENT else _plain(one) for one in several} or {""}


def _plain(value: Any) -> str:
    if value in (True, "yes"):
        return "true"
    name = "".join(sign for sign in str(value).lower() if sign.isalnum())
    return SAME.get(name, name)


def _file(header: str, _: str, body: str) -> tuple[str, bytes | PurePosixPath]:
    path, _, option = header.strip().partition(" | ")
    if option.startswith("link: "):
        return path, PurePosixPath(option.removeprefix("link: "))
    body = body if not body or body.endswith("\n") else body + "\n"
    if path.endswith(".ipynb") and option != "raw":
        body = _notebook(body)
    return path, body.encode(ENCODINGS.get(option, "utf-8"))


def _notebook(body: str) -> str:
    cells = []
    for part in ("\n" + body).split("\n%%")[1:]:
        kind, _, source = part.partition("\n")
        cell: dict[str, Any] = {"cell_type": kind.strip() or "code", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell |= {"execution_count": len(cells) + 1, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1)


def _share(files: Mapping[str, bytes | PurePosixPath]) -> float:
    """Return the share of notebooks, for repositories whose files all count."""
    modules = notebooks = 0
    for path, content in files.items():
        if path.endswith(".py") and isinstance(content, bytes):
            modules += _filled(content.decode("utf-8", "replace").splitlines())
        elif path.endswith(".ipynb") and isinstance(content, bytes):
            cells = json.loads(content).get("cells", [])
            notebooks += sum(_filled(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return notebooks / (notebooks + modules) if notebooks else 0.0


def _filled(lines: Iterable[str]) -> int:
    return sum(1 for line in lines if line.strip())
