"""What runs DVC: the only module that imports it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runtime_lib.errors import PipelineError, SettingsError, require
from runtime_lib.files import atomic_file

__all__ = ["Standing", "reproduce", "standing"]

# The end of DVC's message when Ctrl-C ended the stage: by its exit code, or by the signal itself.
_INTERRUPTED = ("exited with 130", "exited with -2")


@dataclass(frozen=True)
class Standing:
    """How a stage stands.

    `changed`: DVC would run it. `key`: a digest of all that it depends on. `recorded`: the hash of its output
    in `dvc.lock`, "" if there is none. `true`: output and key are those of `dvc.lock`.
    """

    changed: bool
    key: str
    recorded: str
    true: bool


def standing(root: Path, name: str, out: Path, *, but: Collection[str] = ()) -> Standing:
    """Compare a stage with what `dvc.lock` says of it; nothing is changed.

    Args:
        out: the output that is meant.
        but: parameters (`table.key`) that the key leaves out.
    """
    from dvc.exceptions import DvcException

    _drop_torn_lock(root)
    try:
        with _lock_kept(root), _repo(root) as repo, repo.lock:
            (stage,) = repo.stage.collect(name)
            key, recorded = (_key(stage, but, now=now) for now in (True, False))
            found = [o for o in stage.outs if Path(o.fs_path) == out.absolute() and o.hash_info]
            true = bool(found) and key == recorded and not found[0].status()
            return Standing(stage.changed(), key, found[0].hash_info.value if found else "", true)
    except DvcException as error:
        raise PipelineError(f"DVC: {error}") from error


def _key(stage: Any, but: Collection[str], *, now: bool) -> str:
    """Digest what a stage depends on: as it is now, or as `dvc.lock` has it."""
    from dvc.dependency import ParamsDependency

    found: list[Any] = [stage.cmd if now or not stage.cmd_changed else None]
    for dep in stage.deps:
        if not isinstance(dep, ParamsDependency):
            found.append((dep.def_path, (dep.get_hash() if now and dep.exists else dep.hash_info).value))
            continue
        values = dep.read_params() if now else dep.hash_info.value or {}
        found.append((dep.def_path, _without(values, but)))
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()


def _without(values: Mapping[str, Any], but: Collection[str], above: str = "") -> dict[str, Any]:
    return {
        key: _without(value, but, f"{above}{key}.") if isinstance(value, Mapping) else value
        for key, value in values.items()
        if f"{above}{key}" not in but
    }


def reproduce(
    root: Path,
    stages: Sequence[str] = (),
    *,
    only: bool = False,
    force: bool = False,
    run_cache: bool = True,
) -> list[str]:
    """Bring the pipeline up to date and return the names of the stages that ran.

    A stage that fails leaves the outputs that `dvc.lock` names: DVC deletes them before it starts a stage.

    Args:
        root: the project's folder.
        stages: where to stop (default: everything).
        only: run just these stages, not the ones they depend on.
        force: run them even if nothing changed.
        run_cache: take the outputs of an earlier run with the same inputs, if DVC has them. Its cache knows
            a run by command, dependencies and parameters, and gives back the newest.

    Raises:
        PipelineError: a stage failed, or a file of DVC cannot be read.
    """
    require("dvc", extra="data")
    from dvc.exceptions import DvcException, ReproductionError

    _without_hints()
    _drop_torn_lock(root)
    try:
        with _lock_kept(root), _stdout_to_stderr(), _repo(root) as repo, _outputs_kept(repo):
            done = repo.reproduce(list(stages) or None, single_item=only, force=force, run_cache=run_cache)
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


def _repo(root: Path) -> Any:
    require("dvc", extra="data")
    from dvc.repo import Repo

    return Repo(str(root), config=_without_git(root))


@contextmanager
def _outputs_kept(repo: Any) -> Iterator[None]:
    """If a stage fails, bring back its outputs of `dvc.lock`, as far as the cache has them."""
    from dvc.exceptions import DvcException, ReproductionError

    try:
        yield
    except ReproductionError as error:
        failed = (stage for stage in repo.index.stages if repr(stage.addressing) in str(error))
        outs = (out for stage in failed for out in stage.outs if out.use_cache and out.hash_info)
        if paths := [out.fs_path for out in outs]:
            with suppress(DvcException):  # the stage's own failure is what matters
                repo.checkout(paths, force=True, allow_missing=True)
        raise


def _without_hints() -> None:
    """Leave out what DVC says at each stage and end about dvc.lock, which a project's README says once."""
    from dvc import dvcfile
    from dvc.repo import scm_context

    for module in (dvcfile, scm_context):
        module.logger.setLevel(logging.WARNING)


def _ended(cause: str) -> str:
    """Where to read why a stage ended."""
    killed = re.search(r"exited with -([0-9]+)$", cause)
    if not killed:
        return "The stage's own message is above."
    number = int(killed[1])
    if number in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV):
        return f"A library in it crashed ({signal.strsignal(number)}); what it said is above."
    why = "by a user, or by the system, which kills what takes too much memory"
    return f"It was killed ({signal.strsignal(number)}): {why}."


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
