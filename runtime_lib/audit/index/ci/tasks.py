"""Tasks by name that tools keep in TOML, YAML and JSON, and in a justfile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.audit.index.ci.sources import Place, Script, Sources, join, listed, table
from runtime_lib.audit.index.ci.wrappers import as_text
from runtime_lib.audit.index.model import Document, Text

__all__ = ["hatch", "just", "mise", "npm", "pdm", "pipenv", "pixi", "poe", "rye", "task"]

Keys = tuple[str | int, ...]
_NEEDS = ("depends", "deps", "depends-on", "depends_on", "pre")
_BODIES = ("cmd", "cmds", "run", "shell", "sequence", "chain", "composite", "commands")


def _steps(
    tasks: Mapping[str, Any], name: str, by_name: bool, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Keys]]:
    """Commands of a task and, before them, of what it needs, with the keys below the table of tasks.

    by_name: a step that begins with the name of a task is that task.
    """
    if name in tasks and name not in seen and len(seen) < 6:
        yield from _of(tasks, tasks[name], (name,), by_name, seen | {name})


def _of(
    tasks: Mapping[str, Any], value: Any, keys: Keys, by_name: bool, seen: frozenset[str]
) -> Iterator[tuple[str, Keys]]:
    if isinstance(value, str):
        first, _, _rest = value.lstrip("- ").partition(" ")
        if by_name and first in tasks and first not in seen:
            yield from _steps(tasks, first, by_name, seen)
        else:
            yield value, keys
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _of(tasks, one, (*keys, place), by_name, seen)
    elif isinstance(value, dict):
        yield from _of_table(tasks, value, keys, by_name, seen)


def _of_table(
    tasks: Mapping[str, Any], value: dict[str, Any], keys: Keys, by_name: bool, seen: frozenset[str]
) -> Iterator[tuple[str, Keys]]:
    needed = [one for key in _NEEDS for one in listed(value.get(key))]
    needed += [value[key] for key in ("task", "ref") if isinstance(value.get(key), str)]
    for one in needed:
        name = str(table(one).get("task", "")) if isinstance(one, dict) else str(one)
        yield from _steps(tasks, name.split(" ")[0].lstrip(":"), by_name, seen)
    for key in _BODIES:
        body = value.get(key)
        if isinstance(body, list) and key == "cmd":
            yield as_text([str(word) for word in body]), (*keys, key)
        elif body is not None:
            inner = by_name or key in ("sequence", "chain", "composite")
            yield from _of(tasks, body, (*keys, key), inner, seen)
    for key in ("script", "call"):
        if isinstance(target := value.get(key), str):
            yield "python -m " + target.partition(":")[0], (*keys, key)


def _scripts(
    sources: Sources, found: Document, at: Keys, steps: Iterator[tuple[str, Keys]], folder: str
) -> list[Script] | None:
    lines = sources.lines(found)
    result = [
        Script(text.lstrip("@"), Place(found.path, lines.of(*at, *keys), folder, strict=True))
        for text, keys in steps
    ]
    return result or None


def _below(document: Document | None, *keys: str) -> dict[str, Any]:
    value: Any = document.data if document is not None else {}
    for key in keys:
        value = table(value).get(key)
    return table(value)


def _in_toml(
    sources: Sources, place: Place, name: str, where: tuple[tuple[str, Keys], ...], by_name: bool
) -> list[Script] | None:
    """The task in the first file that has it; `where`: files with the keys of their tables of tasks."""
    for path, at in where:
        document = sources.document(place.folder, path)
        tasks = _below(document, *map(str, at))
        if document is not None and name in tasks:
            return _scripts(sources, document, at, _steps(tasks, name, by_name), place.folder)
    return None


def npm(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] not in ("npm", "yarn", "pnpm", "bun"):
        return None
    folder = next(
        (words[at + 1] for at, one in enumerate(words[:-1]) if one in ("--prefix", "--cwd", "-C")), ""
    )
    plain = [word for word in words[1:] if not word.startswith("-") and word != folder]
    name = (
        plain[1] if plain[:1] in (["run"], ["run-script"]) and len(plain) > 1 else plain[0] if plain else ""
    )
    name = "test" if name in ("t", "tst") else name
    if words[0] == "npm" and plain[:1] not in (["run"], ["run-script"]) and name not in ("test", "start"):
        return None
    document = sources.document(join(place.folder, folder), "package.json")
    tasks = _below(document, "scripts")
    if document is None or name not in tasks:
        return None
    steps = [step for one in ("pre" + name, name, "post" + name) for step in _steps(tasks, one, False)]
    return _scripts(sources, document, ("scripts",), iter(steps), join(place.folder, folder))


def mise(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] != "mise" or len(words) < 2:
        return None
    rest = [word for word in words[1:] if not word.startswith("-")]
    name = rest[1] if rest[:1] in (["run"], ["r"]) and len(rest) > 1 else rest[0] if rest else ""
    files = ("mise.toml", ".mise.toml", ".config/mise.toml", ".config/mise/config.toml", "mise/config.toml")
    found = _in_toml(sources, place, name, tuple((one, ("tasks",)) for one in files), False)
    if found is not None:
        return found
    folders = ("mise-tasks", ".mise-tasks", "mise/tasks", ".mise/tasks", ".config/mise/tasks")
    text = sources.text(
        place.folder, *(f"{one}/{name.replace(':', '/')}{end}" for one in folders for end in ("", ".sh"))
    )
    return [Script("\n".join(text.lines), Place(text.path, 1, place.folder, strict=False))] if text else None


def task(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    """go-task with its Taskfile, or taskipy with pyproject.toml."""
    if words[0] not in ("task", "go-task") or len(words) < 2:
        return None
    name = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
    files = ("Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "Taskfile.dist.yml")
    found = _in_toml(sources, place, name, tuple((one, ("tasks",)) for one in files), False)
    return found or _in_toml(sources, place, name, (("pyproject.toml", ("tool", "taskipy", "tasks")),), False)


def poe(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    rest = words[1:] if words[:2] in (["poetry", "poe"], ["uv", "poe"]) else words
    if rest[0] != "poe" or len(rest) < 2:
        return None
    name = next((word for word in rest[1:] if not word.startswith("-")), "")
    where = (("pyproject.toml", ("tool", "poe", "tasks")), ("poe_tasks.toml", ("tasks",)))
    document = sources.document(place.folder, "pyproject.toml")
    tasks = _below(document, "tool", "poe", "tasks")
    return _in_toml(sources, place, name, where, isinstance(tasks.get(name), list))


def _named(words: list[str], tool: str, values: frozenset[str] = frozenset()) -> tuple[str, list[str]]:
    """Task and all words of `tool run [options] task …`."""
    if words[:2] != [tool, "run"]:
        return "", []
    at = 2
    while at < len(words) and words[at].startswith(("-", "+")):
        at += 2 if words[at] in values else 1
    return (words[at] if at < len(words) else ""), words[at:]


def _or_rest(found: list[Script] | None, rest: list[str], place: Place) -> list[Script] | None:
    """What the task runs; a command that is no task is run as it is."""
    if found is not None or not rest:
        return found
    return [Script(as_text(rest), Place(place.path, place.line, place.folder))]


def hatch(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[:1] != ["hatch"]:
        return None
    at = words.index("run") if "run" in words else len(words)
    options = words[1:at]
    environment = next(
        (options[n + 1] for n, one in enumerate(options[:-1]) if one in ("-e", "--env")), "default"
    )
    name, rest = _named(["hatch", *words[at:]], "hatch", frozenset({"-e", "--env"}))
    if words[1:4] == ["env", "run", "-e"]:
        environment, rest = words[4], [word for word in words[5:] if word != "--"]
        name = rest[0] if rest else ""
    if re.fullmatch(r"[\w.-]+:[\w.:-]+", name):
        environment, _, name = name.partition(":")
        rest = [name, *rest[1:]]
    for one in dict.fromkeys((environment, environment.partition(".")[0], "default")):
        where = (
            ("pyproject.toml", ("tool", "hatch", "envs", one, "scripts")),
            ("hatch.toml", ("envs", one, "scripts")),
        )
        if found := _in_toml(sources, place, name, where, True):
            return found
    return _or_rest(None, rest, place)


def pdm(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[:1] != ["pdm"] or len(words) < 2:
        return None
    name, rest = _named(words, "pdm", frozenset({"-p", "--project"}))
    where = (("pyproject.toml", ("tool", "pdm", "scripts")),)
    return _or_rest(_in_toml(sources, place, name or words[1], where, False), rest, place)


def rye(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    name, rest = _named(words, "rye")
    where = (("pyproject.toml", ("tool", "rye", "scripts")),)
    return _or_rest(_in_toml(sources, place, name, where, False), rest, place)


def pipenv(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    name, _ = _named(words, "pipenv")
    return _in_toml(sources, place, name, (("Pipfile", ("scripts",)),), False)


def pixi(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    name, rest = _named(words, "pixi", frozenset({"-e", "--environment", "--manifest-path"}))
    if not name:
        return None
    for path, at in (("pixi.toml", ()), ("pyproject.toml", ("tool", "pixi"))):
        features = _below(sources.document(place.folder, path), *at, "feature")
        for keys in ((*at, "tasks"), *((*at, "feature", str(one), "tasks") for one in features)):
            if found := _in_toml(sources, place, name, ((path, keys),), False):
                return found
    return _or_rest(None, rest, place)


_RECIPE = re.compile(r"^@?([\w-]+)((?:\s+[*+$]?[\w-]+(?:=\S+)?)*)\s*:(?!=)\s*(.*)$")


def just(sources: Sources, words: list[str], place: Place) -> list[Script] | None:
    if words[0] != "just":
        return None
    text = sources.text(place.folder, "justfile", "Justfile", ".justfile")
    if text is None:
        return None
    variables, needs, bodies = _justfile(text)
    names = [word for word in words[1:] if word in bodies] or list(bodies)[:1]
    found: list[Script] = []
    seen: set[str] = set()
    opened: set[str] = set()
    queue = names[::-1]
    while queue:
        name = queue.pop()
        waiting = [one for one in needs.get(name, []) if one in bodies and one not in seen]
        if waiting and name not in opened:
            opened.add(name)
            queue += [name, *waiting[::-1]]
        elif name not in seen:
            seen.add(name)
            found += _recipe(text, bodies[name], variables, place)
    return found or None


def _justfile(text: Text) -> tuple[dict[str, str], dict[str, list[str]], dict[str, list[tuple[int, str]]]]:
    variables: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    bodies: dict[str, list[tuple[int, str]]] = {}
    current = ""
    for number, line in enumerate(text.lines, 1):
        if current and (line.startswith((" ", "\t")) or not line.strip()):
            bodies[current].append((number, line.strip()))
        elif variable := re.match(r"^(?:export\s+)?([\w-]+)\s*:=\s*['\"]([^'\"]*)['\"]\s*$", line):
            variables[variable[1]] = variable[2]
        elif recipe := _RECIPE.match(line):
            current = recipe[1]
            bodies[current] = []
            needs[current] = re.findall(r"[\w-]+", recipe[3].partition("#")[0])
        elif not line.startswith(("#", "[")):
            current = ""
    return variables, needs, bodies


def _recipe(
    text: Text, body: list[tuple[int, str]], variables: Mapping[str, str], place: Place
) -> Iterator[Script]:
    lines = [
        (number, re.sub(r"\{\{\s*([\w-]+)\s*\}\}", lambda hit: variables.get(hit[1], hit[0]), line))
        for number, line in body
    ]
    first = next((line for _, line in lines if line), "")
    if first.startswith("#!"):
        if re.search(r"\b(ba|z)?sh\b", first):
            yield Script(
                "\n".join(line for _, line in lines),
                Place(text.path, lines[0][0], place.folder, strict=False),
            )
        return
    for number, line in lines:
        signs = re.match(r"^[@-]*", line)
        plain = line[signs.end() if signs else 0 :]
        if plain and not plain.startswith("#"):
            where = Place(
                text.path, number, place.folder, may_fail=line.startswith(("-", "@-")), strict=False
            )
            yield Script(plain, where)
