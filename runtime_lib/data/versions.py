"""DVC, the only place that imports it: run stages, and say what versions the data has."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime_lib.errors import PipelineError, require

__all__ = ["reproduce"]


def reproduce(root: Path, stages: Sequence[str] = (), *, only: bool = False, force: bool = False) -> list[str]:
    """Bring the pipeline up to date and return the names of the stages that ran.

    Args:
        root: the project's folder.
        stages: where to stop (default: everything).
        only: run just these stages, not the ones they depend on.
        force: run them even if nothing changed.

    Raises:
        PipelineError: a stage failed, or a file of DVC cannot be read.
    """
    require("dvc", extra="data")
    from dvc.exceptions import DvcException, ReproductionError
    from dvc.repo import Repo

    try:
        with _told(), Repo(str(root), config=_without_git(root)) as repo:
            done = repo.reproduce(list(stages) or None, single_item=only, force=force)
    except ReproductionError as error:
        raise PipelineError(
            f"{error}: {error.__cause__ or ''} Its message stands above. Mend the cause and run again: "
            f"finished stages are kept."
        ) from error
    except DvcException as error:
        raise PipelineError(f"DVC: {error}") from error
    return [stage.addressing for stage in done]


def _without_git(root: Path) -> dict[str, dict[str, bool]]:
    """Outside a git repository DVC has to be told so; in one it must not be."""
    inside = any((folder / ".git").exists() for folder in (root, *root.parents))
    return {} if inside else {"core": {"no_scm": True}}


@contextmanager
def _told() -> Iterator[None]:
    """Let DVC say on stderr which stage runs and which did not change."""
    logger = logging.getLogger("dvc")
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: record.levelno >= logging.INFO and record.name.startswith("dvc.stage") or record.levelno >= logging.WARNING)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
