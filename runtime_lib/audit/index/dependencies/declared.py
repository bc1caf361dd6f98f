"""What documents declare: pyproject.toml of all dialects, setup.cfg, Pipfile, pixi.toml, environments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime_lib.audit.index.dependencies.requirement import normalised, parse
from runtime_lib.audit.index.model import Document, Entry, Requirement
from runtime_lib.audit.index.readable import without_template

__all__ = ["PYTHON", "declared"]

PYTHON = "python"  # the name under which the interpreter is declared
# A list that each of these keys leads to holds requirements; `*` is any key, and the group in most.
LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("project", "dependencies"), ""),
    (("project", "optional-dependencies", "*"), "*"),
    (("dependency-groups", "*"), "*"),
    (("tool", "pdm", "dev-dependencies", "*"), "dev"),
    (("tool", "uv", "dev-dependencies"), "dev"),
    (("tool", "hatch", "envs", "*", "dependencies"), "dev"),
    (("tool", "hatch", "envs", "*", "extra-dependencies"), "dev"),
    (("tool", "flit", "metadata", "requires"), ""),
    (("tool", "flit", "metadata", "requires-extra", "*"), "*"),
    (("tool", "rye", "dev-dependencies"), "dev"),
)
# A table that each of these keys leads to has a name and its versions in each line.
TABLES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("tool", "poetry", "dependencies"), ""),
    (("tool", "poetry", "dev-dependencies"), "dev"),
    (("tool", "poetry", "group", "*", "dependencies"), "*"),
    (("tool", "pixi", "dependencies"), ""),
    (("tool", "pixi", "pypi-dependencies"), ""),
    (("tool", "pixi", "feature", "*", "dependencies"), "*"),
    (("tool", "pixi", "feature", "*", "pypi-dependencies"), "*"),
    (("packages",), ""),
    (("dev-packages",), "dev"),
    (("dependencies",), ""),
    (("pypi-dependencies",), ""),
    (("feature", "*", "dependencies"), "*"),
    (("feature", "*", "pypi-dependencies"), "*"),
)
PYTHONS = {
    ("project", "requires-python"),
    ("tool", "flit", "metadata", "requires-python"),
    ("requires", "python_version"),
    ("requires", "python_full_version"),
}
CONDA_LINE = re.compile(r"\s*(?:[\w.-]+::)?([\w.-]+)\s*(.*)$")


@dataclass(frozen=True)
class _Match:
    group: str
    rest: tuple[str | int, ...]


def declared(document: Document) -> Iterator[Requirement]:
    """Requirements in a document of a known name, the interpreter as `PYTHON`; in no other any."""
    name = without_template(document.path.rpartition("/")[2].lower())
    if document.kind == "toml" and name in ("pyproject.toml", "pixi.toml", "pipfile"):
        yield from _toml(document, pip=name != "pixi.toml")
    elif document.kind == "ini" and name == "setup.cfg":
        yield from _setup_cfg(document)
    elif document.kind == "yaml" and _is_conda(name, document.data):
        yield from _conda(document)


def _toml(document: Document, *, pip: bool) -> Iterator[Requirement]:
    is_project = document.path.lower().rpartition("/")[2].startswith("pyproject")
    for entry in document.entries:
        if entry.keys in PYTHONS:
            yield Requirement(PYTHON, _pip_python(entry), document.path, entry.line)
        for keys, group in LISTS:
            found = _match(entry.keys, keys, group)
            if found and len(found.rest) == 1 and (parsed := parse(str(entry.value))):
                yield Requirement(*parsed, document.path, entry.line, found.group)
        for keys, group in TABLES:
            if is_project and keys[0] != "tool":
                continue
            found = _match(entry.keys, keys, group)
            if found and found.rest and (spec := _table_spec(found.rest, entry.value)) is not None:
                name = normalised(str(found.rest[0]))
                yield Requirement(name, spec, document.path, entry.line, found.group)


def _match(keys: tuple[str | int, ...], pattern: tuple[str, ...], group: str) -> _Match | None:
    if len(keys) <= len(pattern) or any(
        key != one and one != "*" for key, one in zip(keys, pattern, strict=False)
    ):
        return None
    if group == "*":
        group = str(keys[pattern.index("*")])
    return _Match(group, keys[len(pattern) :])


def _pip_python(entry: Entry) -> str:
    text = str(entry.value).strip()
    return f"=={text}" if text[:1].isdigit() else text


def _table_spec(rest: tuple[str | int, ...], value: Any) -> str | None:
    """The spec of an entry below a name: the value itself, or one of its keys; None for the others."""
    if len(rest) == 1:
        text = str(value).replace(" ", "")
        if text in ("*", "True"):
            return ""
        return f"=={text}" if text[:1].isdigit() and "," not in text and "*" not in text else text
    if rest[1] == "version" or (len(rest) == 3 and rest[2] == "version"):
        return _table_spec(rest[:1], value)
    if rest[1] in ("git", "url", "path", "file"):
        return f"@ {value}"
    # `{extras = [...]}` alone, or the commit of a repository, whose address has told the name.
    return None


def _setup_cfg(document: Document) -> Iterator[Requirement]:
    for entry in document.entries:
        section, option = entry.keys[0], entry.keys[-1]
        if (section, option) == ("options", "python_requires"):
            yield Requirement(PYTHON, str(entry.value).strip(), document.path, entry.line)
        elif (section, option) in (("options", "install_requires"), ("options", "tests_require")):
            yield from _lines(document.path, entry, "" if option == "install_requires" else "dev")
        elif section == "options.extras_require":
            yield from _lines(document.path, entry, str(option))


def _lines(path: str, entry: Entry, group: str) -> Iterator[Requirement]:
    for number, line in enumerate(str(entry.value).split("\n")):
        for text in line.split(",") if not re.search(r"[<>=~!\[]", line) else [line]:
            if parsed := parse(text):
                yield Requirement(*parsed, path, entry.line + number, group)


def _is_conda(name: str, data: Any) -> bool:
    if not isinstance(data, dict):
        return False
    if name == "python_env.yaml":  # of MLflow
        return True
    if not isinstance(data.get("dependencies"), list):
        return False
    return "channels" in data or bool(re.search(r"env|conda", name))


def _conda(document: Document) -> Iterator[Requirement]:
    for entry in document.entries:
        keys, text = entry.keys, str(entry.value)
        if keys == ("python",):
            yield Requirement(PYTHON, _pip_python(entry), document.path, entry.line)
        if not keys or keys[0] not in ("dependencies", "build_dependencies"):
            continue
        if len(keys) >= 3 and keys[2] == "pip" and (parsed := parse(text)):
            yield Requirement(*parsed, document.path, entry.line)
        elif len(keys) == 2 and document.path.endswith("python_env.yaml"):
            if parsed := parse(text):
                yield Requirement(*parsed, document.path, entry.line)
        elif len(keys) == 2 and (found := CONDA_LINE.match(text)):
            yield Requirement(normalised(found[1]), conda_spec(found[2]), document.path, entry.line)


def conda_spec(text: str) -> str:
    """A spec of conda as one of pip: "=1.21" is a prefix, "=1.21.2" and "=1.21=h3_0" one version."""
    text = text.strip().replace(" ", "=", 1) if re.match(r"\s*\d", text) else text.replace(" ", "")
    found = re.match(r"=?([\d][\w.+!-]*)(=[\w.*]+)?$", text.removeprefix("="))
    if not found or "*" in text:
        return text
    whole = text.startswith("==") or bool(found[2]) or found[1].count(".") >= 2
    return f"=={found[1]}" if whole else f"=={found[1]}.*"
