"""What an upgrade to another version of the template would change in a project; nothing is written."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers, parse_answers, read_answers
from runtime_lib.upgrade.deprecations import Use, uses
from runtime_lib.upgrade.merge import Change, compare
from runtime_lib.upgrade.migrations import Migration, migrate, pending, renames
from runtime_lib.upgrade.render import Files, read_files, render
from runtime_lib.upgrade.repository import Repository
from runtime_lib.upgrade.versions import version_of

__all__ = ["Plan", "make_plan"]

# In the order of printing: the most important is last, next to the prompt.
KINDS = {
    "added": "new in the template",
    "changed": "changed in the template, you have not touched it",
    "deleted": "no longer in the template, you have not touched it",
    "merged": "contains the changes of both sides",
    "moved": "renamed in the template, your edits are kept",
    "migrated": "changed by a migration",
    "gone": "you deleted it, and it stays deleted",
    "kept": "no longer in the template; you have edited it, so it is yours",
    "conflict": "both sides changed the same lines; resolve them",
}
_YES_OR_NO = ("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0")


@dataclass(frozen=True)
class Plan:
    """An upgrade, before it happens.

    Attributes:
        answers: what the project was created with.
        ref: the git ref of the template to upgrade to.
        changes: what happens to each file that changes.
        questions: new questions, with the answers used.
        changed_answers: old questions whose answers change.
        settings: what the migrations change in the project's own files, a line each.
        uses: where the project's code uses names that the library has removed or will remove.
        changelog: the sections of the releases since the project's.
        base, theirs: the template's files before and after, without the user's changes.
    """

    answers: Answers
    ref: str
    changes: tuple[Change, ...]
    questions: Mapping[str, Any]
    changed_answers: Mapping[str, Any]
    settings: tuple[str, ...]
    uses: tuple[Use, ...]
    changelog: str
    base: Files = field(repr=False)
    theirs: Files = field(repr=False)

    @property
    def conflicts(self) -> list[str]:
        return [change.path for change in self.changes if change.kind == "conflict"]

    @property
    def empty(self) -> bool:
        return not self.changes

    def lines(self) -> list[str]:
        """Return the report in plain text, for the commit message."""
        lines = []
        for kind in KINDS:
            for change in (change for change in self.changes if change.kind == kind):
                lines.append(f"{kind:<9} {change.path}{_detail(change)}")
        lines += [f"migrated  {line}" for line in self.settings]
        lines += [f"answer    {line}" for line in self.answer_lines()]
        return lines

    def answer_lines(self) -> list[str]:
        """Return the new and the changed answers, written as `--data` takes them."""
        new = [f"{key}={_spelt(value)} (new)" for key, value in self.questions.items()]
        was = self.answers.values
        return new + [
            f"{key}={_spelt(value)} (was {_spelt(was.get(key))})"
            for key, value in self.changed_answers.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "from": self.answers.commit,
            "to": self.ref,
            "files": [
                {"path": c.path, "kind": c.kind, "came_from": c.came_from, "reason": c.reason}
                for c in self.changes
            ],
            "counts": dict(Counter(change.kind for change in self.changes)),
            "questions": dict(self.questions),
            "changed_answers": dict(self.changed_answers),
            "settings": list(self.settings),
            "library": [asdict(use) for use in self.uses],
            "changelog": self.changelog,
        }


def make_plan(
    project: Path,
    *,
    ref: str,
    data: Mapping[str, Any] | None = None,
    migrations: Sequence[Migration] | None = None,
) -> Plan:
    """Compare the project at `project` with the template at `ref`; `data` overrides answers.

    Raises:
        UpgradeError: no answers, an unreachable template, a refused or unknown answer, an older version.
    """
    data = data or {}
    answers = read_answers(project)
    _refuse_older(answers.commit, ref)
    base = render(answers, ref=answers.commit)
    theirs = render(answers, ref=ref, changes=data)
    before, after = (
        parse_answers(files[answers.file].decode(), answers.file).values for files in (base, theirs)
    )
    _refuse_wrong(data, {**after, **before})
    steps = pending(answers.commit, migrations)
    moved = renames(steps, str(answers.values["project_package"]))
    mine = {path: (project / path).read_bytes() for path in Repository.at(project).files()}
    if data:
        base = _with_new_answers(answers, data, base, mine)
    untouched = {path for path, content in mine.items() if content == base.get(path)}
    migrated, done = _migrate(mine, steps)
    # Both sides of the merge are migrated, so that a migration is not a difference between the two.
    base, _ = _migrate(base, steps)
    # Copier's own record is never merged: the new one is always used.
    changes = compare(base, {**migrated, answers.file: base[answers.file]}, theirs, renamed=moved)
    changes = _with_migrated(changes, mine, migrated)
    if data and any(change.kind == "kept" for change in changes):
        changes = _switched_off(changes, render(answers, ref=ref))
    return Plan(
        answers=answers,
        ref=ref,
        changes=tuple(changes),
        questions={key: after[key] for key in after if key not in before},
        changed_answers={key: after[key] for key in after if key in before and before[key] != after[key]},
        # Python files that only the template wrote are not reported: they are replaced by the new ones.
        settings=tuple(line for line in done if line.partition(".py:")[0] + ".py" not in untouched),
        uses=tuple(uses(_python(migrated), removed={k: v for step in steps for k, v in step.names.items()})),
        changelog=changelog(since=answers.commit),
        base=base,
        theirs=theirs,
    )


def changelog(*, since: str) -> str:
    """Return the sections of CHANGELOG.md for the releases after `since`, newest first."""
    package = Path(__file__).parents[1]
    # Next to the package in a checkout, inside it once installed.
    file = next((f for f in (package / "CHANGELOG.md", package.parent / "CHANGELOG.md") if f.is_file()), None)
    if file is None:
        return ""
    sections = re.split(r"^(?=## )", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    known = version_of(since)
    newer = [s for s in sections if known is None or (version_of(s.removeprefix("## ")) or (99,)) > known]
    return "".join(newer).strip()


def _spelt(answer: Any) -> str:
    return str(answer).lower() if isinstance(answer, bool) else str(answer)


def _detail(change: Change) -> str:
    came_from = f" (was {change.came_from})" if change.came_from else ""
    reason = f" ({change.reason} by the new version)" if change.reason == "deleted" else ""
    return came_from + (reason or (f" ({change.reason})" if change.reason else ""))


def _refuse_older(commit: str, ref: str) -> None:
    old, new = version_of(commit), version_of(ref)
    if old and new and new < old:
        raise UpgradeError(
            f"The project follows {commit}; {ref} is older. Only newer versions are possible: to go back, "
            f"revert the commit that took the update."
        )


def _refuse_wrong(data: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(known))}."
            raise UpgradeError(f"The template asks no question '{key}' (--data). {hint}")
        # Copier takes every unknown word as a yes.
        if isinstance(known[key], bool) and str(data[key]).lower() not in _YES_OR_NO:
            raise UpgradeError(f"--data {key}={data[key]}: answer with true or false.")


def _with_new_answers(answers: Answers, data: Mapping[str, Any], base: Files, mine: Files) -> Files:
    """Add a base for files that only the new answers bring, but that the user already has.

    They were kept when their feature was switched off. With the old template's version as base, edits merge.
    """
    try:
        other = render(answers, ref=answers.commit, changes=data)
    except UpgradeError:  # the old version does not know such an answer
        return base
    return {**{path: content for path, content in other.items() if path in mine}, **base}


def _migrate(files: Files, steps: Sequence[Migration]) -> tuple[Files, list[str]]:
    if not steps:
        return files, []
    with tempfile.TemporaryDirectory(prefix="mlops-migrate-") as name:
        write_files(Path(name), files)
        done = migrate(Path(name), steps)
        return read_files(Path(name)), done


def _with_migrated(changes: list[Change], before: Files, after: Files) -> list[Change]:
    """Add what the migrations changed in files that the new version itself does not change."""
    touched = {path: after[path] for path in after if after[path] != before.get(path)}
    changes = [
        replace(change, content=touched.get(change.path)) if change.kind == "kept" else change
        for change in changes
    ]
    covered = {name for change in changes for name in (change.path, change.came_from)}
    more = [Change(path, "migrated", touched[path]) for path in touched if path not in covered]
    return sorted([*changes, *more], key=lambda change: change.path)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _switched_off(changes: list[Change], without: Files) -> list[Change]:
    """Mark the kept files that the new answers switch off; the new version removed the others."""
    return [
        replace(c, reason="switched off") if c.kind == "kept" and c.path in without else c for c in changes
    ]


def _python(files: Files) -> Files:
    return {path: content for path, content in files.items() if path.endswith(".py")}
