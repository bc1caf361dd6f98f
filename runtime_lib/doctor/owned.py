"""Files that the template owns: whether they are unchanged, and how to restore them.

The template owns the files that only connect the library's parts: an update must be able to replace them.
It does not own these, which it writes once: `load`, `features`, `model`, tests, params.yaml, mlops.toml,
README and runbook (the project's own); replay.py (part of the example, meant to be replaced); dvc.yaml
(lists a custom network as a dependency); .dvc/ and .dvcignore (`dvc remote` writes there); .gitignore.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from runtime_lib.doctor.finding import Finding
from runtime_lib.doctor.skew import PLACES, RESTORE
from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers, parse_answers
from runtime_lib.upgrade.fence import fences, lost, put
from runtime_lib.upgrade.merge import has_markers
from runtime_lib.upgrade.render import Files

__all__ = ["OWNED", "changed_by_hand", "is_owned", "template_version", "unanswered"]

# Glob → where the user can make such a change instead.
OWNED = {
    "src/*/stages.py": "put a stage's code into your own module and name it under `cmd` in dvc.yaml",
    "dags/*_dags.py": "put your own DAGs into another file next to it",
    ".github/workflows/ci.yml": "put your own jobs into another workflow file next to it",
    ".github/workflows/update.yml": "put your own jobs into another workflow file next to it",
    ".gitlab-ci.yml": "put your own jobs into another file, and keep only the `include` line here",
    ".pre-commit-config.yaml": "keep your own hooks at the end, where updates do not touch them",
    "noxfile.py": "keep your own sessions at the end, where updates do not touch them",
}
PACKAGING = "pyproject.toml"


def is_owned(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in OWNED)


def changed_by_hand(root: Path, made: Files, *, fence: bool = True) -> Iterator[Finding]:
    """Compare with what the template made; files that the user deleted are not reported.

    `fence` is False if the library's pins are already a finding.
    """
    for path in filter(is_owned, made):
        mine = _read(root / path)
        if mine is not None and _wiring(mine) != _wiring(made[path]) and not has_markers(mine):
            advice = next(advice for pattern, advice in OWNED.items() if fnmatchcase(path, pattern))
            found = f"a file of the template, changed by hand; {advice}"
            yield Finding(path, "note", found, f"{RESTORE} {path}  # restores the template's version")
    mine = _read(root / PACKAGING)
    if fence and mine is not None and PACKAGING in made and not has_markers(mine):
        wanted = fences(made[PACKAGING].decode())
        held = fences(mine.decode(errors="replace"))
        if any(_bare(held.get(place, lines)) != _bare(lines) for place, lines in wanted.items()):
            found = (
                "fenced lines changed by hand; your own dependencies and extras go below the fence (`uv add`)"
            )
            yield Finding(PACKAGING, "note", found, f"{RESTORE} {PACKAGING}")


def unanswered(answers: Answers, made: Files) -> Iterator[Finding]:
    """Compare the template's questions with the project's answers."""
    asked = parse_answers(made[answers.file].decode(), answers.file).values
    if missing := {key: value for key, value in asked.items() if key not in answers.values}:
        said = ", ".join(f"{key}={_plain(value)}" for key, value in missing.items())
        found = f"questions never answered; the template's defaults are used: {said}"
        yield Finding(answers.file, "note", found, f"{RESTORE} {answers.file}  # writes them down")
    if unknown := sorted(set(answers.values) - set(asked)):
        found = f"answers to questions that the template does not ask: {', '.join(unknown)}"
        yield Finding(answers.file, "note", found, f"{RESTORE} {answers.file}  # takes them out")


def _wiring(content: bytes) -> bytes:
    """Return a file without its DAGs' schedules: they can be set only here, so a change is allowed."""
    return re.sub(rb"\bschedule=[^,)\n]*", b"", content)


def template_version(path: str, mine: bytes | None, made: Files) -> bytes:
    """Return what restoring `path` writes; in pyproject.toml only the fenced lines are replaced.

    Raises:
        UpgradeError: there are conflict markers, a list does not have one entry per line, or a line of the
            user would be lost.
    """
    if path != PACKAGING or mine is None:
        return made[path]
    if has_markers(mine):
        raise UpgradeError(f"{path} contains conflict markers: resolve them first.")
    try:
        text = _fenced(mine.decode(), made[path].decode())
        tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UpgradeError(f"{path} is not valid TOML ({error}): fix it first.") from error
    if missing := lost(mine.decode(), text):
        raise UpgradeError(f"{path} would lose lines of your own: {''.join(missing)}")
    return text.encode()


def _fenced(text: str, made: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    for place, lines in fences(made).items():
        block = [line.rstrip("\r\n") + end for line in lines]
        written = put(text, place, block)
        if written is None and place == PLACES[0]:
            raise UpgradeError(
                f"{PACKAGING} has no list {place} with one entry per line. "
                f"Put these lines there:\n{''.join(block)}"
            )
        text = text if written is None else written  # a group that the user removed is not added again
    return text


def _bare(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
