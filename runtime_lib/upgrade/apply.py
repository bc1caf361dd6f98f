"""`mlops upgrade`: merge, migrate, lock and test in a copy; then one commit, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib.errors import UpgradeError
from runtime_lib.files import check_format, scratch_folder, write_json
from runtime_lib.pipeline.run_lock import hold
from runtime_lib.progress import step
from runtime_lib.settings.paths import Paths
from runtime_lib.upgrade.merge import has_markers
from runtime_lib.upgrade.plan import Plan, make_plan, write_files
from runtime_lib.upgrade.repository import Repository

__all__ = ["Checks", "abort", "finish", "journal", "refuse_waiting", "upgrade"]

_TAIL_LINES = 40
_FORMAT = 1  # of the journal that waits for --finish or --abort


@dataclass(frozen=True)
class Checks:
    """What is run on the merged files before they are committed."""

    lock: bool = True
    tests: bool = True


def upgrade(
    project: Path, *, ref: str, data: Mapping[str, Any] | None = None, checks: Checks = Checks()
) -> Plan:
    """Bring the project to the template's version `ref`; return what was done.

    Ends in one commit, or with conflicts in the files if both sides changed the same lines: then call
    `finish` or `abort`. After a failure, Ctrl-C or a kill the project is unchanged.

    Raises:
        UpgradeError: the tree is not clean, another upgrade waits, or the lock or a test fails.
        PipelineError: a run of the pipeline is under way.
    """
    repository = Repository.at(project)
    with hold(Paths(root=project).lock("run")):
        _refuse_unready(repository)
        before = repository.head
        with step("Compare the files"):
            plan = make_plan(project, ref=ref, data=data)
        if plan.empty:
            return plan
        _refuse_obstacles(repository, plan)
        with scratch_folder(_scratch()) as folder:
            merged = repository.export(folder, before)
            _apply(plan, merged)
            if plan.conflicts:
                _stop_for_conflicts(repository, plan, before, repository.tree(folder))
            else:
                tree = _checked(repository, folder, merged, checks)
                message = _message(plan.answers.commit, plan.ref, plan.lines())
                _refuse_moved(repository, before)
                repository.move_to(repository.commit(tree, message, parent=before))
    return plan


def finish(project: Path, *, checks: Checks = Checks()) -> str:
    """Continue after the conflicts of an upgrade are resolved; return the new commit.

    It contains all changes of tracked files, as with `git commit --all`; untracked files are left alone.

    Raises:
        UpgradeError: no upgrade waits, markers are left, or the lock or a test fails.
    """
    repository = Repository.at(project)
    waiting = journal(project)
    if waiting is None:
        raise UpgradeError("No upgrade is waiting to be finished here.")
    if not waiting["written"]:
        raise UpgradeError(
            "The upgrade was interrupted while it was writing files, so it cannot be finished: "
            "undo it with `mlops upgrade --abort`, then start it again."
        )
    with hold(Paths(root=project).lock("run")):
        files = [project / name for name in waiting["conflicts"] if (project / name).is_file()]
        if left := [str(file) for file in files if has_markers(file.read_bytes())]:
            raise UpgradeError(
                f"Conflict markers are left in {', '.join(left)}. Edit each file to what you want, without "
                f"the lines starting with <<<<<<<, |||||||, ======= or >>>>>>>; then run --finish again."
            )
        with scratch_folder(_scratch()) as folder:
            commit = head = repository.head
            merged = repository.export(folder, repository.snapshot(folder, head))
            tree = _checked(repository, folder, merged, checks)
            if tree != repository.git(
                "rev-parse", f"{head}^{{tree}}"
            ):  # else the user has committed it by hand
                commit = repository.commit(tree, waiting["message"], parent=head)
            _refuse_moved(repository, head)
            if (merged / "uv.lock").is_file():
                (project / "uv.lock").write_bytes((merged / "uv.lock").read_bytes())
        repository.unstoppable("add", "--update", "--", repository.scope)
        repository.unstoppable("update-ref", "-m", "mlops upgrade --finish", "HEAD", commit, head)
        _journal_file(repository).unlink()
    return commit


def abort(project: Path) -> None:
    """Undo an upgrade that waits for its conflicts to be resolved: restore the project as it was.

    Raises:
        UpgradeError: no upgrade waits, or something was committed in the meantime.
    """
    repository = Repository.at(project)
    waiting = journal(project)
    if waiting is None:
        raise UpgradeError("No upgrade is waiting here; there is nothing to undo.")
    if repository.head != waiting["before"]:
        raise UpgradeError(
            f"Something was committed since the upgrade began ({waiting['before'][:10]}). "
            f"If that is the upgrade, run `mlops upgrade --finish`; else undo it with git, then delete "
            f"{_journal_file(repository)}."
        )
    with hold(Paths(root=project).lock("run")):
        repository.restore(waiting["before"], waiting["merged"])
        _journal_file(repository).unlink()


def journal(project: Path) -> dict[str, Any] | None:
    """Return the journal of an upgrade that waits for the user, or None."""
    file = _journal_file(Repository.at(project))
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    check_format(content.get("format"), newest=_FORMAT, where=file, error=UpgradeError)
    return content


def _journal_file(repository: Repository) -> Path:
    # Each project of a monorepo has its own.
    return repository.folder / f"mlops-upgrade-{repository.prefix.replace('/', '-')}.json"


def refuse_waiting(repository: Repository) -> None:
    """Raise UpgradeError while an upgrade waits for its conflicts to be resolved."""
    if _journal_file(repository).exists():
        raise UpgradeError(
            "An upgrade is waiting here: resolve its conflicts, then run `uv run mlops upgrade --finish`; or "
            "undo it with `--abort`."
        )


def _refuse_unready(repository: Repository) -> None:
    repository.who()
    refuse_waiting(repository)
    changed = repository.changed()
    if changed == [" M uv.lock"]:  # `uv run` updates it before it starts anything
        raise UpgradeError(
            "uv.lock was behind pyproject.toml, and uv has updated it. "
            "Commit it, then start again: git commit -m 'Lock' uv.lock"
        )
    if changed:
        shown = "\n".join(f"  {line}" for line in changed[:10])
        more = f"\n  and {len(changed) - 10} more" if len(changed) > 10 else ""
        raise UpgradeError(
            f"The project has changes that are not committed:\n{shown}{more}\n"
            f"Commit them first, or set them aside with `git stash -u`."
        )


def _refuse_moved(repository: Repository, head: str) -> None:
    if repository.head != head:
        raise UpgradeError("Something was committed in the meantime, so nothing was changed. Start again.")


def _refuse_obstacles(repository: Repository, plan: Plan) -> None:
    wanted = [change.path for change in plan.changes if change.content is not None]
    if found := repository.in_the_way(wanted):
        raise UpgradeError(
            f"These would be overwritten by the template's files, and are not in git: {', '.join(found)}. "
            f"Move or remove them, then start again."
        )


def _apply(plan: Plan, folder: Path) -> None:
    for change in plan.changes:
        if change.came_from:
            (folder / change.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / change.came_from).rename(folder / change.path)  # keeps its permissions
        if change.kind == "deleted":
            (folder / change.path).unlink()
    written = {c.path: c.content for c in plan.changes if c.content is not None}
    for path in written:
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise UpgradeError(
                f"{path} is a link to a place outside the project, where a failure could not be undone. "
                f"Replace it by a copy, commit, then start again."
            )
    write_files(folder, written)


def _stop_for_conflicts(repository: Repository, plan: Plan, before: str, tree: str) -> None:
    """Write the merge to the project's files, with conflict markers and unmerged index entries."""
    stages = {}
    for change in plan.changes:
        if change.kind == "conflict":
            old = change.came_from or change.path
            mine = (repository.top / repository.prefix / old).read_bytes()
            stages[change.path] = (plan.base.get(old), mine, plan.theirs.get(change.path))
    message = _message(plan.answers.commit, plan.ref, plan.lines())
    file = _journal_file(repository)
    note = {
        "format": _FORMAT,
        "before": before,
        "merged": tree,
        "to": plan.ref,
        "conflicts": plan.conflicts,
        "message": message,
    }
    write_json(file, {**note, "written": False})
    # read-tree compares file times with the index, and takes a file with another time for an edited one.
    repository.unstoppable("add", "--refresh", "--", repository.scope)
    try:
        repository.unstoppable("read-tree", "-m", "-u", before, tree)
    except UpgradeError:  # git checks before it writes: nothing has changed
        file.unlink()
        raise
    repository.mark_unmerged(stages)
    write_json(file, {**note, "written": True})


