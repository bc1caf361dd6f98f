"""Render the template at one version with one project's answers, as files in memory."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runtime_lib.errors import UpgradeError, require
from runtime_lib.upgrade.answers import Answers, parse_answers

__all__ = ["Files", "read_files", "render"]

# Copier raises the same kind of error for everything; these are not about answers.
_NOT_THERE = ("Unknown revision", "Local template must be a directory")
# Git sets these for its hooks. With them, copier's clone would write to the project's index.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
# Path relative to the project, with forward slashes → content.
Files = dict[str, bytes]


def render(answers: Answers, *, ref: str, changes: Mapping[str, Any] | None = None) -> Files:
    """Render the template of `answers` at the git ref `ref`; `changes` override the stored answers.

    New questions get their defaults. The project is neither read nor written.

    Raises:
        UpgradeError: the template or the ref cannot be reached, or an answer is refused.
    """
    copier = require("copier", extra="upgrade")
    errors = require("copier.errors", extra="upgrade")
    plumbum = require("plumbum", extra="upgrade")
    with (
        tempfile.TemporaryDirectory(prefix="mlops-render-") as name,
        warnings.catch_warnings(),
        plumbum.local.env(),
    ):
        warnings.simplefilter("ignore", errors.ShallowCloneWarning)
        for variable in _OF_HOOKS:
            plumbum.local.env.pop(variable, None)
        folder = Path(name) / "project"
        folder.mkdir()
        # Stored answers are read from their file, as in an update: if a question is no longer asked because
        # another answer changed, its default is used.
        (folder / answers.file).write_text(yaml.safe_dump(answers.values), encoding="utf-8")
        try:
            copier.run_copy(
                answers.source,
                folder,
                data=dict(changes or {}),
                answers_file=answers.file,
                vcs_ref=ref,
                defaults=True,
                overwrite=True,
                quiet=True,
            )
        except plumbum.ProcessExecutionError as error:
            said = (str(error.stderr).strip().splitlines() or [str(error)])[-1]
            raise UpgradeError(f"The template at version {ref} cannot be reached: {said}") from error
        except (ValueError, errors.CopierError) as error:
            if any(words in str(error) for words in _NOT_THERE):
                raise UpgradeError(f"{answers.source} at version {ref} cannot be reached: {error}") from error
            raise UpgradeError(
                f"The template at version {ref} refuses an answer: {error} "
                f"Give another one with --data QUESTION=ANSWER."
            ) from error
        files = read_files(folder)
    _refuse_lost_answers(answers, ref, files, changes or {})
    return files


def _refuse_lost_answers(answers: Answers, ref: str, files: Files, changes: Mapping[str, Any]) -> None:
    """Copier silently uses the default if the template no longer accepts a stored answer."""
    now = parse_answers(files[answers.file].decode("utf-8"), answers.file).values
    for key, value in answers.values.items():
        if key not in changes and now.get(key, value) != value:
            raise UpgradeError(
                f"The template at version {ref} no longer accepts the answer {key}={value}; it would become "
                f"{key}={now[key]}. Choose with --data {key}=ANSWER."
            )


def read_files(folder: Path) -> Files:
    """Return every file below `folder`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
