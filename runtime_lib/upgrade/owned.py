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

from runtime_lib.errors import UpgradeError
from runtime_lib.upgrade.answers import Answers, parse_answers
from runtime_lib.upgrade.compare import has_markers
from runtime_lib.upgrade.drift import PLACES, RESTORE
from runtime_lib.upgrade.finding import Finding
from runtime_lib.upgrade.lockstep import FENCE
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

_START, _END = FENCE


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
        wanted = _fences(made[PACKAGING].decode())
        held = _fences(mine.decode(errors="replace"))
        if any(held.get(place, lines) != lines for place, lines in wanted.items()):
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
        UpgradeError: conflict markers, or lists that are not written a line for each entry.
    """
    if path != PACKAGING or mine is None:
        return made[path]
    if has_markers(mine):
        raise UpgradeError(f"{path} holds conflict markers: resolve them first.")
    text = mine.decode()
    for place, lines in _fences(made[path].decode()).items():
        text = _put(text, place, lines)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UpgradeError(f"{path} is no valid TOML ({error}): mend it first.") from error
    return text.encode()


def _fences(text: str) -> dict[str, list[str]]:
    """The list of pyproject.toml → the fenced lines in it, with their fence."""
    found: dict[str, list[str]] = {}
    inside = False
    for place, line in _placed(text):
        inside = inside or line.strip().startswith(_START)
        if inside:
            found.setdefault(place, []).append(line)
        inside = inside and not line.strip().startswith(_END)
    return found


def _placed(text: str) -> Iterator[tuple[str, str]]:
    """Each line with the list that it stands in, such as `dependency-groups.dev`."""
    table = key = ""
    for line in text.splitlines(keepends=True):
        if header := re.match(r"\[+([^\[\]]+)\]+\s*(#.*)?$", line):
            table, key = header[1].strip(), ""
        elif opened := re.match(r"([\w-]+)\s*=\s*\[\s*(#.*)?$", line):
            key = opened[1]
        elif line.startswith("]"):
            key = ""
        yield f"{table}.{key}", line


def _put(text: str, place: str, block: list[str]) -> str:
    """Replace the library's lines of one list by `block`, at its top; all other lines stay."""
    lines, inside, found = [], False, False
    for at, line in _placed(text):
        fresh = at == place and not found
        inside = inside or (at == place and line.strip().startswith(_START))
        ours = inside or (at == place and re.match(r"\s*[\"']runtime[-_.]lib\b", line))
        inside = inside and not line.strip().startswith(_END)
        if not ours:
            lines.append(line)
        if fresh:  # the line that opens the list
            found = True
            lines += block
    if not found and place == PLACES[0]:
        raise UpgradeError(
            f"{PACKAGING} has no list {place} with a line for each entry. "
            f"Put these lines there:\n{''.join(block)}"
        )
    return "".join(lines)  # a group that its owner removed stays away


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
