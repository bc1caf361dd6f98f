"""Files that the template owns: whether they still are as it made them, and how to get them back.

Owned is what an update has to be able to replace without asking, since it only wires the library's parts
together. Not owned, though the template writes them once: `load`, `features`, `model`, tests, params.yaml,
mlops.toml, README and runbook (the project's own); replay.py (part of the example, made to be replaced);
dvc.yaml (a network of one's own is named there as a dependency); .dvc/ and .dvcignore (`dvc remote` writes
there); .gitignore.
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

# Glob → where a change of one's own can live instead.
OWNED = {
    "src/*/stages.py": "put the code of a stage into a module of yours and name it under `cmd` in dvc.yaml",
    "dags/*_dags.py": "put DAGs of yours into a file beside it",
    ".github/workflows/ci.yml": "put jobs of yours into a workflow file beside it",
    ".github/workflows/update.yml": "put jobs of yours into a workflow file beside it",
    ".gitlab-ci.yml": "put jobs of yours into a file that it includes: one line to keep",
    ".pre-commit-config.yaml": "keep hooks of yours at the end, so that updates meet only their own lines",
    "noxfile.py": "keep sessions of yours at the end, so that updates meet only their own lines",
}
PACKAGING = "pyproject.toml"


def is_owned(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in OWNED)


def changed_by_hand(root: Path, made: Files, *, fence: bool = True) -> Iterator[Finding]:
    """Compare with what the template made; files that their owner deleted stay unmentioned.

    `fence` is off where the library's pins are a finding already.
    """
    for path in filter(is_owned, made):
        mine = _read(root / path)
        if mine is not None and _wiring(mine) != _wiring(made[path]) and not has_markers(mine):
            advice = next(advice for pattern, advice in OWNED.items() if fnmatchcase(path, pattern))
            found = f"the template's, changed by hand; {advice}"
            yield Finding(path, "note", found, f"{RESTORE} {path}  # takes the template's version back")
    mine = _read(root / PACKAGING)
    if fence and mine is not None and PACKAGING in made and not has_markers(mine):
        wanted = fences(made[PACKAGING].decode())
        held = fences(mine.decode(errors="replace"))
        if any(_bare(held.get(place, lines)) != _bare(lines) for place, lines in wanted.items()):
            found = (
                "fenced lines changed by hand; dependencies and extras of yours go below the fence (`uv add`)"
            )
            yield Finding(PACKAGING, "note", found, f"{RESTORE} {PACKAGING}")


def unanswered(answers: Answers, made: Files) -> Iterator[Finding]:
    """Compare the questions that the template asks with those that the project has an answer to."""
    asked = parse_answers(made[answers.file].decode(), answers.file).values
    if missing := {key: value for key, value in asked.items() if key not in answers.values}:
        said = ", ".join(f"{key}={_plain(value)}" for key, value in missing.items())
        found = f"questions never answered; the template's own answers are used: {said}"
        yield Finding(answers.file, "note", found, f"{RESTORE} {answers.file}  # writes them down")
    if unknown := sorted(set(answers.values) - set(asked)):
        found = f"answers to questions that the template does not ask: {', '.join(unknown)}"
        yield Finding(answers.file, "note", found, f"{RESTORE} {answers.file}  # takes them out")


def _wiring(content: bytes) -> bytes:
    """A file without the schedules of its DAGs, which can be set nowhere else."""
    return re.sub(rb"\bschedule=[^,)\n]*", b"", content)


def template_version(path: str, mine: bytes | None, made: Files) -> bytes:
    """Return what restoring `path` writes: of pyproject.toml only the fenced lines are the template's.

    Raises:
        UpgradeError: conflict markers, lists that are not written a line for each entry, or a line that is
            not the template's would be lost.
    """
    if path != PACKAGING or mine is None:
        return made[path]
    if has_markers(mine):
        raise UpgradeError(f"{path} holds conflict markers: resolve them first.")
    try:
        text = _fenced(mine.decode(), made[path].decode())
        tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UpgradeError(f"{path} is no valid TOML ({error}): mend it first.") from error
    if missing := lost(mine.decode(), text):
        raise UpgradeError(f"{path} would lose lines that are not the template's: {''.join(missing)}")
    return text.encode()


def _fenced(text: str, made: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    for place, lines in fences(made).items():
        block = [line.rstrip("\r\n") + end for line in lines]
        written = put(text, place, block)
        if written is None and place == PLACES[0]:
            raise UpgradeError(
                f"{PACKAGING} has no list {place} with a line for each entry. "
                f"Put these lines there:\n{''.join(block)}"
            )
        text = text if written is None else written  # a group that its owner removed stays away
    return text


def _bare(lines: list[str]) -> list[str]:
    return [line.rstrip() for line in lines]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
