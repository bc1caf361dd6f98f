"""What runs DVC: the only module that imports it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from runtime_lib.errors import PipelineError, SettingsError, require
from runtime_lib.files import atomic_file

__all__ = ["reproduce"]

# The end of DVC's message when Ctrl-C ended the stage: by its exit code, or by the signal itself.
_INTERRUPTED = ("exited with 130", "exited with -2")


def reproduce(
    root: Path, stages: Sequence[str] = (), *, only: bool = False, force: bool = False
) -> list[str]:
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

    _drop_torn_lock(root)
    try:
        with _lock_kept(root), _stdout_to_stderr(), Repo(str(root), config=_without_git(root)) as repo:
            done = repo.reproduce(list(stages) or None, single_item=only, force=force)
    except ReproductionError as error:
        cause = str(error.__cause__ or "unknown cause")
        if cause.endswith(_INTERRUPTED):
            raise KeyboardInterrupt from error  # DVC itself ignores Ctrl-C while a stage runs
        # A stage says by its exit code that a setting is wrong, as every command does.
        kind = SettingsError if cause.endswith(f"exited with {SettingsError.exit_code}") else PipelineError
        raise kind(
            f"{error}: {cause}. {_ended(cause)} Fix the cause and run again: finished stages are kept."
        ) from error
    except DvcException as error:
        raise PipelineError(f"DVC: {error}") from error
    return [stage.addressing for stage in done]


def _ended(cause: str) -> str:
    """Where to read why a stage ended."""
    killed = re.search(r"exited with -([0-9]+)$", cause)
    if not killed:
        return "The stage's own message is above."
    why = "by a user, or by the system, which kills what takes too much memory"
    return f"It was killed ({signal.strsignal(int(killed[1]))}): {why}."


def _drop_torn_lock(root: Path) -> None:
    """Remove DVC's list of files in use if it is not JSON: DVC was killed while it wrote it.

    DVC would refuse every command until someone deleted the file. The caller holds the run's own lock, and
    DVC itself ignores entries of processes that are gone.
    """
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except ValueError:
        path.unlink(missing_ok=True)


@contextmanager
def _lock_kept(root: Path) -> Iterator[None]:
    """Put back the dvc.lock of before if the last run was killed while DVC wrote it; keep this run's.

    DVC writes it in place, and refuses every command over a torn one. What the killed run has finished is
    then taken from DVC's run cache. A file that is wrong for another reason is its owner's to fix.
    """
    lock, kept = root / "dvc.lock", root / ".dvc" / "tmp" / "dvc.lock.before"
    if kept.exists() and not _is_whole(lock):
        if before := kept.read_bytes():
            _write(lock, before)
        else:
            lock.unlink()
    # Where the folder is not DVC's own, making its folder would hide that from DVC.
    if (root / ".dvc").is_dir() and _is_whole(lock):
        kept.parent.mkdir(exist_ok=True)
        _write(kept, lock.read_bytes() if lock.exists() else b"")  # empty: there was none
    try:
        yield
    finally:
        if _is_whole(lock):
            kept.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _is_whole(lock: Path) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(lock.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return True
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return False
    return True


def _without_git(root: Path) -> dict[str, dict[str, bool]]:
    """Settings for DVC where there is no git; it finds git in the project or above it (a monorepo)."""
    folder = root.absolute()
    if any((place / ".git").exists() for place in (folder, *folder.parents)):
        return {}
    return {"core": {"no_scm": True}}


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what DVC and the stages print to stderr: stdout is for results, `--json` among them."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
