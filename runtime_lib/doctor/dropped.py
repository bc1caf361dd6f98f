"""Find edits that a plain `copier update` dropped, and restore them from git.

When the template removes, renames or switches off a file, copier deletes it and does not mention the lines
that its user had added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.doctor.owned import PACKAGING, is_owned, template_version
from runtime_lib.errors import UpgradeError
from runtime_lib.files import atomic_file
from runtime_lib.upgrade import git as history
from runtime_lib.upgrade.answers import read_answers
from runtime_lib.upgrade.git import Update
from runtime_lib.upgrade.merge import Change, compare, has_markers, merge
from runtime_lib.upgrade.migrations import pending, renames
from runtime_lib.upgrade.render import Files
from runtime_lib.upgrade.rendering import Renderings
from runtime_lib.upgrade.versions import version_of

__all__ = ["Dropped", "dropped", "restore"]


@dataclass(frozen=True)
class Dropped:
    """Edits that an update dropped.

    Attributes:
        path: the file to restore them to.
        content: the whole file with the edits in it; `clean` unless conflict markers are in there.
        fresh: whether `path` does not exist, or holds exactly what the update wrote.
        came_from: the old name, where the template renamed the file.
        update: the update that dropped them.
    """

    path: str
    content: bytes
    fresh: bool
    came_from: str
    clean: bool
    update: Update


def dropped(root: Path, renderings: Renderings) -> list[Dropped]:
    """Return the edits that updates dropped and nobody has restored, newest first.

    Raises:
        UpgradeError: no readable answers, or the template cannot be rendered at one of the versions.
        MissingExtraError: copier is not installed.
    """
    if not history.in_git(root):
        return []
    found: dict[str, Dropped] = {}
    for update in history.updates(root, read_answers(root)):
        for lost in _by(root, update, renderings):
            found.setdefault(lost.path, lost)
    return list(found.values())


def restore(root: Path, names: list[str], renderings: Renderings) -> list[tuple[str, bool]]:
    """Restore dropped edits, or the template's version of a file that it owns; `all`: all dropped edits.

    Returns:
        The files written, each with whether it is free of conflict markers.

    Raises:
        UpgradeError: a file has nothing to restore, or has uncommitted changes. Nothing is written.
        MissingExtraError: copier is not installed.
    """
    lost = {drop.path: drop for drop in dropped(root, renderings)}
    wanted = list(lost) if names == ["all"] else [_relative(root, name, lost) for name in names]
    writes: dict[str, tuple[bytes, bool]] = {}
    for path in wanted:
        if path in lost:
            _refuse_newer_edits(root, lost[path])
            writes[path] = (lost[path].content, lost[path].clean)
        else:
            writes[path] = (_of_template(root, path, renderings), True)
    for path, (content, _) in writes.items():
        with atomic_file(root / path) as temporary:
            temporary.write_bytes(content)
            if (root / path).exists():
                temporary.chmod((root / path).stat().st_mode)
    return [(path, clean) for path, (_, clean) in writes.items()]


def _by(root: Path, update: Update, renderings: Renderings) -> Iterator[Dropped]:
    """Yield what one update dropped. The template is rendered only if the update deleted a file."""
    before = history.files_at(root, update.before)
    left = _names_after(root, update)
    away = sorted(path for path in before if path not in left)
    if not away:
        return
    base = renderings.before(update.old, update.new)
    mine = {path: history.file_at(root, update.before, path) for path in away if path in base}
    edited = {path: content for path, content in mine.items() if content not in (None, base[path])}
    if not edited:
        return
    theirs = renderings.at(update.new)
    yours: Files = {path: content for path, content in edited.items() if content is not None}
    # If the user already had a file of the new name, the edits are restored under the old name.
    renamed = {old: new for old, new in _renamed(update).items() if new not in before}
    for change in compare({p: base[p] for p in yours}, yours, theirs, renamed=renamed):
        lost = _lost(root, update, change, yours, base, theirs)
        if lost:
            yield lost


def _lost(
    root: Path, update: Update, change: Change, mine: Files, base: Files, theirs: Files
) -> Dropped | None:
    old = change.came_from or change.path
    if old not in mine or _reported(
        root, update, old
    ):  # a new file of the template, or one that the update reported
        return None
    if not change.came_from:
        if change.kind != "kept" or (root / old).exists() or _touched_since(root, update, old):
            return None
        return Dropped(old, mine[old], True, "", True, update)
    if not (root / change.path).is_file():  # the new file was deleted later, on purpose
        return None
    now = (root / change.path).read_bytes()
    if has_markers(now):  # already a finding, and both sides are still in the file
        return None
    fresh = now == theirs[change.path]
    content, clean = _merged(change) if fresh else merge(now, base[old], mine[old])
    if content == now or _holds(now, mine[old], base[old]):
        return None
    return Dropped(change.path, content, fresh, old, clean, update)


def _reported(root: Path, update: Update, path: str) -> bool:
    """Whether the update was an `mlops upgrade` whose commit names the file: then the user has decided."""
    if not update.after:
        return False
    message = (history.git(root, "log", "-1", "--format=%B", update.after) or b"").decode(errors="replace")
    lines = [line.split(maxsplit=1) for line in message.splitlines()]
    names = [words[1] for words in lines if len(words) == 2 and words[0] in ("moved", "conflict", "kept")]
    return any(name.startswith(f"{path} ") or name == path or f"(was {path})" in name for name in names)


def _merged(change: Change) -> tuple[bytes, bool]:
    return change.content or b"", change.kind != "conflict"


def _holds(now: bytes, mine: bytes, base: bytes) -> bool:
    """Whether the file contains every line that the user had added."""
    added = set(mine.splitlines()) - set(base.splitlines())
    return bool(added) and added <= set(now.splitlines())


def _names_after(root: Path, update: Update) -> set[str]:
    if update.after:
        return history.files_at(root, update.after)
    return {name for name in history.files(root) if (root / name).exists()}


def _touched_since(root: Path, update: Update, path: str) -> bool:
    """Whether a later commit touched the file: it is gone again, so it was deleted on purpose."""
    if not update.after:
        return False
    return bool(history.git(root, "log", "-1", "--format=%H", f"{update.after}..HEAD", "--", path))


def _renamed(update: Update) -> dict[str, str]:
    """Return the renames of the releases that this update covers, not of later ones."""
    upto = version_of(update.new.commit)
    steps = [
        step
        for step in pending(update.old.commit)
        if upto is None or (version_of(step.version) or ()) <= upto
    ]
    return renames(steps, str(update.old.values.get("project_package", "")))


def _refuse_newer_edits(root: Path, lost: Dropped) -> None:
    """What the update wrote may be overwritten; later changes only if they are committed."""
    if not lost.fresh and history.changed_since_head(root, lost.path):
        raise UpgradeError(
            f"{lost.path} has changes that are not committed: commit them, then run --restore again."
        )


def _of_template(root: Path, path: str, renderings: Renderings) -> bytes:
    answers = read_answers(root)
    made = renderings.at(answers)
    known = path in made and (is_owned(path) or path in (PACKAGING, answers.file))
    if not known:
        raise UpgradeError(
            f"Nothing was dropped from {path}, and the template does not own it. "
            f"`mlops doctor` names the files that can be restored."
        )
    mine = (root / path).read_bytes() if (root / path).is_file() else None
    # In these two files only the template's lines are written, so uncommitted edits are kept.
    partly = path in (PACKAGING, answers.file)
    if mine not in (None, made[path]) and not partly:
        if not history.in_git(root):
            raise UpgradeError(
                f"{path} is not in git, so its content would be lost: move it elsewhere first."
            )
        if history.changed_since_head(root, path):
            raise UpgradeError(
                f"{path} has changes that are not committed: commit them, then run --restore again."
            )
    return template_version(path, mine, made)


def _relative(root: Path, name: str, known: dict[str, Dropped]) -> str:
    """Accept names relative to the project, as the doctor prints them, or to the current folder."""
    if name in known or (root / name).exists():
        return Path(name).as_posix()
    return Path(os.path.relpath(Path.cwd() / name, root)).as_posix()
