"""What a release changes in projects beyond its new files: one `Migration` per such release, oldest first.

The merge brings every changed line of the template. It cannot know that a file was renamed, that a setting
moved or that a stored document changed its format; each release declares that here. A step may run on a
project that already has it: then it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime_lib.upgrade.moved import GONE, MOVED
from runtime_lib.upgrade.rewrite import Moves, rewrite
from runtime_lib.upgrade.versions import version_of

__all__ = [
    "MIGRATIONS",
    "Migration",
    "migrate",
    "pending",
    "removals",
    "renames",
]

_HEADER = re.compile(r"\s*\[(?P<table>[^\[\]]+)\]")
_KEY = re.compile(r"(?P<indent>\s*)(?P<key>[\w-]+)(?P<rest>\s*=.*)", re.DOTALL)
_ENVIRONMENT = re.compile(r"(environments\.[^.]+\.)?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Migration:
    """What the release `version` changed in names that projects use.

    Attributes:
        version: the release, as in runtime_lib/VERSION.
        renamed: generated files, old path → new path; `{package}` is the project's package.
        removed: generated files that the template no longer has. A copy that the user edited stays.
        settings: keys of mlops.toml, "table.key" → its new name; "" if it was removed.
        moved: public names and modules of this library, old dotted name → new one. The project's Python
            files are rewritten.
        names: public names of this library that were removed, dotted → what to use instead.
        change: anything else (stages of dvc.yaml, stored formats), in the project's folder. Must change
            nothing the second time; returns a line for each thing that it did.
    """

    version: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[Path], list[str]] | None = None


MIGRATIONS: tuple[Migration, ...] = (Migration("0.5.0", moved=MOVED, names=GONE),)


def pending(commit: str, migrations: Iterable[Migration] | None = None) -> list[Migration]:
    """Return what was released after `commit`: a tag, or what `git describe` says of a commit past one.

    Everything, for a commit without a release before it.
    """
    every = MIGRATIONS if migrations is None else tuple(migrations)
    known = version_of(commit)
    return [
        migration for migration in every if known is None or (version_of(migration.version) or ()) > known
    ]


def renames(migrations: Iterable[Migration], package: str) -> dict[str, str]:
    """Return the renames of generated files, old path → newest path, through all of `migrations` in order."""
    moved: dict[str, str] = {}
    for migration in migrations:
        step = {_fill(old, package): _fill(new, package) for old, new in migration.renamed.items()}
        moved = {old: step.get(new, new) for old, new in moved.items()} | {
            old: new for old, new in step.items() if old not in moved.values()
        }
    return moved


def removals(migrations: Iterable[Migration], package: str) -> set[str]:
    """Return the generated files that any of `migrations` removed from the template."""
    return {_fill(path, package) for migration in migrations for path in migration.removed}


def migrate(project: Path, migrations: Iterable[Migration]) -> list[str]:
    """Run each step on the files of `project`, in order; return a line for each thing done."""
    done = []
    for migration in migrations:
        done += _move_settings(project / "mlops.toml", migration.settings)
        done += _move_names(project, Moves(migration.moved, migration.names))
        if migration.change:
            done += migration.change(project)
    return done


def _fill(path: str, package: str) -> str:
    return path.replace("{package}", package)


def _move_settings(file: Path, moved: Mapping[str, str]) -> list[str]:
    """Move keys of the settings file, in its tables and in those of every environment.

    Done line by line, so that comments, order and the spelling of values are kept.
    """
    if not moved or not file.is_file():
        return []
    lines: list[str] = []
    done: list[str] = []
    leaving: dict[str, list[str]] = {}
    table = ""
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if header := _HEADER.match(line):
            table = header["table"].strip()
        environment, name = _ENVIRONMENT.match(table).groups("")  # type: ignore[union-attr]
        key = _KEY.match(line)
        old = f"{name}.{key['key']}" if key else ""
        if key is None or old not in moved:
            lines.append(line)
            continue
        new_table, _, new_key = moved[old].rpartition(".")
        renamed = f"{new_key}{key['rest']}"
        if new_table == name:
            lines.append(key["indent"] + renamed)
        elif new_table:
            leaving.setdefault(environment + new_table, []).append(renamed)
        where = f"[{environment.rstrip('.')}] " if environment else ""
        done.append(
            f"mlops.toml: {where}{old} is {moved[old] or 'no longer used and was removed'}: {line.strip()}"
        )
    for table, keys in leaving.items():
        _insert(lines, table, keys)
    if done:
        file.write_text("".join(lines), encoding="utf-8")
    return done


def _move_names(project: Path, moves: Moves) -> list[str]:
    """Rewrite the project's Python files; return a line for each renamed use."""
    done = []
    for file in sorted(project.rglob("*.py")):
        content, renames = rewrite(file.read_bytes(), moves) if file.is_file() else (b"", [])
        if renames:
            file.write_bytes(content)
        path = file.relative_to(project).as_posix()
        done += [f"{path}:{each.line}: {each.old} is {each.new}" for each in renames]
    return done


def _insert(lines: list[str], table: str, keys: list[str]) -> None:
    """Put `keys` right below the header of `table`, which is added at the end if it is missing."""
    headers = [_HEADER.match(line) for line in lines]
    places = [i for i, header in enumerate(headers, start=1) if header and header["table"].strip() == table]
    if not places:
        lines += ["\n", f"[{table}]\n"]
    place = places[0] if places else len(lines)
    lines[place:place] = keys
