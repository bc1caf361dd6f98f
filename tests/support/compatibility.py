"""What of one version of this library breaks projects under the next: names, settings, the command line.

Promised are the names in docs/api.md; docs/decisions/0017-small-promise.md says why. Names are compared from
source by griffe; settings and commands are what each version's own code says of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe

from runtime_lib.upgrade.deprecations import Library
from runtime_lib.upgrade.migrations import MIGRATIONS, Migration
from runtime_lib.upgrade.moved import MOVED
from runtime_lib.upgrade.rewrite import Moves
from runtime_lib.upgrade.versions import version_of
from tests.support.releases import REPOSITORY

# Another default, value or annotation is no break in itself.
BREAKS = {
    griffe.BreakageKind.OBJECT_REMOVED,
    griffe.BreakageKind.OBJECT_CHANGED_KIND,
    griffe.BreakageKind.PARAMETER_REMOVED,
    griffe.BreakageKind.PARAMETER_ADDED_REQUIRED,
    griffe.BreakageKind.PARAMETER_MOVED,
    griffe.BreakageKind.PARAMETER_CHANGED_KIND,
    griffe.BreakageKind.PARAMETER_CHANGED_REQUIRED,
}
# Run by each version's own code.
INVENTORY = """
import json, msgspec
from typer.main import get_command
from runtime_lib import settings
from runtime_lib.cli.app import app

fields = {field.name: field.type for field in msgspec.structs.fields(settings.Settings)}
tables = {k: t for k, t in fields.items() if isinstance(t, type) and issubclass(t, msgspec.Struct)}
commands = {}
def take(name, command):
    commands[name] = bool(command.deprecated)
    for option in command.params:
        gone = command.deprecated or getattr(option, "deprecated", False)
        commands.update({f"{name} {word}": bool(gone) for word in (*option.opts, *option.secondary_opts)})
    for inner, its in getattr(command, "commands", {}).items():
        take(f"{name} {inner}", its)
for name, command in get_command(app).commands.items():
    take(name, command)
print(json.dumps({
    "settings": {k: msgspec.json.schema(t)["$defs"][t.__name__] for k, t in tables.items()},
    "renamed": {old: until for old, (_, until) in getattr(settings, "RENAMED", {}).items()},
    "commands": commands,
}))
"""


@dataclass(frozen=True)
class Break:
    """`name`: what breaks; `how`: in words; `removed`: it is gone, which a deprecation can announce."""

    name: str
    how: str
    removed: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.how}"


def breaking(
    old: Path, new: Path, *, version: str = "", migrations: Iterable[Migration] | None = None
) -> list[str]:
    """Return what breaks the projects of `old` under `new` and was not announced, a line each.

    A name may go where `old` had it deprecated and a migration says what to use instead; a constant or a
    module, which cannot be deprecated, where a migration does. A setting may go where `new` still reads it
    for the whole minor version and a migration rewrites it; a command or option where `old` had it
    deprecated.

    Args:
        old, new: folders that hold `runtime_lib` and docs/api.md.
        version: what `new` will be released as; default: the next minor version after `old`.
        migrations: default: those of this library.
    """
    steps = MIGRATIONS if migrations is None else tuple(migrations)
    major, minor, _ = version_of(version) or _next_minor(old)
    before, after = _inventory(old), _inventory(new)
    still_read = {key for key, until in after["renamed"].items() if _pair(until) > (major, minor)}
    told = {name for step in steps for name in step.names}
    told_keys = {key for step in steps for key in step.settings}
    return [
        *(str(found) for found in removed_or_changed(old, new) if not _announced(found, old, told)),
        *(str(found) for found in _settings(before, after) if found.name not in still_read & told_keys),
        *(str(found) for found in _commands(before["commands"], after["commands"])),
    ]


def listed(page: Path) -> list[str]:
    """Return the names that a docs/api.md promises."""
    return re.findall(r"^\| `([\w.]+)` \|", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


def promised(library: Path) -> dict[str, str]:
    """Return the names that a version promises, and where each is today.

    Releases before 0.5.0 have no list: there it is today's, under the names of that time.
    """
    page = library / "docs/api.md"
    if page.is_file():
        return {name: name for name in listed(page)}
    own, moves = Library(library / "runtime_lib"), Moves(MOVED)
    places = [f"{module}:{name}" for module in own.modules() for name in own.exports(module)]
    was = {moves.at(place): place.replace(":", ".") for place in places}
    return {was[name]: name for name in listed(REPOSITORY / "docs/api.md") if name in was}


def removed_or_changed(old: Path, new: Path) -> list[Break]:
    """Return every promised name of `old` that `new` lacks or takes other arguments for."""
    before, after = _load(old), _load(new)
    found = []
    for name, now in promised(old).items():
        one, other = _find(before, name), _find(after, now) or _find(after, name)
        assert one is not None, f"{name} is promised and not there"
        if other is None:
            found.append(Break(name, "removed", removed=True))
        else:
            found += [*_changed(one, other), *_bases(one, other)]
    return found


def _changed(one: Any, other: Any) -> Iterator[Break]:
    # Griffe compares what two modules hold.
    pair = griffe.Module("before"), griffe.Module("after")
    for module, each in zip(pair, (one, other), strict=True):
        module.members["promised"] = each
    for breakage in griffe.find_breaking_changes(*pair):
        if breakage.kind is griffe.BreakageKind.OBJECT_REMOVED:
            yield Break(breakage.obj.path, "removed", removed=True)
        elif breakage.kind in BREAKS and not (breakage.obj.name == "__init__" and _made_here_alone(one)):
            of = breakage.old_value or breakage.new_value
            what = f" '{of.name}'" if isinstance(of, griffe.Parameter) else ""
            yield Break(breakage.obj.path, f"{breakage.kind.value.lower()}{what}")


def _made_here_alone(kind: Any) -> bool:
    """Whether a class's constructor takes private parameters: projects get its objects from a function."""
    made = kind.all_members.get("__init__")
    return made is not None and any(p.name.startswith("_") for p in made.parameters)


