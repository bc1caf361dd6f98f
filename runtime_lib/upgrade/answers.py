"""The answers that a project was created with: template, version and choices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runtime_lib.errors import UpgradeError

__all__ = ["Answers", "address", "parse_answers", "read_answers"]

# Questions that only this template asks: another template may have its own answers file next to ours.
_OURS = ("project_package", "tracking_uri")
_HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


@dataclass(frozen=True)
class Answers:
    """`source` and `commit` as copier recorded them; `values` are the answers without copier's own keys."""

    file: str
    source: str
    commit: str
    values: dict[str, Any]


def read_answers(root: Path) -> Answers:
    """Return the answers of the project at `root`.

    Raises:
        UpgradeError: no answers file of this template, several, or one that cannot be read.
    """
    found = [path for path in sorted(root.glob(".copier-answers*.yml")) if _is_ours(path)]
    if not found:
        raise UpgradeError(
            f"No answers of this template in {root} (.copier-answers.yml). Was the file deleted? "
            f"`git log -- .copier-answers.yml` finds the last commit that has it, "
            f"`git restore --source COMMIT .copier-answers.yml` restores it."
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UpgradeError(
            f"This template has been applied to {root} more than once: {names}. Keep one of them."
        )
    return parse_answers(found[0].read_text(encoding="utf-8"), found[0].name)


def parse_answers(text: str, file: str) -> Answers:
    """Read the text of an answers file; `file` names it in messages.

    Raises:
        UpgradeError: not valid YAML, or without source or version.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UpgradeError(
            f"{file} is not valid YAML ({_where(error)}). Fix it, or restore it from git."
        ) from error
    if not isinstance(content, dict):
        raise UpgradeError(f"{file} contains {type(content).__name__}, not answers. Restore it from git.")
    missing = [key for key in ("_src_path", "_commit") if not content.get(key)]
    if missing:
        raise UpgradeError(
            f"{file} does not say which template, or which version of it, the project has "
            f"({', '.join(missing)}). Only projects made from a git repository can be updated."
        )
    values = {key: value for key, value in content.items() if not key.startswith("_")}
    return Answers(file, str(content["_src_path"]), str(content["_commit"]), values)


def address(source: str) -> str:
    """Return the address for git of a template's source as copier records it."""
    for short, host in _HOSTS.items():
        if source.startswith(short):
            return f"{host}{source.removeprefix(short).strip('/').removesuffix('.git')}.git"
    return source.removeprefix("git+")


def _is_ours(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return all(re.search(rf"^{key}:", text, re.MULTILINE) for key in _OURS)


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else str(error)