def _checked(repository: Repository, folder: Path, project: Path, checks: Checks) -> str:
    """Lock, store the tree, run the project's tests on it; return the tree."""
    if checks.lock and (project / "uv.lock").is_file():
        with step("Lock the dependencies"):
            _uv(project, folder, "lock", hint="--no-lock leaves uv.lock as it is")
    tree = repository.tree(folder)  # before the tests leave anything behind
    if checks.tests:
        with step("Install the merged project"):
            _uv(project, folder, "sync", hint="--no-tests skips this")
        with step("Run its tests"):
            words = ("run", "--no-sync", "pytest", "-q", "-p", "no:cacheprovider")
            _uv(project, folder, *words, hint="--no-tests skips this")
    return tree


def _uv(project: Path, folder: Path, *words: str, hint: str) -> None:
    mine = ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")
    environment = {key: value for key, value in os.environ.items() if key not in mine}
    environment["UV_PROJECT_ENVIRONMENT"] = str(folder / "venv")
    try:
        done = subprocess.run(
            ["uv", *words], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UpgradeError(
            "uv is not installed, or not on PATH: install it, or give --no-lock --no-tests."
        ) from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        command = " ".join(("uv", *words))
        raise UpgradeError(
            f"`{command}` failed on the merged files, so nothing was changed ({hint}):\n{tail}"
        )


def _message(old: str, new: str, lines: list[str]) -> str:
    subject = f"Take version {new} of the template" if new != old else "Change answers to the template"
    return "\n".join((subject, "", f"From {old}. By file:", "", *lines))


def _scratch() -> Path:
    """Return a folder next to uv's cache, so that uv can link files instead of copying them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlops"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        cache = Path(tempfile.gettempdir())
    return cache / "upgrade"