def _load(folder: Path) -> griffe.Module:
    # Not by the relative path `runtime_lib`, which in this repository is always the working tree.
    package = griffe.load(
        "runtime_lib", search_paths=[folder], try_relative_path=False, allow_inspection=False
    )
    assert isinstance(package, griffe.Module)
    assert package.filepath == folder / "runtime_lib" / "__init__.py"
    _settle(package)
    return package


def _settle(module: griffe.Module) -> None:
    """Put what a module imports from others of this library in its place: griffe compares no alias."""
    members: list[tuple[str, Any]] = list(module.members.items())
    for name, member in members:
        if member.is_alias:
            if str(member.target_path).startswith("runtime_lib.") and name in (module.exports or ()):
                module.members[name] = member.final_target
        elif isinstance(member, griffe.Module):
            _settle(member)


def _bases(one: Any, other: Any) -> Iterator[Break]:
    """Classes that are no longer what they were: an `except` or `isinstance` of a project would miss them."""
    if isinstance(one, griffe.Class) and isinstance(other, griffe.Class):
        names = {str(base) for kind in (other, *other.mro()) for base in kind.bases}
        for base in (str(base) for base in one.bases if str(base) not in names):
            yield Break(one.path, f"no longer a {base}")


def _find(package: griffe.Module, path: str) -> Any:
    try:
        found = package[path.partition(".")[2]]
    except KeyError:
        return None
    # A package that takes a name from its module of the same name: the name is what projects get.
    return found.members.get(found.name, found) if found.is_module else found


def _announced(found: Break, old: Path, told: set[str]) -> bool:
    if not found.removed or found.name not in told:
        return False
    gone = _find(_load(old), found.name)
    module, _, name = found.name.rpartition(".")
    deprecated = Library(old / "runtime_lib").deprecates(f"{module}:{name}")
    return not (gone.is_function or gone.is_class) or bool(deprecated)


def _inventory(library: Path) -> dict[str, Any]:
    env = {**os.environ, "PYTHONPATH": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", INVENTORY], cwd=library, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Break]:
    for table, schema in before["settings"].items():
        now = after["settings"].get(table, {"properties": {}})
        for key, kind in schema["properties"].items():
            name = f"{table}.{key}"
            if key not in now["properties"]:
                yield Break(name, "the setting was removed", removed=True)
            elif narrower := _narrower(kind, now["properties"][key]):
                yield Break(name, f"the setting takes less: {narrower}")
        for key in set(now.get("required", [])) - set(schema.get("required", [])):
            yield Break(f"{table}.{key}", "the setting is required now")


def _narrower(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say which values of the old JSON schema the new one refuses; empty: none that can be told."""
    if lost := [value for value in old.get("enum", []) if value not in new.get("enum", [value])]:
        return f"no {', '.join(map(repr, lost))}"
    if "enum" in new and "enum" not in old:
        return f"only {new['enum']}"
    if _type(old) != _type(new) and (_type(old), _type(new)) != ("integer", "number"):
        return f"{_type(new)} instead of {_type(old)}"
    for bound, sign in (("minimum", 1), ("exclusiveMinimum", 1), ("maximum", -1), ("exclusiveMaximum", -1)):
        if bound in new and (bound not in old or sign * new[bound] > sign * old[bound]):
            return f"{bound} {new[bound]}"
    return ""


def _type(schema: Mapping[str, Any]) -> str:
    texts = all(isinstance(value, str) for value in schema.get("enum", [0]))
    return str(schema.get("type") or ("string" if texts else "another kind"))


def _commands(before: Mapping[str, bool], after: Mapping[str, bool]) -> Iterator[Break]:
    for name, was_deprecated in before.items():
        if name not in after and not was_deprecated:
            yield Break(f"mlops {name}", "removed")


def _next_minor(library: Path) -> tuple[int, int, int]:
    numbers = version_of((library / "runtime_lib" / "VERSION").read_text())
    assert numbers is not None
    return numbers[0], numbers[1] + 1, 0


def _pair(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
